//! Ending a command with all that it started.
//!
//! Killed are the shell's process group, every descendant whose line of parents still leads to the shell, and all
//! members of groups and sessions that such a descendant leads. What has left the group *and* lost its parents (a
//! daemon that forked twice) cannot be told from other commands' processes; it lives on, without delaying the answer.

use std::collections::HashSet;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::processes::{self, Process};

/// Each round finds what was forked during the round before, by somebody not yet halted.
const ROUNDS: usize = 16;

/// Kills the command that `leader` leads. The leader must not have been reaped; see [`crate::reaper`].
pub(super) fn tree(leader: Pid) {
    let mut family = Family::of(leader.as_raw_pid());
    let mut living = Vec::new();
    // Nobody dies before all are found: a child that was forked a moment ago and has left the group is known by its
    // parent alone. Who is halted forks no more.
    let _ = kill_process_group(leader, Signal::STOP);
    for _ in 0..ROUNDS {
        let found = family.grow(&processes::all());
        if found.is_empty() {
            break;
        }
        signal(&found, Signal::STOP);
        living.extend(found);
    }
    let _ = kill_process_group(leader, Signal::KILL);
    signal(&living, Signal::KILL);
}

fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().copied().filter_map(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

/// Everybody who is known to belong to a command.
struct Family {
    members: HashSet<i32>,
}

impl Family {
    fn of(leader: i32) -> Self {
        Self { members: HashSet::from([leader]) }
    }

    /// Adds whoever belongs to it, and gives the living among those that are new.
    fn grow(&mut self, all: &[Process]) -> Vec<i32> {
        let mut found = Vec::new();
        loop {
            let fresh: Vec<_> = all.iter().filter(|process| self.gains(process)).collect();
            if fresh.is_empty() {
                return found;
            }
            self.members.extend(fresh.iter().map(|process| process.pid));
            found.extend(fresh.iter().filter(|process| !process.is_dead).map(|process| process.pid));
        }
    }

    fn gains(&self, process: &Process) -> bool {
        let by = [process.parent, process.group, process.session];
        !self.members.contains(&process.pid) && by.iter().any(|id| self.members.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, session: i32) -> Process {
        Process { pid, parent, group, session, is_dead: false, ticks: 0 }
    }

    #[test]
    fn a_family_is_group_descendants_and_their_sessions() {
        let all = [
            process(1, 0, 0, 0),
            process(10, 1, 10, 0),   // the shell
            process(11, 10, 10, 0),  // its child
            process(12, 1, 10, 0),   // lost its parent, still of the group
            process(13, 11, 13, 13), // left with setsid
            process(14, 1, 99, 13),  // lost its parent, of that session
            process(20, 1, 20, 0),   // another command
            process(21, 20, 20, 0),
        ];
        let mut family = Family::of(10);
        let mut found = family.grow(&all);
        found.sort_unstable();
        assert_eq!(found, [11, 12, 13, 14]);
        assert!(family.grow(&all).is_empty(), "a second look finds nobody new");
    }

    #[test]
    fn a_child_that_is_forked_meanwhile_is_found_in_the_next_round() {
        let mut family = Family::of(10);
        assert_eq!(family.grow(&[process(10, 1, 10, 0), process(11, 10, 11, 11)]), [11]);
        assert_eq!(family.grow(&[process(12, 1, 12, 11), process(30, 1, 30, 0)]), [12]);
    }

    #[test]
    fn the_dead_are_members_but_are_not_killed_again() {
        let dead = Process { is_dead: true, ..process(11, 10, 11, 11) };
        assert_eq!(Family::of(10).grow(&[dead, process(12, 11, 12, 12)]), [12]);
    }
}
