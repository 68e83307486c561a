//! The overlay of a sandbox: read-only layers below, the sandbox's disk on top.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{StatVfsMountFlags, fstatvfs};
use rustix::io::Errno;
use rustix::mount::{fsconfig_set_fd, fsconfig_set_string};

use super::identity::{IdRange, as_root_of};
use super::stage::Stage;
use crate::RuntimeError;
use crate::disk::{Directories, spare};
use crate::mount::{FileSystem, HARMLESS};

/// One directory of a mount that is attached nowhere.
pub(super) struct Layer {
    /// Open for reading, as overlayfs wants it (before 6.15).
    pub(super) directory: OwnedFd,
    /// Closing it would take the mount away under the directory.
    pub(super) mount: OwnedFd,
}

/// What an overlay is made of, with all owners mapped.
pub(super) struct Layers<'a> {
    /// The topmost first.
    pub(super) lowers: Vec<Layer>,
    pub(super) disk: &'a Directories,
    pub(super) disk_mount: BorrowedFd<'a>,
}

/// Makes the overlay for the sandbox with these ids, and makes sure that it can be written to.
pub(super) fn overlay(layers: &Layers<'_>, ids: IdRange, stage: &Stage) -> Result<OwnedFd, RuntimeError> {
    match with_room(layers, ids, || as_root_of(ids, || mount(|fs| set_by_descriptor(fs, layers)))?) {
        Err(error) if is_of_an_older_kernel(&error) => {
            // What has been taken off the stage cannot be attached again, so it stays there for both attempts.
            let mounts = layers.lowers.iter().map(|lower| lower.mount.as_fd()).chain([layers.disk_mount]);
            let staged = stage.attach(mounts)?;
            let root = with_room(layers, ids, || as_root_of(ids, || mount(|fs| set_by_path(fs, layers)))?);
            drop(staged);
            root
        }
        other => other,
    }
}

/// Overlayfs needs some inodes while it mounts; where the sandbox has used them all up, its disk's spare ones go.
fn with_room(
    layers: &Layers<'_>,
    ids: IdRange,
    make: impl Fn() -> Result<OwnedFd, RuntimeError>,
) -> Result<OwnedFd, RuntimeError> {
    let first = make().and_then(writable);
    if first.as_ref().is_err_and(may_lack_room) && as_root_of(ids, || spare::give_up(layers.disk_mount))? {
        return make().and_then(writable);
    }
    first
}

fn writable(root: OwnedFd) -> Result<OwnedFd, RuntimeError> {
    let statistics = fstatvfs(&root).map_err(RuntimeError::io("examine the new root"))?;
    if statistics.f_flag.contains(StatVfsMountFlags::RDONLY) {
        let source = std::io::Error::from_raw_os_error(libc::EROFS);
        return Err(RuntimeError::Io { step: "make the sandbox's root writable".into(), source });
    }
    Ok(root)
}

fn mount(set_layers: impl FnOnce(BorrowedFd<'_>) -> Result<(), Errno>) -> Result<OwnedFd, RuntimeError> {
    let overlay = FileSystem::open("overlay")?;
    overlay.configure(|fs| {
        fsconfig_set_string(fs, "source", "sandbox")?;
        // A name is looked up by a redirect that an image might carry; we follow none.
        fsconfig_set_string(fs, "redirect_dir", "nofollow")?;
        set_layers(fs)
    })?;
    overlay.mount(HARMLESS)
}

/// Since 6.13 for descriptors, since 6.15 also for mounts that are attached nowhere.
fn set_by_descriptor(fs: BorrowedFd<'_>, layers: &Layers<'_>) -> Result<(), Errno> {
    fsconfig_set_fd(fs, "upperdir", &layers.disk.upper)?;
    fsconfig_set_fd(fs, "workdir", &layers.disk.work)?;
    layers.lowers.iter().try_for_each(|lower| fsconfig_set_fd(fs, "lowerdir+", &lower.directory))
}

/// By paths that lead to the descriptors, which every kernel takes if the mounts are attached.
fn set_by_path(fs: BorrowedFd<'_>, layers: &Layers<'_>) -> Result<(), Errno> {
    let path = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lowers: Vec<String> = layers.lowers.iter().map(|lower| path(&lower.directory)).collect();
    fsconfig_set_string(fs, "lowerdir", lowers.join(":"))?;
    fsconfig_set_string(fs, "upperdir", path(&layers.disk.upper))?;
    fsconfig_set_string(fs, "workdir", path(&layers.disk.work))
}

/// What kernels answer that do not know descriptors as layers, or not those of unattached mounts.
fn is_of_an_older_kernel(error: &RuntimeError) -> bool {
    matches!(number(error), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EBADF))
}

/// Whether the disk may be full: at some steps overlayfs says so, at others it goes on read-only.
fn may_lack_room(error: &RuntimeError) -> bool {
    matches!(number(error), Some(libc::ENOSPC | libc::EROFS))
}

fn number(error: &RuntimeError) -> Option<i32> {
    let RuntimeError::Io { source, .. } = error else { return None };
    source.raw_os_error()
}
