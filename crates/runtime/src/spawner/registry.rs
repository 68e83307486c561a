//! All containers, and what becomes of each: alive, then being released, then remembered until somebody has asked.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use libc::sock_filter as Instruction;
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroups, Group};
use crate::container::{IdRange, Process, Stage};
use crate::{ContainerStatus, Exit, RuntimeError, disk};

/// Every container that the spawner knows, by name.
pub(super) struct Registry {
    pub(super) cgroups: Cgroups,
    pub(super) filter: Vec<Instruction>,
    pub(super) stage: Stage,
    /// Where the search for ids begins.
    first_ids: IdRange,
    pub(super) entries: BTreeMap<String, Entry>,
}

/// One container.
pub(super) struct Entry {
    /// Process 1; `None` if it never came to be.
    pub(super) process: Option<Process>,
    /// The range that its processes use, until the last one is gone.
    pub(super) ids: Option<IdRange>,
    pub(super) group: Group,
    /// Empty if nobody knows it any more.
    pub(super) disk: PathBuf,
    pub(super) phase: Phase,
    pub(super) afterwards: Afterwards,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Alive,
    /// Process 1 has been told to end.
    Ending,
    /// Process 1 has ended; the kernel is still taking things down.
    Releasing(Exit),
    /// All that it held is free again.
    Dead(Exit),
}

/// What to do once all is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// Keep the entry, to tell how it ended.
    Remember,
    /// It failed to start: nobody has been told that it was there.
    Forget { remove_disk: bool },
}

/// What a later spawner needs and cannot find out otherwise; kept with the cgroup.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) disk: PathBuf,
}

impl Registry {
    pub(super) fn new(cgroups: Cgroups, filter: Vec<Instruction>, stage: Stage, first_ids: IdRange) -> Self {
        let mut registry = Self { cgroups, filter, stage, first_ids, entries: BTreeMap::new() };
        registry.adopt_all();
        registry
    }

    /// The living ones with their handles, to be watched.
    pub(super) fn living(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let running = |entry: &Entry| matches!(entry.phase, Phase::Alive | Phase::Ending);
        self.entries.iter().filter(move |(_, entry)| running(entry)).filter_map(|(name, entry)| {
            let process = entry.process.as_ref()?;
            Some((name.as_str(), process.pidfd()))
        })
    }

    /// Whether the kernel is still taking something down.
    pub(super) fn is_releasing(&self) -> bool {
        self.entries.values().any(|entry| matches!(entry.phase, Phase::Releasing(_)))
    }

    /// Whether the kernel is still taking this one down.
    pub(super) fn is_releasing_one(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| matches!(entry.phase, Phase::Releasing(_)))
    }

    /// Whether nothing is left that needs a spawner.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.values().all(|entry| matches!(entry.phase, Phase::Dead(_)))
    }

    /// A range of ids that no process uses.
    pub(super) fn free_ids(&self) -> Result<IdRange, RuntimeError> {
        self.first_ids.next_free(self.entries.values().filter_map(|entry| entry.ids))
    }

    /// Takes note that process 1 of this container has ended.
    pub(super) fn reap(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name)
            && let Some(exit) = entry.process.as_ref().and_then(Process::reap)
        {
            entry.phase = Phase::Releasing(exit);
        }
    }

    /// Releases what can be released by now; returns the names of the containers that are done with it.
    pub(super) fn release(&mut self) -> Vec<String> {
        let mut released = Vec::new();
        for (name, entry) in &mut self.entries {
            if let Phase::Releasing(exit) = entry.phase
                && entry.is_free()
            {
                entry.ids = None;
                entry.phase = Phase::Dead(exit);
                released.push(name.clone());
            }
        }
        for name in &released {
            self.forget(name);
        }
        released
    }

    /// The state of at most `count` containers after `after`, and whether there are more.
    pub(super) fn list(&self, after: Option<&str>, count: usize) -> (Vec<ContainerStatus>, bool) {
        let rest = self.entries.iter().filter(|(name, entry)| {
            after.is_none_or(|after| name.as_str() > after) && entry.afterwards == Afterwards::Remember
        });
        let mut rest = rest.map(|(name, entry)| entry.status(name));
        let page = rest.by_ref().take(count).collect();
        (page, rest.next().is_some())
    }

    /// Drops the entry of a container that failed to start.
    fn forget(&mut self, name: &str) {
        let Some(Entry { afterwards: Afterwards::Forget { remove_disk }, disk, .. }) = self.entries.get(name)
        else {
            return;
        };
        if *remove_disk {
            // The caller is being told why the start failed; that is worth more than an error about this.
            let _ = disk::remove(disk);
        }
        self.entries.remove(name);
    }
}

impl Entry {
    /// Ends it. [`Registry::reap`] and [`Registry::release`] do the rest.
    pub(super) fn kill(&mut self) {
        if self.phase == Phase::Alive {
            self.phase = Phase::Ending;
        }
        self.process.as_ref().inspect(|process| process.kill());
        // Process 1 takes all others with it; this is for the case that it is stuck.
        let _ = self.group.kill();
    }

    /// Process 1 as the host numbers it; 0 if there never was one.
    pub(super) fn pid(&self) -> i32 {
        self.process.as_ref().map_or(0, |process| process.pid.as_raw_nonzero().get())
    }

    /// Whether the cgroup is gone and the disk unused. An error here is not a state of the sandbox, so it is tried
    /// again like one that is busy.
    fn is_free(&self) -> bool {
        let disk_is_free = || self.disk == Path::new("") || disk::is_released(&self.disk).unwrap_or(false);
        self.group.remove().unwrap_or(false) && disk_is_free()
    }

    fn status(&self, name: &str) -> ContainerStatus {
        let exit = match self.phase {
            Phase::Alive | Phase::Ending => None,
            Phase::Releasing(exit) | Phase::Dead(exit) => Some(exit),
        };
        ContainerStatus { name: name.to_owned(), pid: self.pid(), alive: exit.is_none(), exit }
    }
}
