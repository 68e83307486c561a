//! What the kernel says of a process in `/proc/PID/stat`.

use std::fs;

/// One process, as far as it is of use here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) name: String,
    /// `R` runs, `S` sleeps, `D` waits for a disk or for memory, `T` was stopped by a signal, `t` by a debugger.
    pub(crate) state: char,
    /// In clock ticks since the host was started.
    pub(crate) start_time: u64,
}

impl Stat {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether a signal has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// The name may hold anything, blanks and parentheses too; what follows its last one is fields.
    fn parse(stat: &str) -> Option<Self> {
        let (head, tail) = stat.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let mut fields = tail.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { name: name.to_owned(), state, start_time: fields.nth(18)?.parse().ok()? })
    }
}

/// The kernel's letter for what the process is doing, see `proc_pid_stat(5)`; `None` if there is none of that number.
pub fn process_state(pid: i32) -> Option<char> {
    Stat::of(pid).map(|stat| stat.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let line = "42 (a ) S (b) R 7 40 39 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 1 0 555 1000 7";
        let expected = Stat { name: "a ) S (b".to_owned(), state: 'R', start_time: 555 };
        assert_eq!(Stat::parse(line), Some(expected));
        assert_eq!(Stat::parse("42 (a"), None);
    }
}
