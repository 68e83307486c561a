//! Room for a command where a fork bomb has used up every process.
//!
//! A command has a limit that leaves some to the toolbox, but it is counted by user, and a sandbox's root can be many
//! users. What tells a bomb is a large process group; that goes. Everybody is halted meanwhile, or what is freed would
//! be taken at once by those who are left.

use std::{
    collections::{HashMap, HashSet},
    io::{self, ErrorKind},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{
    processes::{self, Process},
    reaper::Reaper,
};

/// A smaller group is no bomb: many commands at once have used up the processes, and that is their caller's matter.
const BOMB: usize = 64;
/// How long the processes of a bomb may take to end, and the pause between two looks.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

/// Starts the command, after the end of a bomb if there is one in the way.
pub(super) fn spawn(command: &mut Command, reaper: &Reaper) -> io::Result<Child> {
    match command.spawn() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            spawn_in_spite(command, reaper).ok_or(error)?
        }
        other => other,
    }
}

/// `None` if there is no bomb.
fn spawn_in_spite(command: &mut Command, reaper: &Reaper) -> Option<io::Result<Child>> {
    let halted = Halted::everybody();
    kill_process_group(bomb(&halted.processes)?, Signal::KILL).ok()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        // What has ended counts until it is reaped, and the reaper's own turn comes after ours.
        reaper.reap_orphans();
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            other => return Some(other),
        }
    }
}

/// The process group with the most members, if it is large.
fn bomb(processes: &[Process]) -> Option<Pid> {
    let mut sizes = HashMap::new();
    for process in processes {
        *sizes.entry(process.group).or_insert(0) += 1;
    }
    let (group, size) = sizes.into_iter().max_by_key(|(_, size)| *size)?;
    Pid::from_raw(group).filter(|_| size >= BOMB)
}

/// Processes that do nothing until this is dropped.
struct Halted {
    processes: Vec<Process>,
}

impl Halted {
    /// All but this one. Each round finds who was started during the round before, by somebody not yet halted.
    fn everybody() -> Self {
        let own = std::process::id();
        let mut known = HashSet::new();
        let mut halted = Self { processes: Vec::new() };
        loop {
            let living = processes::all().into_iter().filter(|process| !process.is_dead);
            let others = living.filter(|process| process.pid.unsigned_abs() != own);
            let fresh: Vec<_> = others.filter(|process| known.insert(process.pid)).collect();
            if fresh.is_empty() {
                return halted;
            }
            for process in &fresh {
                signal(process, Signal::STOP);
            }
            halted.processes.extend(fresh);
        }
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        for process in &self.processes {
            signal(process, Signal::CONT);
        }
    }
}

/// Who is gone meanwhile needs none.
fn signal(process: &Process, signal: Signal) {
    let _ = Pid::from_raw(process.pid).map(|pid| kill_process(pid, signal));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_group(group: i32, count: usize) -> impl Iterator<Item = Process> {
        let process = Process { pid: 9, parent: 1, group, session: 1, is_dead: false, ticks: 0 };
        std::iter::repeat_n(process, count)
    }

    #[test]
    fn a_bomb_is_the_largest_group_if_that_is_large() {
        let many: Vec<_> = of_group(3, 70).chain(of_group(4, 90)).chain(of_group(5, 80)).collect();
        assert_eq!(bomb(&many), Pid::from_raw(4));
        let few: Vec<_> = (2..200).flat_map(|group| of_group(group, 10)).collect();
        assert_eq!(bomb(&few), None);
        assert_eq!(bomb(&[]), None);
    }
}
