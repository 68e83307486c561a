//! The overlay of a sandbox: read-only layers below, the sandbox's disk on top.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{StatVfsMountFlags, fstatvfs};
use rustix::io::Errno;
use rustix::mount::{fsconfig_set_fd, fsconfig_set_string};
use rustix::thread::{CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits};

use super::identity::IdRange;
use super::stage::Stage;
use crate::disk::Directories;
use crate::mount::{FileSystem, HARMLESS};
use crate::{RuntimeError, sys};

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
    let root = match as_sandbox_root(ids, || mount(|fs| set_by_descriptor(fs, layers)))? {
        Err(error) if is_of_an_older_kernel(&error) => {
            let mounts = layers.lowers.iter().map(|lower| lower.mount.as_fd()).chain([layers.disk_mount]);
            let staged = stage.attach(mounts)?;
            let root = as_sandbox_root(ids, || mount(|fs| set_by_path(fs, layers)))?;
            drop(staged);
            root?
        }
        other => other?,
    };
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
    let RuntimeError::Io { source, .. } = error else { return false };
    matches!(source.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EBADF))
}

/// Runs `make` with the file system ids of the sandbox's root and all our capabilities. Overlayfs makes a directory on
/// the disk while it mounts; made by the host's root, whom the disk does not map, it would fail, and overlayfs would
/// go on read-only without a word.
fn as_sandbox_root<T>(ids: IdRange, make: impl FnOnce() -> T) -> Result<T, RuntimeError> {
    let failed = || RuntimeError::io("keep capabilities over a change of ids");
    let before = capabilities_secure_bits().map_err(failed())?;
    set_capabilities_secure_bits(before | CapabilitiesSecureBits::NO_SETUID_FIXUP).map_err(failed())?;
    sys::set_fs_ids(ids.root());
    let result = make();
    sys::set_fs_ids(0);
    set_capabilities_secure_bits(before).map_err(failed())?;
    Ok(result)
}
