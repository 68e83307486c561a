//! Which hierarchy has which controller: all in version 2, or some in hierarchies of version 1 beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::RuntimeError;

/// A kind of limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Cpu,
    Pids,
}

/// Where a controller is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// In the hierarchy of version 2.
    Unified,
    /// In a hierarchy of version 1, mounted here.
    Own(PathBuf),
}

/// The host's hierarchies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Mount point of version 2.
    pub(super) unified: PathBuf,
    memory: Home,
    cpu: Home,
    pids: Home,
}

impl Controller {
    pub(super) const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

impl Layout {
    /// Reads the host's mount table.
    pub(super) fn detect() -> Result<Self, RuntimeError> {
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
                return Ok(Home::Unified);
            }
            mount_point(mounts, |kind, options| kind == "cgroup" && options.split(',').any(|o| o == name))
                .map(Home::Own)
                .ok_or_else(|| lacking(&format!("{name} limits"), "no cgroup hierarchy has the controller"))
        };
        let (memory, cpu, pids) =
            (home(Controller::Memory)?, home(Controller::Cpu)?, home(Controller::Pids)?);
        Ok(Self { unified, memory, cpu, pids })
    }

    pub(super) fn home(&self, controller: Controller) -> &Home {
        match controller {
            Controller::Memory => &self.memory,
            Controller::Cpu => &self.cpu,
            Controller::Pids => &self.pids,
        }
    }

    /// Each hierarchy that we use once, version 2 first.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Path> {
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

    /// Hands the controllers of version 2 down to the children of `parent`.
    pub(super) fn delegate(&self, parent: &str) -> Result<(), RuntimeError> {
        let controllers = Controller::ALL.into_iter().filter(|c| *self.home(*c) == Home::Unified);
        for controller in controllers {
            for directory in [self.unified.clone(), self.unified.join(parent)] {
                let name = controller.name();
                fs::write(directory.join("cgroup.subtree_control"), format!("+{name}")).map_err(|error| {
                    let why = format!("the controller cannot be enabled in {}: {error}", directory.display());
                    lacking(&format!("{name} limits"), &why)
                })?;
            }
        }
        Ok(())
    }
}

fn lacking(what: &str, why: &str) -> RuntimeError {
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
    fn a_missing_controller_is_named() {
        let error = Layout::from_mounts(PURE, |_| "cpu pids".into()).expect_err("no memory controller");
        assert!(error.to_string().contains("memory limits"), "{error}");
        let error = Layout::from_mounts("", |_| String::new()).expect_err("no hierarchy");
        assert!(error.to_string().contains("control groups"), "{error}");
    }
}
