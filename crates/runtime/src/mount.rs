//! Mounts by handle: made, configured and placed without a path that somebody else could bend.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsmount,
    fsopen, move_mount, open_tree,
};

use crate::{RuntimeError, sys};

/// What every mount of ours forbids.
pub(crate) const HARMLESS: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// The same for something that nobody shall write to.
pub(crate) const FIXED: MountAttrFlags = HARMLESS.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// A file system in the making.
pub(crate) struct FileSystem {
    context: OwnedFd,
    kind: &'static str,
}

impl FileSystem {
    pub(crate) fn open(kind: &'static str) -> Result<Self, RuntimeError> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| match error {
            Errno::NODEV => RuntimeError::Unsupported {
                what: format!("the file system {kind}"),
                why: format!("the kernel does not have it; load the module `{kind}`"),
            },
            other => RuntimeError::io(format!("open the file system {kind}"))(other),
        })?;
        Ok(Self { context, kind })
    }

    /// Sets options. What the kernel complains about becomes part of the error.
    pub(crate) fn configure(
        &self,
        set: impl FnOnce(BorrowedFd<'_>) -> Result<(), Errno>,
    ) -> Result<(), RuntimeError> {
        set(self.context.as_fd()).map_err(|error| self.failure("configure", error))
    }

    /// Creates it and mounts it nowhere yet.
    pub(crate) fn mount(&self, attributes: MountAttrFlags) -> Result<OwnedFd, RuntimeError> {
        fsconfig_create(self.context.as_fd()).map_err(|error| self.failure("create", error))?;
        fsmount(self.context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|error| self.failure("mount", error))
    }

    fn failure(&self, what: &str, error: Errno) -> RuntimeError {
        let complaints = self.complaints();
        RuntimeError::io(format!("{what} the file system {}{complaints}", self.kind))(error)
    }

    /// What the kernel has written into the context's log.
    fn complaints(&self) -> String {
        let mut text = String::new();
        let mut line = [0; 1024];
        while let Ok(length) = rustix::io::read(&self.context, &mut line) {
            let message = String::from_utf8_lossy(&line[..length]).trim().to_owned();
            text.push_str(if text.is_empty() { " (" } else { "; " });
            text.push_str(&message);
        }
        if !text.is_empty() {
            text.push(')');
        }
        text
    }
}

/// A private copy of the mount at `path`, without what is mounted below it.
pub(crate) fn copy_of(path: &Path) -> Result<OwnedFd, RuntimeError> {
    open_tree(rustix::fs::CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(RuntimeError::io(format!("take a mount of {}", path.display())))
}

/// A private copy of the mount of something that is already open.
pub(crate) fn copy_of_open(object: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(object, "", flags)
}

/// Restricts a mount that is attached nowhere yet.
pub(crate) fn restrict(mount: BorrowedFd<'_>, attributes: MountAttrFlags) -> io::Result<()> {
    sys::set_mount_attributes(mount, u64::from(attributes.bits()), None)
}

/// Restricts a mount, and shows its owners as those of `user_ns`.
pub(crate) fn map_owners(
    mount: BorrowedFd<'_>,
    attributes: MountAttrFlags,
    user_ns: BorrowedFd<'_>,
    of: &str,
) -> Result<(), RuntimeError> {
    sys::set_mount_attributes(mount, u64::from(attributes.bits()), Some(user_ns)).map_err(|source| {
        if source.raw_os_error() != Some(libc::EINVAL) {
            return RuntimeError::io(format!("map the owners of {of}"))(source);
        }
        let why = format!("the file system under {of} cannot map owners; use ext4, xfs or btrfs");
        RuntimeError::Unsupported { what: "idmapped mounts".into(), why }
    })
}

/// Attaches `mount` on top of what `place` refers to.
pub(crate) fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags)
}

/// Finds `path` below `root` without following any link: it is either exactly there, or it is refused.
pub(crate) fn find(root: BorrowedFd<'_>, path: &str, more: OFlags) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | more, Mode::empty(), how)
}
