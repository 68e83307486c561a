//! Taking over what a predecessor has left: its sandboxes live on, so they are found and looked after.

use std::fs;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::registry::{Afterwards, Entry, Note, Phase, Registry};
use crate::Exit;
use crate::cgroup::Group;
use crate::container::{IdRange, Process};

impl Registry {
    /// Enters every sandbox below our cgroup. Where nobody lives any more, the leftovers are released.
    pub(super) fn adopt_all(&mut self) {
        for name in self.cgroups.names().unwrap_or_default() {
            let mut entry = entry(self.cgroups.group(&name));
            if entry.phase != Phase::Alive {
                // Without process 1 there is nothing but what is just dying.
                entry.kill();
            }
            self.entries.insert(name, entry);
        }
    }
}

fn entry(group: Group) -> Entry {
    let process = first_process(&group);
    let note = group.read_note().ok().and_then(|note| serde_json::from_slice::<Note>(&note).ok());
    let (phase, afterwards) = match process {
        Some(_) => (Phase::Alive, Afterwards::Remember),
        None => (Phase::Releasing(Exit::Unknown), Afterwards::Forget { remove_disk: false }),
    };
    let ids = process.as_ref().and_then(|process| IdRange::of_process(process.pid));
    let disk = note.map(|note| note.disk).unwrap_or_default();
    Entry { process, ids, group, disk, phase, afterwards }
}

/// Process 1 of the sandbox in this cgroup.
fn first_process(group: &Group) -> Option<Process> {
    let pid = group.processes().ok()?.into_iter().find(|pid| is_first(*pid))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Between finding the number and opening it, it could have become another process's.
    let still_there = group.processes().ok()?.contains(&pid) && is_first(pid);
    still_there.then(|| Process::adopted(pid, pidfd))
}

/// Whether this is process 1 of a finished sandbox. The system call filter comes last, so one without it has been left
/// in the middle of its setup, and is dying of that.
fn is_first(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    innermost_number(&status) == Some(1) && status.lines().any(|line| line == "Seccomp:\t2")
}

fn innermost_number(status: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_number_is_the_last() {
        assert_eq!(innermost_number("Name:\tx\nNSpid:\t1234\t1\nThreads:\t1\n"), Some(1));
        assert_eq!(innermost_number("NSpid:\t1234\n"), Some(1234));
        assert_eq!(innermost_number("Name:\tx\n"), None);
    }
}
