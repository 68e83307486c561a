//! A few inodes that the sandbox cannot use up, kept as empty files beside the overlay's directories: with none left,
//! overlayfs could not mount, and the sandbox could not start to have something removed.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;

const DIRECTORY: &str = "spare";

/// Overlayfs wants three, and the rest is for what a root lacks when it starts.
const FILES: u32 = 16;

/// Makes those that are missing, as far as there is room.
pub(crate) fn lay_in(mount: BorrowedFd<'_>) {
    // A disk without them starts as well, unless it is full; so this is no reason to fail.
    let _ = make_missing(mount);
}

fn make_missing(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    match mkdirat(mount, DIRECTORY, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let directory = open(mount)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    for number in 0..FILES {
        match openat(&directory, number.to_string(), flags, Mode::from_raw_mode(0o600)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes them; whether there was one to remove.
pub(crate) fn give_up(mount: BorrowedFd<'_>) -> bool {
    let Ok(directory) = open(mount) else { return false };
    let gone = (0..FILES).filter(|number| unlinkat(&directory, number.to_string(), AtFlags::empty()).is_ok());
    gone.count() > 0
}

fn open(mount: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(mount, DIRECTORY, flags, Mode::empty())
}
