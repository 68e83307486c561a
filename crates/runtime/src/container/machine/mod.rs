//! The machine that a sandbox sees: as many processors and as much memory as it may use, and not the host's. The texts
//! are made once for each size and kept on the stage; a sandbox gets read-only mounts of them.

mod text;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat, renameat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::stage::{Stage, open_directory};
use crate::mount::{FIXED, restrict};
use crate::{Limits, RuntimeError};
use text::{Host, Size};

/// The files of `/proc` that are covered.
pub(super) const FILES: [&str; 3] = ["cpuinfo", "meminfo", "stat"];

/// A directory of [`Machine::sys`] that is empty.
pub(super) const EMPTY: &str = "kernel";

/// What each set of texts has besides files; a directory stands before what is in it.
const DIRECTORIES: [&str; 5] =
    ["sys", "sys/kernel", "sys/devices", "sys/devices/system", "sys/devices/system/cpu"];

/// The name of a set of texts until it is complete.
const PARTIAL: &str = "partial";

/// Mounts for one sandbox, attached nowhere yet.
pub(super) struct Machine {
    /// For `/sys`.
    pub(super) sys: OwnedFd,
    /// For [`FILES`], in that order.
    pub(super) files: [OwnedFd; FILES.len()],
}

impl Machine {
    /// Takes mounts of the texts for these limits, which are made if they are the first of their size.
    pub(super) fn new(limits: Limits, stage: &Stage) -> Result<Self, RuntimeError> {
        let size = Size::of(limits);
        Self::sized(size, stage).map_err(RuntimeError::io("show the sandbox a machine of its size"))
    }

    fn sized(size: Size, stage: &Stage) -> std::io::Result<Self> {
        let name = format!("machine-{}-{}", size.processors, size.memory_kib);
        let texts = match open_directory(stage.root(), Path::new(&name)) {
            Err(Errno::NOENT) => write_texts(size, stage.root(), &name)?,
            other => other?,
        };
        let [cpuinfo, meminfo, stat] = FILES.map(|name| read_only(texts.as_fd(), name));
        Ok(Self { sys: read_only(texts.as_fd(), "sys")?, files: [cpuinfo?, meminfo?, stat?] })
    }

    /// All the mounts, to be handed over.
    pub(super) fn handles(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.sys].into_iter().chain(&self.files).map(AsFd::as_fd)
    }

    /// From what [`Self::handles`] has become on the other side.
    pub(super) fn from_handles(handles: &mut impl Iterator<Item = OwnedFd>) -> Option<Self> {
        let sys = handles.next()?;
        let files: Vec<OwnedFd> = handles.take(FILES.len()).collect();
        Some(Self { sys, files: files.try_into().ok()? })
    }
}

/// Writes a set of texts. It gets its name last, so that one with a name is complete.
fn write_texts(size: Size, root: BorrowedFd<'_>, name: &str) -> std::io::Result<OwnedFd> {
    let host = Host::read()?;
    make_directory(root, PARTIAL)?;
    let texts = open_directory(root, Path::new(PARTIAL))?;
    for path in DIRECTORIES {
        make_directory(texts.as_fd(), path)?;
    }
    let [cpuinfo, meminfo, stat] = FILES;
    write(texts.as_fd(), cpuinfo, &host.cpuinfo(size))?;
    write(texts.as_fd(), meminfo, &host.meminfo(size))?;
    write(texts.as_fd(), stat, &host.stat(size))?;
    for (file, text) in [
        ("online", host.online(size)),
        ("present", host.online(size)),
        ("possible", host.possible().to_owned()),
    ] {
        write(texts.as_fd(), &format!("sys/devices/system/cpu/{file}"), &text)?;
    }
    renameat(root, PARTIAL, root, name)?;
    Ok(texts)
}

/// One that an attempt before has left is as good as a new one.
fn make_directory(at: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
    match mkdirat(at, path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn write(at: BorrowedFd<'_>, path: &str, text: &str) -> std::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(at, path, flags, Mode::from_raw_mode(0o444))?;
    std::io::Write::write_all(&mut std::fs::File::from(file), text.as_bytes())
}

/// A mount of one of the texts, or of a directory of them. They are attached, as those have to be before 6.15 of which
/// a copy is taken.
fn read_only(texts: BorrowedFd<'_>, path: &str) -> std::io::Result<OwnedFd> {
    let mount = open_tree(texts, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    restrict(mount.as_fd(), FIXED | MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    Ok(mount)
}
