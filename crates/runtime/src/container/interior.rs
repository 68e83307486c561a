//! What every sandbox has inside whatever its files are: `/proc`, `/dev`, `/run`, and a small `/sys`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, major, minor};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, fsconfig_set_string, open_tree};

use super::attach::attach_at;
use super::machine::{EMPTY, FILES, Machine};
use crate::mount::{FIXED, FileSystem, HARMLESS, attach, copy_of_open, find, restrict};
use crate::{Limits, RuntimeError};

/// The devices, with the numbers that prove a host node to be the one it is named for.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Parts of `/proc` that tell of the host. What the kernel does not have is left out.
const MASKED: [&str; 18] = [
    "acpi",
    "asound",
    "cmdline",
    "config.gz",
    "diskstats",
    // Has a directory for each loop device, so for each other sandbox.
    "fs",
    "interrupts",
    "kcore",
    "keys",
    "kmsg",
    "latency_stats",
    "partitions",
    // Opens for writing: a watch there is work for a thread of the host's kernel.
    "pressure",
    "sched_debug",
    "scsi",
    "swaps",
    "timer_list",
    "timer_stats",
];

/// Parts of `/proc` that change the host.
const READ_ONLY: [&str; 4] = ["bus", "irq", "sys", "sysrq-trigger"];

const NO_EXEC: MountAttrFlags = HARMLESS.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A source or a target of a mount: its name, and a handle.
type Named = (&'static str, OwnedFd);

/// The file systems, made while the parent still works on the root, and attached nowhere yet.
pub(super) struct Interior {
    proc: OwnedFd,
    dev: OwnedFd,
    pts: OwnedFd,
    shm: OwnedFd,
    run: OwnedFd,
    /// The host's device nodes, checked.
    devices: Vec<Named>,
}

impl Interior {
    /// Makes them. The caller is root of the sandbox's user namespace, still among the host's mounts.
    pub(super) fn prepare(limits: Limits) -> Result<Self, RuntimeError> {
        // Shared memory counts as the sandbox's memory, so this bound is there to leave room for processes.
        let shm_size = (limits.memory_bytes / 2).to_string();
        Ok(Self {
            proc: new("proc", &[], NO_EXEC)?,
            dev: new_dev()?,
            pts: new(
                "devpts",
                &[("mode", "620"), ("ptmxmode", "666"), ("gid", "5")],
                MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
            )?,
            shm: new("tmpfs", &[("mode", "1777"), ("size", &shm_size)], NO_EXEC)?,
            run: new("tmpfs", &[("mode", "755"), ("size", "16m")], HARMLESS)?,
            devices: DEVICES.into_iter().map(host_device).collect::<Result<_, _>>()?,
        })
    }

    /// Attaches them, and the machine, below `root`, which must be attached itself.
    pub(super) fn attach(&self, root: BorrowedFd<'_>, machine: &Machine) -> Result<(), RuntimeError> {
        for (place, mount) in
            [("proc", &self.proc), ("dev", &self.dev), ("run", &self.run), ("sys", &machine.sys)]
        {
            attach_at(root, place, mount.as_fd())?;
        }
        self.fill_dev().map_err(RuntimeError::io("set up /dev"))?;
        self.guard_proc(machine).map_err(RuntimeError::io("mask parts of /proc"))
    }

    fn fill_dev(&self) -> Result<(), Errno> {
        for (name, device) in &self.devices {
            let target = find(self.dev.as_fd(), name, OFlags::empty())?;
            place(&copy_of_open(device.as_fd())?, MountAttrFlags::MOUNT_ATTR_NOSUID, target.as_fd())?;
        }
        attach(self.pts.as_fd(), find(self.dev.as_fd(), "pts", OFlags::DIRECTORY)?.as_fd())?;
        attach(self.shm.as_fd(), find(self.dev.as_fd(), "shm", OFlags::DIRECTORY)?.as_fd())
    }

    /// Everything here is found below the handle of our own fresh `/proc`, so nothing of an image can get in between.
    fn guard_proc(&self, machine: &Machine) -> Result<(), Errno> {
        for path in READ_ONLY {
            let Some(target) = self.in_proc(path)? else { continue };
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_EMPTY_PATH
                | OpenTreeFlags::AT_RECURSIVE;
            place(&open_tree(&target, "", flags)?, FIXED | NO_EXEC, target.as_fd())?;
        }
        let empty = find(machine.sys.as_fd(), EMPTY, OFlags::DIRECTORY)?;
        for path in MASKED {
            let Some(target) = self.in_proc(path)? else { continue };
            let is_directory = FileType::from_raw_mode(fstat(&target)?.st_mode) == FileType::Directory;
            let cover = if is_directory { empty.as_fd() } else { self.null() };
            // Not NODEV: the null device shall read as empty.
            let fixed = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID;
            place(&copy_of_open(cover)?, fixed, target.as_fd())?;
        }
        for (path, file) in FILES.into_iter().zip(&machine.files) {
            attach(file.as_fd(), find(self.proc.as_fd(), path, OFlags::empty())?.as_fd())?;
        }
        Ok(())
    }

    fn in_proc(&self, path: &str) -> Result<Option<OwnedFd>, Errno> {
        match find(self.proc.as_fd(), path, OFlags::empty()) {
            Err(Errno::NOENT) => Ok(None),
            other => other.map(Some),
        }
    }

    fn null(&self) -> BorrowedFd<'_> {
        self.devices[0].1.as_fd()
    }
}

/// Restricts a mount and attaches it.
fn place(mount: &OwnedFd, attributes: MountAttrFlags, target: BorrowedFd<'_>) -> Result<(), Errno> {
    restrict(mount.as_fd(), attributes)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    attach(mount.as_fd(), target)
}

fn new(
    kind: &'static str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, RuntimeError> {
    let system = FileSystem::open(kind)?;
    system.configure(|fs| fsconfig_set_string(fs, "source", kind))?;
    system
        .configure(|fs| options.iter().try_for_each(|(key, value)| fsconfig_set_string(fs, *key, *value)))?;
    system.mount(attributes)
}

/// A `/dev` with its directories and links, and an empty file where each device goes.
fn new_dev() -> Result<OwnedFd, RuntimeError> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let dev = new("tmpfs", &[("mode", "755"), ("size", "64k")], attributes)?;
    let fill = || -> Result<(), Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        for (name, ..) in DEVICES {
            drop(rustix::fs::openat(&dev, name, flags, Mode::from_raw_mode(0o666))?);
        }
        for name in ["pts", "shm"] {
            rustix::fs::mkdirat(&dev, name, Mode::from_raw_mode(0o755))?;
        }
        LINKS.into_iter().try_for_each(|(name, target)| rustix::fs::symlinkat(target, &dev, name))
    };
    fill().map_err(RuntimeError::io("fill /dev"))?;
    Ok(dev)
}

/// The host's node, if it is the device it is named for.
fn host_device((name, want_major, want_minor): (&'static str, u32, u32)) -> Result<Named, RuntimeError> {
    let failed = || RuntimeError::io(format!("open the host's /dev/{name}"));
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::open(format!("/dev/{name}"), flags, Mode::empty()).map_err(failed())?;
    let stat = fstat(&node).map_err(failed())?;
    let is_it = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (want_major, want_minor);
    if is_it {
        return Ok((name, node));
    }
    let why = format!("the host's /dev/{name} is not the device {want_major}:{want_minor}");
    Err(RuntimeError::Unsupported { what: "sandbox devices".into(), why })
}
