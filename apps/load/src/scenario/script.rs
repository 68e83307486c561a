//! What the agents of `mixed` will do, decided before the first of them begins: the same seed gives the same scripts.

use std::time::Duration;

use bytes::Bytes;

use crate::seed::Seed;

/// Commands in each sandbox.
const COMMANDS: usize = 20;
/// After so many commands a file goes in and comes back.
const FILE_AFTER: usize = 7;
const THINK: Duration = Duration::from_millis(100);
/// Agents do not all begin at once.
const BEGIN: Duration = Duration::from_millis(500);

/// What agents run: the shell's own commands, pipes of small programs, a little computing, a little writing.
const CHOICE: [&str; 8] = [
    "true",
    "echo hello",
    "ls -la /usr/bin | wc -l",
    "mkdir -p src && echo text > src/file && cat src/file",
    "seq 20000 | sort -r | tail -n 1",
    "head -c 1000000 /dev/zero | sha256sum",
    "grep -c . /etc/passwd",
    "awk 'BEGIN { for (i = 0; i < 50000; i++) sum += i; print sum }'",
];
/// Bytes of the files.
const SIZES: [usize; 4] = [100, 4 << 10, 64 << 10, 1 << 20];

/// One agent: when it begins, and what it does in each of its sandboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) begin: Duration,
    pub(super) rounds: Vec<Vec<Act>>,
}

/// One thing an agent does, and for how long it thinks before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) think: Duration,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Exec(&'static str),
    Upload(Bytes),
    /// The file of the last upload, which must be what was uploaded.
    Download(Bytes),
}

/// The scripts of all agents.
pub(super) fn write(seed: u64, agents: usize, rounds: usize) -> Vec<Script> {
    let all = Seed::new(seed);
    (0..agents as u64).map(|number| script(all.branch(number), rounds)).collect()
}

fn script(mut seed: Seed, rounds: usize) -> Script {
    let begin = seed.pause(BEGIN);
    Script { begin, rounds: (0..rounds).map(|_| round(&mut seed)).collect() }
}

fn round(seed: &mut Seed) -> Vec<Act> {
    let mut acts = Vec::new();
    for number in 1..=COMMANDS {
        let command = CHOICE[seed.below(CHOICE.len())];
        acts.push(Act { think: seed.pause(THINK), kind: Kind::Exec(command) });
        if number % FILE_AFTER == 0 {
            let bytes = file(seed);
            acts.push(Act { think: seed.pause(THINK), kind: Kind::Upload(bytes.clone()) });
            acts.push(Act { think: seed.pause(THINK), kind: Kind::Download(bytes) });
        }
    }
    acts
}

/// Bytes that tell one file from another.
fn file(seed: &mut Seed) -> Bytes {
    let (size, first) = (SIZES[seed.below(SIZES.len())], seed.below(251));
    (0..size).map(|index| u8::try_from((first + index) % 251).expect("it is below 251")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_seed_another() {
        assert_eq!(write(42, 4, 3), write(42, 4, 3));
        assert_ne!(write(42, 4, 3), write(43, 4, 3));
    }

    #[test]
    fn agents_differ_and_more_of_them_change_nothing_for_the_first() {
        let (few, many) = (write(1, 2, 1), write(1, 8, 1));
        assert_eq!(few[..], many[..2]);
        assert_ne!(few[0], few[1]);
    }

    #[test]
    fn each_sandbox_has_twenty_commands_and_its_files_come_back() {
        let acts = &write(5, 1, 1)[0].rounds[0];
        let count = |wanted: fn(&Kind) -> bool| acts.iter().filter(|act| wanted(&act.kind)).count();
        assert_eq!(count(|kind| matches!(kind, Kind::Exec(_))), 20);
        assert_eq!(count(|kind| matches!(kind, Kind::Upload(_))), 2);
        assert_eq!(count(|kind| matches!(kind, Kind::Download(_))), 2);
    }
}
