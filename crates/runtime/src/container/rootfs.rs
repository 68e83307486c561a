//! The sandbox's root, put together by the parent from handles: it never appears in the host's mount table.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::identity::IdRange;
use super::overlay::{Layer, Layers, overlay};
use super::stage::Stage;
use crate::disk::Directories;
use crate::mount::{FIXED, copy_of, map_owners, restrict};
use crate::{Rootfs, RuntimeError};

/// The finished mounts, attached nowhere yet.
pub(super) struct Mounts {
    pub(super) root: OwnedFd,
    /// Where the others belong, in the order in which they are attached.
    pub(super) extra: Vec<(&'static str, OwnedFd)>,
}

/// What a root is assembled from.
pub(super) struct Parts<'a> {
    pub(super) rootfs: &'a Rootfs,
    /// The mounted disk.
    pub(super) disk_mount: BorrowedFd<'a>,
    /// The overlay's directories on it.
    pub(super) disk: &'a Directories,
    /// The sandbox's user namespace.
    pub(super) user_ns: BorrowedFd<'a>,
}

/// Assembles the root of a sandbox.
pub(super) fn assemble(parts: &Parts<'_>, ids: IdRange, stage: &Stage) -> Result<Mounts, RuntimeError> {
    let &Parts { rootfs, disk_mount, disk, user_ns } = parts;
    let lower_paths: Vec<&Path> = match rootfs {
        Rootfs::Image { layers } => layers.iter().map(AsRef::as_ref).collect(),
        Rootfs::HostUsr { skeleton, .. } => vec![skeleton.as_ref()],
    };
    let lowers = lower_paths.into_iter().map(|path| lower(path, user_ns)).collect::<Result<_, _>>()?;
    let root = overlay(&Layers { lowers, disk, disk_mount }, ids, stage)?;
    let extra = match rootfs {
        Rootfs::Image { .. } => Vec::new(),
        // Not idmapped: the sandbox's root would be the owner of what only the host's root may read.
        Rootfs::HostUsr { usr_local, .. } => {
            vec![("usr", read_only(Path::new("/usr"))?), ("usr/local", read_only(usr_local)?)]
        }
    };
    Ok(Mounts { root, extra })
}

/// One read-only layer with its owners mapped.
fn lower(path: &Path, user_ns: BorrowedFd<'_>) -> Result<Layer, RuntimeError> {
    let mount = copy_of(path)?;
    map_owners(mount.as_fd(), FIXED, user_ns, &path.display().to_string())?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(&mount, ".", flags, Mode::empty())
        .map_err(RuntimeError::io(format!("open the layer {}", path.display())))?;
    Ok(Layer { directory, mount })
}

fn read_only(path: &Path) -> Result<OwnedFd, RuntimeError> {
    let tree = copy_of(path)?;
    restrict(tree.as_fd(), FIXED).map_err(RuntimeError::io(format!("make {} read-only", path.display())))?;
    Ok(tree)
}
