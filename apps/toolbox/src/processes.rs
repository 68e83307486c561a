//! The processes of this sandbox, as `/proc` shows them.

use std::fs;

use rustix::process::Pid;

/// One line of `/proc/PID/stat`, as far as it is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// It has ended, and only its status is left.
    pub(crate) is_dead: bool,
    /// Time on a cpu, its own and that of the children it waited for, in clock ticks.
    pub(crate) ticks: u64,
}

impl Process {
    fn parse(stat: &str) -> Option<Self> {
        // The name may hold anything, blanks and parentheses too; what follows its last one is numbers.
        let (head, tail) = stat.rsplit_once(')')?;
        let pid = head.split(' ').next()?.parse().ok()?;
        let fields: Vec<_> = tail.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
        let id = |index: usize| i32::try_from(number(index)?).ok();
        let ticks = (11..15).filter_map(number).filter_map(|ticks| u64::try_from(ticks).ok()).sum();
        let is_dead = matches!(*fields.first()?, "Z" | "X" | "x");
        Some(Self { pid, parent: id(1)?, group: id(2)?, session: id(3)?, is_dead, ticks })
    }
}

/// Every process there is at this moment. One that ends meanwhile may be missing.
pub(crate) fn all() -> Vec<Process> {
    pids().filter_map(|pid| Process::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// The number of every process there is.
pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The children of this process, those that have ended included.
pub(crate) fn children() -> Vec<Pid> {
    let own = std::process::id();
    let listed = fs::read_to_string(format!("/proc/self/task/{own}/children"));
    let numbers: Vec<i32> = match &listed {
        Ok(line) => line.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        // A kernel may be built without that file.
        Err(_) => all()
            .iter()
            .filter(|process| process.parent.unsigned_abs() == own)
            .map(|child| child.pid)
            .collect(),
    };
    numbers.into_iter().filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_blanks_and_parentheses() {
        let line = "42 (a ) S (b) R 7 40 39 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 1 0 555 1000 7";
        let expected = Process { pid: 42, parent: 7, group: 40, session: 39, is_dead: false, ticks: 124 };
        assert_eq!(Process::parse(line), Some(expected));
    }

    #[test]
    fn the_dead_are_known_and_nonsense_is_nothing() {
        let line = "9 (x) Z 1 9 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0";
        assert!(Process::parse(line).expect("a line").is_dead);
        assert_eq!(Process::parse("9 (x"), None);
        assert_eq!(Process::parse(""), None);
    }

    #[test]
    fn this_process_is_among_all() {
        let own = std::process::id();
        assert!(all().iter().any(|process| process.pid.unsigned_abs() == own && !process.is_dead));
    }
}
