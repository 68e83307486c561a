//! Taking over what a predecessor has left: its sandboxes live on, so they are found and looked after.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::registry::{Afterwards, Entry, Phase, Registry};
use crate::Exit;
use crate::cgroup::Group;
use crate::container::{IdRange, Process};
use crate::stat::Stat;
use std::path::PathBuf;

/// What a later spawner needs and cannot find out otherwise; kept with the cgroup.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) disk: PathBuf,
    /// Process 1, once it runs the toolbox. Where a spawner died before it wrote this, nobody has been told of the
    /// sandbox.
    pub(super) first: Option<First>,
}

/// A process for ever: its number may be given again, but not with the same time of start.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct First {
    pid: i32,
    /// In clock ticks since the host was started.
    start_time: u64,
}

impl First {
    /// The process that has this number now.
    pub(super) fn now(pid: Pid) -> Option<Self> {
        let pid = pid.as_raw_nonzero().get();
        Some(Self { pid, start_time: Stat::of(pid)?.start_time })
    }

    /// A handle of it, if it still runs.
    fn process(self) -> Option<Process> {
        let pid = Pid::from_raw(self.pid)?;
        // Held before it is looked at, so that it is the one that was looked at.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        (Self::now(pid) == Some(self)).then(|| Process::adopted(pid, pidfd))
    }
}

impl Registry {
    /// Enters every sandbox below our cgroup that is not known. Where nobody lives any more, the leftovers are released.
    pub(super) fn adopt_all(&mut self) {
        for name in self.cgroups.names().unwrap_or_default() {
            if self.entries.contains_key(&name) {
                continue;
            }
            let mut entry = entry(self.cgroups.group(&name));
            if entry.phase != Phase::Alive {
                // Without process 1 there is nothing but what is just dying.
                entry.kill();
            }
            self.insert(name, entry);
        }
    }
}

fn entry(group: Group) -> Entry {
    let note = group.read_note().ok().and_then(|note| serde_json::from_slice::<Note>(&note).ok());
    let process = note.as_ref().and_then(|note| note.first).and_then(First::process);
    let state = match process {
        Some(_) => (Phase::Alive, Afterwards::Remember),
        None => (Phase::Releasing(Exit::Unknown), Afterwards::Forget { remove_disk: false }),
    };
    let ids = process.as_ref().and_then(|process| IdRange::of_process(process.pid));
    let disk = note.map(|note| note.disk).unwrap_or_default();
    let mut entry = Entry::new(process, group, state);
    (entry.ids, entry.disk) = (ids, disk);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_again_is_somebody_else() {
        let own = First::now(rustix::process::getpid()).expect("this process");
        assert!(own.process().is_some());
        assert!(First { start_time: own.start_time + 1, ..own }.process().is_none());
    }
}
