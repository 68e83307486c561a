//! What a server, the process that holds its sandboxes, and this machine hold at one moment on its account.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::host::{self, text};
use crate::leaks::{KEPT_PACKETS, PACKETS, handles};
use crate::server::Server;

const THREADS: &str = "threads";
/// Threads that wait for work leave when nobody has any for them, and regular work keeps a few of them: how many depends
/// on how many were busy at once. A thread for each sandbox would be many more.
const SPARE_THREADS: u64 = 8;

/// One look at everything.
pub(super) struct Sample {
    /// Since the soak began.
    pub(super) at: Duration,
    /// What must be as many in the end as in the beginning.
    pub(super) counts: BTreeMap<String, u64>,
    /// What may vary, in KiB.
    pub(super) sizes: BTreeMap<String, u64>,
}

impl Sample {
    /// Looks now.
    pub(super) fn of(server: &Server, at: Duration) -> Self {
        let mut sample = Self { at, counts: server.guard().census(), sizes: BTreeMap::new() };
        let data = server.data();
        sample.process("server", server.pid(), &data);
        if let Some(spawner) = server.spawner() {
            sample.process("spawner", spawner, &data);
        }
        for name in ["ledger.db", "ledger.db-wal"] {
            let size = std::fs::metadata(data.join(name)).map_or(0, |file| file.len() / 1024);
            sample.sizes.insert(name.to_owned(), size);
        }
        sample
    }

    fn process(&mut self, name: &str, pid: u32, data: &Path) {
        let mut count =
            |what: &str, count: usize| self.counts.insert(format!("{name}: {what}"), count as u64);
        for (kind, open) in handles(pid, data) {
            count(&kind, open);
        }
        count(THREADS, host::entries(format!("/proc/{pid}/task")).len());
        count("mounts", text(pid, "mountinfo").lines().count());
        let (children, zombies) = children(pid);
        count("children", children);
        count("zombies", zombies);
        for (what, field) in [("RSS", "Rss:"), ("PSS", "Pss:")] {
            self.sizes.insert(format!("{name} {what}"), memory(pid, field));
        }
    }

    /// What there is more of than there was.
    pub(super) fn beyond(&self, before: &Self) -> Vec<String> {
        let grown = self.counts.iter().filter_map(|(what, now)| {
            let before = before.counts.get(what).copied().unwrap_or_default();
            let most = match what.split(": ").last() {
                // A few connections between the two are kept for later calls.
                Some(PACKETS) => before.max(KEPT_PACKETS as u64),
                Some(THREADS) => before + SPARE_THREADS,
                _ => before,
            };
            (*now > most).then(|| format!("{what}: {now}, {before} before"))
        });
        grown.collect()
    }
}

/// The children of a process, and those of them that nobody has collected.
fn children(parent: u32) -> (usize, usize) {
    let stats = host::pids().into_iter().map(|pid| text(pid, "stat"));
    // The name, which may hold anything, ends with the last bracket; state and parent follow.
    let rest = stats.filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()));
    let ours: Vec<_> = rest.filter(|rest| rest.split(' ').nth(1) == Some(&parent.to_string())).collect();
    (ours.len(), ours.iter().filter(|rest| rest.starts_with('Z')).count())
}

/// A field of the process's memory, in KiB.
fn memory(pid: u32, field: &str) -> u64 {
    let rollup = text(pid, "smaps_rollup");
    let line = rollup.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_a_zombie_and_our_memory_are_seen() {
        let own = std::process::id();
        let mut child = std::process::Command::new("true").spawn().expect("true starts");
        assert!(crate::wait::wait_until(|| children(own).1 > 0), "a zombie is seen");
        assert!(children(own).0 > 0);
        child.wait().expect("our child");
        assert!(memory(own, "Rss:") >= memory(own, "Pss:") && memory(own, "Pss:") > 0);
    }

    #[test]
    fn only_what_has_grown_is_told() {
        let sample = |counts: &[(&str, u64)]| Sample {
            at: Duration::ZERO,
            counts: counts.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect(),
            sizes: BTreeMap::new(),
        };
        let before = sample(&[("server: pipe", 2), ("server: threads", 9)]);
        assert_eq!(
            sample(&[("server: pipe", 2), ("server: threads", 17)]).beyond(&before),
            Vec::<String>::new()
        );
        assert_eq!(sample(&[("server: threads", 18)]).beyond(&before), ["server: threads: 18, 9 before"]);
        let grown = sample(&[("server: pipe", 3), ("server: zombies", 1)]).beyond(&before);
        assert_eq!(grown, ["server: pipe: 3, 2 before", "server: zombies: 1, 0 before"]);
    }
}
