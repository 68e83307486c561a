//! Places inside the root, found without trust: an image may have put a link or a file where a mount belongs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2};
use rustix::io::Errno;

use crate::mount::{attach, find};
use crate::{RuntimeError, User};

/// Attaches `mount` at `path` below `root`, making the directory if it is missing.
pub(super) fn attach_at(root: BorrowedFd<'_>, path: &str, mount: BorrowedFd<'_>) -> Result<(), RuntimeError> {
    let place = directory(root, path)?;
    attach(mount, place.as_fd()).map_err(RuntimeError::io(format!("mount /{path}")))
}

/// The directory `path`, which must be one: neither it nor a directory above it may be a link.
fn directory(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, RuntimeError> {
    let found = match find(root, path, OFlags::DIRECTORY) {
        Err(Errno::NOENT) => {
            mkdirat(root, path, Mode::from_raw_mode(0o755)).and_then(|()| find(root, path, OFlags::DIRECTORY))
        }
        other => other,
    };
    found.map_err(|error| match error {
        Errno::LOOP => RuntimeError::BadRootfs(format!("/{path} is, or is behind, a symbolic link")),
        Errno::NOTDIR | Errno::EXIST => RuntimeError::BadRootfs(format!("/{path} is not a directory")),
        other => RuntimeError::io(format!("find the place for a mount at /{path}"))(other),
    })
}

/// Makes `/tmp` if the image has none.
pub(super) fn ensure_tmp(root: BorrowedFd<'_>) -> Result<(), RuntimeError> {
    let mode = Mode::from_raw_mode(0o1777);
    match mkdirat(root, "tmp", mode) {
        Err(Errno::EXIST) => Ok(()),
        // The process's mask has taken bits away.
        Ok(()) => {
            rustix::fs::chmodat(root, "tmp", mode, AtFlags::empty()).map_err(RuntimeError::io("open up /tmp"))
        }
        Err(error) => Err(RuntimeError::io("make /tmp")(error)),
    }
}

/// Opens the working directory. What is missing of it is made and given to `user`. Links are followed as the sandbox
/// would follow them, but never the kernel's own ones that lead out of the root.
pub(super) fn work_dir(root: BorrowedFd<'_>, path: &Path, user: User) -> Result<OwnedFd, RuntimeError> {
    let failed = || RuntimeError::io(format!("enter the working directory {}", path.display()));
    let mut so_far = std::path::PathBuf::from("/");
    let mut at = inside(root, &so_far).map_err(failed())?;
    for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
        so_far.push(part);
        at = match inside(root, &so_far) {
            Err(Errno::NOENT) => {
                let name = part.as_os_str();
                let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
                mkdirat(&at, name, Mode::from_raw_mode(0o755))
                    .and_then(|()| chownat(&at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW))
                    .and_then(|()| inside(root, &so_far))
            }
            other => other,
        }
        .map_err(failed())?;
    }
    Ok(at)
}

fn inside(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}
