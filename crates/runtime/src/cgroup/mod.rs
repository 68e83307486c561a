//! One cgroup per sandbox: always one of version 2, which its life hangs on, and limits wherever the host's
//! controllers live.

mod layout;
mod limits;
mod memory_events;
mod proof;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, XattrFlags};

use crate::{Limits, RuntimeError};
pub use layout::Controller;
use layout::lacking;
pub(crate) use layout::{Home, Layout};
pub(crate) use memory_events::MemoryEvents;
pub use proof::{CpuUse, cpu_use, enforcers};

/// The extended attribute in which a sandbox's cgroup says what else belongs to it.
const NOTE: &str = "trusted.sandgate";

/// The cgroups of one instance.
#[derive(Debug)]
pub(crate) struct Cgroups {
    layout: Layout,
    parent: String,
}

/// The cgroup directories of one sandbox, the one of version 2 first.
#[derive(Debug)]
pub(crate) struct Group {
    directories: Vec<PathBuf>,
}

impl Cgroups {
    /// Finds the host's controllers and makes our parent cgroups. A host without version 2 is an error; one that lacks
    /// a controller has no sandboxes but those that do without it.
    pub(crate) fn open(instance: &str) -> Result<Self, RuntimeError> {
        let mut cgroups = Self { layout: Layout::detect()?, parent: format!("sandgate-{instance}") };
        cgroups.make_parents()?;
        Ok(cgroups)
    }

    /// The cgroup that a sandbox of this name has or would have.
    pub(crate) fn group(&self, name: &str) -> Group {
        Group { directories: self.parents().map(|parent| parent.join(name)).collect() }
    }

    /// The names of all sandboxes that have a cgroup.
    pub(crate) fn names(&self) -> Result<Vec<String>, RuntimeError> {
        let parent = self.layout.unified.join(&self.parent);
        let failed = || RuntimeError::io(format!("list {}", parent.display()));
        let mut names = Vec::new();
        for entry in fs::read_dir(&parent).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    /// Removes our parent cgroups if they are empty.
    pub(crate) fn remove_parents(&self) {
        for parent in self.parents() {
            // One that is in use after all stays, and the next spawner finds it.
            let _ = fs::remove_dir(parent);
        }
    }

    /// Our parent directories: version 2 first, then one for each controller that is elsewhere.
    fn parents(&self) -> impl Iterator<Item = PathBuf> {
        self.layout.roots().map(|root| root.join(&self.parent))
    }

    fn make_parents(&mut self) -> Result<(), RuntimeError> {
        let unified = self.layout.unified.join(&self.parent);
        make_directory(&unified).map_err(|error| lacking("control groups", &not_made(&unified, &error)))?;
        for controller in Controller::ALL {
            let Home::Own(root) = self.layout.home(controller) else { continue };
            let parent = root.join(&self.parent);
            if let Err(error) = make_directory(&parent) {
                self.layout.lose(controller, not_made(&parent, &error));
            }
        }
        self.layout.delegate(&self.parent);
        // Sandboxes together yield to the gateway and to the spawner when the processor is short.
        if let Some(root) = self.layout.root(Controller::Cpu) {
            limits::yield_to_us(&root.join(&self.parent));
        }
        Ok(())
    }

    /// Makes a sandbox's cgroup with its limits. What a failure leaves is the caller's to remove.
    pub(crate) fn make(&self, group: &Group, limits: Limits) -> Result<(), RuntimeError> {
        for directory in &group.directories {
            make_directory(directory)
                .map_err(RuntimeError::io(format!("make the cgroup {}", directory.display())))?;
        }
        for controller in Controller::ALL {
            let applied = self.apply(controller, group, limits);
            if !limits.best_effort {
                applied?;
            }
        }
        Ok(())
    }

    /// Begins to watch a sandbox's memory; its cgroup must be there.
    pub(crate) fn watch_memory(&self, name: &str) -> io::Result<MemoryEvents> {
        let directory = |root: &Path| root.join(&self.parent).join(name);
        match self.layout.home(Controller::Memory) {
            Home::Unified => MemoryEvents::unified(&directory(&self.layout.unified)),
            Home::Own(root) => MemoryEvents::own(&directory(root)),
            Home::Absent(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn apply(&self, controller: Controller, group: &Group, limits: Limits) -> Result<(), RuntimeError> {
        let root = match self.layout.home(controller) {
            Home::Unified => &self.layout.unified,
            Home::Own(root) => root,
            Home::Absent(why) => return Err(lacking(&format!("{} limits", controller.name()), why)),
        };
        let name = group.unified().file_name().unwrap_or_default();
        let directory = root.join(&self.parent).join(name);
        limits::apply(controller, self.layout.home(controller), &directory, limits)
    }
}

fn not_made(directory: &Path, error: &io::Error) -> String {
    format!("{} cannot be made ({error}); is the hierarchy writable?", directory.display())
}

impl Group {
    /// A handle on the cgroup of version 2, to clone into.
    pub(crate) fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(self.unified(), flags, Mode::empty())?)
    }

    /// The ways into the other cgroups for a process that was cloned into the one of version 2.
    pub(crate) fn doors(&self) -> io::Result<Doors> {
        let open = |directory: &PathBuf| OpenOptions::new().write(true).open(directory.join("cgroup.procs"));
        Ok(Doors(self.directories[1..].iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Kills every process of the sandbox.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match fs::write(self.unified().join("cgroup.kill"), "1") {
            // Before 5.14 there is no such file; process 1 takes the others with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes the directories; `false` while the kernel still counts a dead process in one of them.
    pub(crate) fn remove(&self) -> io::Result<bool> {
        let mut gone = true;
        for directory in self.directories.iter().rev() {
            match fs::remove_dir(directory) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => gone = false,
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    /// Leaves a note for a later spawner. It lives and dies with the cgroup.
    pub(crate) fn write_note(&self, note: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::setxattr(self.unified(), NOTE, note, XattrFlags::empty())?)
    }

    /// The note, if there is one.
    pub(crate) fn read_note(&self) -> io::Result<Vec<u8>> {
        let mut space = [0; 8 << 10];
        let length = rustix::fs::getxattr(self.unified(), NOTE, &mut space)?;
        Ok(space[..length].to_vec())
    }

    fn unified(&self) -> &Path {
        &self.directories[0]
    }
}

/// The ways into the cgroups of version 1, memory before cpu. The process that goes in opens them by descriptor.
pub(crate) struct Doors(Vec<File>);

impl Doors {
    /// Moves the calling process into the first. That takes the kernel some milliseconds when it has not done such a
    /// thing for a while, so other work should go on beside it.
    pub(crate) fn enter_first(&self) -> io::Result<()> {
        self.0.iter().take(1).try_for_each(enter)
    }

    /// Moves the calling process into the others. From then on it has no more than the sandbox's share of the processor.
    pub(crate) fn enter_others(&self) -> io::Result<()> {
        self.0.iter().skip(1).try_for_each(enter)
    }
}

fn enter(mut door: &File) -> io::Result<()> {
    door.write_all(b"0")
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
