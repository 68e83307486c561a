//! Which hierarchy has which controller: all in version 2, or some in hierarchies of version 1 beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::RuntimeError;

/// A part of the kernel that holds sandboxes to a kind of limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// [`crate::Limits::memory_bytes`]
    Memory,
    /// [`crate::Limits::cpu_millis`]
    Cpu,
    /// [`crate::Limits::pids`]
    Pids,
}

/// Where a controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the hierarchy of version 2.
    Unified,
    /// In a hierarchy of version 1, mounted here.
    Own(PathBuf),
    /// Nowhere that we could use, and why.
    Absent(String),
}

/// The host's hierarchies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Mount point of version 2.
    pub(crate) unified: PathBuf,
    memory: Home,
    cpu: Home,
    pids: Home,
}

impl Controller {
    /// Every controller that sandboxes are limited by.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

impl Layout {
    /// Reads the host's mount table.
    pub(crate) fn detect() -> Result<Self, RuntimeError> {
        let mounts =
            fs::read_to_string("/proc/self/mounts").map_err(RuntimeError::io("read the mount table"))?;
        Self::from_mounts(&mounts, |unified| {
            fs::read_to_string(unified.join("cgroup.controllers")).unwrap_or_default()
        })
    }

    /// `offered` reads which controllers the hierarchy of version 2 has.
    fn from_mounts(mounts: &str, offered: impl Fn(&Path) -> String) -> Result<Self, RuntimeError> {
        let unified = mount_point(mounts, |kind, _| kind == "cgroup2")
            .ok_or_else(|| lacking("control groups", "no cgroup2 file system is mounted"))?;
        let offered = offered(&unified);
        let home = |controller: Controller| {
            let name = controller.name();
            if offered.split_whitespace().any(|offer| offer == name) {
                return Home::Unified;
            }
            mount_point(mounts, |kind, options| kind == "cgroup" && options.split(',').any(|o| o == name))
                .map_or_else(|| Home::Absent("no cgroup hierarchy has the controller".into()), Home::Own)
        };
        let (memory, cpu, pids) = (home(Controller::Memory), home(Controller::Cpu), home(Controller::Pids));
        Ok(Self { unified, memory, cpu, pids })
    }

    pub(crate) fn home(&self, controller: Controller) -> &Home {
        match controller {
            Controller::Memory => &self.memory,
            Controller::Cpu => &self.cpu,
            Controller::Pids => &self.pids,
        }
    }

    /// Notes that a controller is of no use to us.
    pub(super) fn lose(&mut self, controller: Controller, why: String) {
        let home = match controller {
            Controller::Memory => &mut self.memory,
            Controller::Cpu => &mut self.cpu,
            Controller::Pids => &mut self.pids,
        };
        *home = Home::Absent(why);
    }

    /// Where `controller` keeps its files; `None` if it is absent.
    pub(super) fn root(&self, controller: Controller) -> Option<&Path> {
        match self.home(controller) {
            Home::Unified => Some(&self.unified),
            Home::Own(root) => Some(root),
            Home::Absent(_) => None,
        }
    }

    /// Each hierarchy that we use once, version 2 first.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        let mut roots = vec![self.unified.as_path()];
        for controller in Controller::ALL {
            if let Home::Own(root) = self.home(controller)
                && !roots.contains(&root.as_path())
            {
                roots.push(root);
            }
        }
        roots.into_iter()
    }

    /// Hands the controllers of version 2 down to the children of `parent`. One that the kernel does not hand down is
    /// lost.
    pub(super) fn delegate(&mut self, parent: &str) {
        let directories = [self.unified.clone(), self.unified.join(parent)];
        for controller in Controller::ALL {
            if *self.home(controller) == Home::Unified
                && let Err(why) = directories.iter().try_for_each(|directory| enable(controller, directory))
            {
                self.lose(controller, why);
            }
        }
    }
}

/// Lets the children of a cgroup of version 2 have limits of this kind.
fn enable(controller: Controller, directory: &Path) -> Result<(), String> {
    fs::write(directory.join("cgroup.subtree_control"), format!("+{}", controller.name()))
        .map_err(|error| format!("the controller cannot be enabled in {}: {error}", directory.display()))
}

/// The error of a host without something.
pub(super) fn lacking(what: &str, why: &str) -> RuntimeError {
    RuntimeError::Unsupported { what: what.to_owned(), why: why.to_owned() }
}

/// The first mount point whose type and options satisfy `wanted`.
fn mount_point(mounts: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        wanted(kind, options).then(|| PathBuf::from(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "proc /proc proc rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
        cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
    const PURE: &str = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";

    #[test]
    fn a_pure_host_has_all_in_one_hierarchy() {
        let layout = Layout::from_mounts(PURE, |_| "cpuset cpu io memory pids\n".into()).expect("usable");
        assert!(Controller::ALL.into_iter().all(|c| *layout.home(c) == Home::Unified));
        assert_eq!(layout.roots().collect::<Vec<_>>(), [Path::new("/sys/fs/cgroup")]);
    }

    #[test]
    fn a_hybrid_host_has_the_limits_elsewhere() {
        let layout = Layout::from_mounts(HYBRID, |_| "hugetlb\n".into()).expect("usable");
        assert_eq!(*layout.home(Controller::Cpu), Home::Own("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(layout.roots().count(), 4);
    }

    #[test]
    fn a_missing_controller_is_noticed() {
        let layout = Layout::from_mounts(PURE, |_| "cpu pids".into()).expect("usable for the rest");
        assert!(matches!(layout.home(Controller::Memory), Home::Absent(_)));
        assert_eq!(layout.root(Controller::Memory), None);
        assert_eq!(layout.roots().count(), 1);
    }

    #[test]
    fn without_version_2_there_are_no_sandboxes() {
        let error = Layout::from_mounts("", |_| String::new()).expect_err("no hierarchy");
        assert!(error.to_string().contains("control groups"), "{error}");
    }
}
