//! What a provider in memory holds: its sandboxes, those that will appear only later, and those that are gone but still
//! listed.

use super::folder::Folder;
use super::map::Map;
use super::switch::Switch;
use sandgate_core::Handle;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The objects of all installations on one host, in memory or in a folder that outlives the process.
///
/// In a folder, each sandbox is a file whose name is the sandbox's external name and whose text is `running HANDLE` or
/// `stopped HANDLE`, so that a test may count, plant and remove sandboxes while a server uses them. A third word is
/// the time in milliseconds since 1970 until which the provider does not tell of it. Folders `late` and `gone` beside
/// them hold what is yet to appear, and what is still listed; files `outage` and `release` are the switches.
#[derive(Debug)]
pub struct World {
    sandboxes: Box<dyn Shelf>,
    late: Box<dyn Shelf>,
    gone: Box<dyn Shelf>,
    /// While it is on, nobody reaches the provider.
    pub outage: Switch,
    /// While it is on, nothing is stuck.
    pub release: Switch,
    opened: (u64, Instant),
}

/// One kind of object, by external name. Each call is done at once or not at all.
pub(super) trait Shelf: Debug + Send + Sync {
    /// What is there.
    fn get(&self, name: &str) -> io::Result<Option<Held>>;

    /// Puts it there, unless something is: tells what is there afterwards.
    fn put(&self, name: &str, held: Held) -> io::Result<Held>;

    /// Puts it in the place of what is there. Nothing happens where nothing is.
    fn replace(&self, name: &str, held: Held) -> io::Result<()>;

    /// Takes it away; tells whether it was there. Of several who ask, one is told so.
    fn remove(&self, name: &str) -> io::Result<bool>;

    /// Everything.
    fn all(&self) -> io::Result<BTreeMap<String, Held>>;
}

/// A sandbox, as the provider holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) handle: Handle,
    pub(super) running: bool,
    /// In milliseconds since 1970: the end of its being hidden, late or still listed.
    pub(super) until: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            sandboxes: Box::new(Map::default()),
            late: Box::new(Map::default()),
            gone: Box::new(Map::default()),
            outage: Switch::default(),
            release: Switch::default(),
            opened: opened(),
        }
    }
}

impl World {
    /// A world that is kept in `folder`, which is made if it is not there. What was left there is still the case.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            sandboxes: Box::new(Folder::open(folder.to_owned())?),
            late: Box::new(Folder::open(folder.join("late"))?),
            gone: Box::new(Folder::open(folder.join("gone"))?),
            outage: Switch::File(folder.join("outage")),
            release: Switch::File(folder.join("release")),
            opened: opened(),
        })
    }

    /// The sandbox of that name, hidden or not.
    pub(super) fn get(&self, name: &str) -> io::Result<Option<Held>> {
        if let Some(late) = self.late.get(name)?
            && late.until <= self.now()
        {
            self.appear(name, late)?;
        }
        self.sandboxes.get(name)
    }

    /// Makes a sandbox that runs, or finds the one that was made before. One that was to appear later is there at once.
    pub(super) fn make(&self, name: &str, hidden: Duration) -> io::Result<Held> {
        let new = self.late.get(name)?.unwrap_or_else(new);
        let made = self.sandboxes.put(name, Held { until: self.after(hidden), ..new })?;
        self.late.remove(name)?;
        Ok(made)
    }

    /// Makes a sandbox that is nowhere to be found for now, and can be neither stopped nor deleted.
    pub(super) fn make_later(&self, name: &str, delay: Duration) -> io::Result<()> {
        self.late.put(name, Held { until: self.after(delay), ..new() }).map(drop)
    }

    /// Starts or stops a sandbox.
    pub(super) fn turn(&self, name: &str, running: bool) -> io::Result<()> {
        match self.get(name)? {
            Some(held) => self.sandboxes.replace(name, Held { running, ..held }),
            None => Ok(()),
        }
    }

    /// Takes a sandbox away. Lists tell of it for a while longer.
    pub(super) fn remove(&self, name: &str, listed: Duration) -> io::Result<()> {
        if !listed.is_zero()
            && let Some(held) = self.get(name)?
        {
            self.gone.remove(name)?;
            self.gone.put(name, Held { until: self.after(listed), ..held })?;
        }
        self.sandboxes.remove(name).map(drop)
    }

    /// Every sandbox that there is.
    pub(super) fn all(&self) -> io::Result<BTreeMap<String, Held>> {
        for (name, late) in self.late.all()? {
            if late.until <= self.now() {
                self.appear(&name, late)?;
            }
        }
        self.sandboxes.all()
    }

    /// Every sandbox that the provider tells of: without those that are hidden, with those that are gone.
    pub(super) fn told(&self) -> io::Result<BTreeMap<String, Held>> {
        let mut told = BTreeMap::new();
        for (name, gone) in self.gone.all()? {
            if gone.until <= self.now() {
                self.gone.remove(&name)?;
            } else {
                told.insert(name, gone);
            }
        }
        let there = self.all()?.into_iter().filter(|(_, held)| !self.is_hidden(held));
        told.extend(there);
        Ok(told)
    }

    /// Whether the provider does not tell of it yet.
    pub(super) fn is_hidden(&self, held: &Held) -> bool {
        held.until > self.now()
    }

    fn appear(&self, name: &str, late: Held) -> io::Result<()> {
        // Whoever comes second must not bring it back after a delete.
        if self.late.remove(name)? {
            self.sandboxes.put(name, late)?;
        }
        Ok(())
    }

    fn after(&self, time: Duration) -> u64 {
        if time.is_zero() { 0 } else { self.now() + millis(time) }
    }

    /// Goes by tokio's clock, so that a test may turn it, and means the same to the next process.
    fn now(&self) -> u64 {
        let (then, instant) = self.opened;
        then + millis(instant.elapsed())
    }
}

fn new() -> Held {
    Held { handle: Handle(format!("memory-{}", uuid::Uuid::new_v4().simple())), running: true, until: 0 }
}

fn opened() -> (u64, Instant) {
    (SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis), Instant::now())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
