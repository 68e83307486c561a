//! All containers, and what becomes of each: alive, then being released, then remembered until somebody has asked.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libc::sock_filter as Instruction;
use serde::{Deserialize, Serialize};

use super::events::{Events, Token};
use crate::cgroup::{Cgroups, Group, MemoryEvents};
use crate::container::{IdRange, Process, Stage};
use crate::stat::Stat;
use crate::{ContainerStatus, Exit, RuntimeError, disk};

/// A death so soon after a kill for want of memory is that kill.
const SAME_KILL: Duration = Duration::from_millis(250);

/// Every container that the spawner knows, by name.
pub(super) struct Registry {
    pub(super) cgroups: Cgroups,
    pub(super) filter: Vec<Instruction>,
    pub(super) stage: Stage,
    /// Where the search for ids begins.
    first_ids: IdRange,
    pub(super) entries: BTreeMap<String, Entry>,
    /// The names by the numbers that stand in tokens.
    numbers: HashMap<u64, String>,
    next_number: u64,
    /// Those whose events are not waited for yet.
    unwatched: Vec<String>,
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
    pub(super) suspended: bool,
    pub(super) oom_kills: u64,
    /// When the last of these kills was counted.
    last_kill: Option<Instant>,
    pub(super) ended_by_memory: bool,
    /// From when its events are waited for until process 1 has ended.
    memory: Option<MemoryEvents>,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Afterwards {
    /// Keep the entry, to tell how it ended.
    Remember,
    /// It failed to start: nobody has been told that it was there.
    Forget { remove_disk: bool },
}

impl Registry {
    pub(super) fn new(cgroups: Cgroups, filter: Vec<Instruction>, stage: Stage, first_ids: IdRange) -> Self {
        Self {
            cgroups,
            filter,
            stage,
            first_ids,
            entries: BTreeMap::new(),
            numbers: HashMap::new(),
            next_number: 0,
            unwatched: Vec::new(),
        }
    }

    /// Enters a container.
    pub(super) fn insert(&mut self, name: String, entry: Entry) {
        if entry.is_running() {
            self.unwatched.push(name.clone());
        }
        self.entries.insert(name, entry);
    }

    /// Begins to wait for the events of containers that are new. Where that fails it is tried again by the next call.
    pub(super) fn watch_new(&mut self, events: &Events) {
        for name in std::mem::take(&mut self.unwatched) {
            let number = self.next_number;
            self.next_number += 1;
            if self.watch(events, &name, number).is_err() {
                self.unwatched.push(name);
            }
        }
    }

    fn watch(&mut self, events: &Events, name: &str, number: u64) -> Result<(), rustix::io::Errno> {
        let Some(entry) = self.entries.get_mut(name) else { return Ok(()) };
        let Some(process) = &entry.process else { return Ok(()) };
        events.add(process.pidfd(), Token::Process(number))?;
        self.numbers.insert(number, name.to_owned());
        // Without it a kill is noticed when process 1 ends of it, and not before.
        if let Ok(memory) = self.cgroups.watch_memory(name) {
            let _ = events.add_for(&memory, Token::Memory(number), memory.flags());
            entry.memory = Some(memory);
        }
        Ok(())
    }

    /// Whether some container's events are not waited for yet.
    pub(super) fn has_unwatched(&self) -> bool {
        !self.unwatched.is_empty()
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

    /// Takes note that process 1 of the container of this number has ended. Its name, if nobody asked for that.
    pub(super) fn reap(&mut self, number: u64, events: &Events) -> Option<String> {
        let name = self.numbers.get(&number)?;
        let entry = self.entries.get_mut(name)?;
        let process = entry.process.as_ref()?;
        let exit = process.reap()?;
        events.remove(process.pidfd());
        if let Some(memory) = entry.memory.take() {
            entry.take_kills(memory.kills());
            events.remove(&memory);
        }
        entry.ended_by_memory = entry.last_kill.is_some_and(|at| at.elapsed() < SAME_KILL);
        let unasked = entry.phase == Phase::Alive;
        entry.phase = Phase::Releasing(exit);
        self.numbers.remove(&number).filter(|_| unasked)
    }

    /// Looks how many processes of the container of this number the kernel has killed for want of memory. Its name, if
    /// there are more than before.
    pub(super) fn count_kills(&mut self, number: u64) -> Option<String> {
        let name = self.numbers.get(&number)?;
        let entry = self.entries.get_mut(name)?;
        let kills = entry.memory.as_ref()?.kills();
        entry.take_kills(kills).then(|| name.clone())
    }

    /// Looks which first processes a signal has stopped, or let go on, since the last time; returns their names.
    pub(super) fn look_for_suspended(&mut self) -> Vec<String> {
        let running = self.entries.iter_mut().filter(|(_, entry)| entry.is_running());
        running
            .filter_map(|(name, entry)| {
                let suspended = entry.process.as_ref()?.was_suspended()?;
                (std::mem::replace(&mut entry.suspended, suspended) != suspended).then(|| name.clone())
            })
            .collect()
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

    /// The state of one container.
    pub(super) fn status(&self, name: &str) -> Option<ContainerStatus> {
        let entry = self.entries.get(name).filter(|entry| entry.afterwards == Afterwards::Remember)?;
        Some(entry.status(name))
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
    /// A container that nothing is known to have happened to.
    pub(super) fn new(
        process: Option<Process>,
        group: Group,
        (phase, afterwards): (Phase, Afterwards),
    ) -> Self {
        Self {
            process,
            ids: None,
            group,
            disk: PathBuf::new(),
            phase,
            afterwards,
            suspended: false,
            oom_kills: 0,
            last_kill: None,
            ended_by_memory: false,
            memory: None,
        }
    }

    /// Whether the kernel has killed more processes for want of memory than was known.
    fn take_kills(&mut self, kills: u64) -> bool {
        let grown = kills > self.oom_kills;
        if grown {
            self.last_kill = Some(Instant::now());
        }
        self.oom_kills = kills;
        grown
    }

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

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Alive | Phase::Ending)
    }

    /// Whether the cgroup is gone and the disk unused. An error here is not a state of the sandbox, so it is tried
    /// again like one that is busy.
    fn is_free(&self) -> bool {
        let disk_is_free = || self.disk == Path::new("") || disk::is_released(&self.disk).unwrap_or(false);
        self.group.remove().unwrap_or(false) && disk_is_free()
    }

    fn is_suspended(&self) -> bool {
        match &self.process {
            // One that is no child of ours does not tell us.
            Some(process) if !process.is_child() => {
                Stat::of(self.pid()).is_some_and(|stat| stat.is_stopped())
            }
            _ => self.suspended,
        }
    }

    fn status(&self, name: &str) -> ContainerStatus {
        let exit = match self.phase {
            Phase::Alive | Phase::Ending => None,
            Phase::Releasing(exit) | Phase::Dead(exit) => Some(exit),
        };
        ContainerStatus {
            name: name.to_owned(),
            pid: self.pid(),
            alive: exit.is_none(),
            exit,
            suspended: exit.is_none() && self.is_suspended(),
            oom_kills: self.oom_kills,
            ended_by_memory: self.ended_by_memory && exit.is_some(),
        }
    }
}
