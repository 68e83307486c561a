//! A few inodes that the sandbox cannot use up, kept as empty files beside the overlay's directories: with none left,
//! overlayfs could not mount, and the sandbox could not start to have something removed.
//!
//! Their directory is either complete or it is missing: it has another name while it is filled or emptied. So one look
//! tells whether a disk has them, also after a crash in between.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

const COMPLETE: &str = "spare";
const PARTIAL: &str = "spare-partial";

/// Overlayfs wants three, and the rest is for what a root lacks when it starts.
const FILES: u32 = 16;

/// Whether the disk has none, because they had to go or never were there.
pub(crate) fn are_missing(mount: BorrowedFd<'_>) -> bool {
    statat(mount, COMPLETE, AtFlags::SYMLINK_NOFOLLOW).is_err()
}

/// Makes them, as far as there is room.
pub(crate) fn lay_in(mount: BorrowedFd<'_>) {
    // A disk without them starts as well, unless it is full; so this is no reason to fail.
    let _ = make(mount);
}

fn make(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    match mkdirat(mount, PARTIAL, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let directory = open(mount)?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    for number in 0..FILES {
        drop(openat(&directory, number.to_string(), flags, Mode::from_raw_mode(0o600))?);
    }
    renameat(mount, PARTIAL, mount, COMPLETE)
}

/// Removes them; whether there was one to remove.
pub(crate) fn give_up(mount: BorrowedFd<'_>) -> bool {
    // An earlier try may have got as far as this.
    let _ = renameat(mount, COMPLETE, mount, PARTIAL);
    let Ok(directory) = open(mount) else { return false };
    let gone = (0..FILES).filter(|number| unlinkat(&directory, number.to_string(), AtFlags::empty()).is_ok());
    gone.count() > 0
}

fn open(mount: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(mount, PARTIAL, flags, Mode::empty())
}
