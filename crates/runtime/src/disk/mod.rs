//! A sandbox's disk: an ext4 file system in a file, mounted by handle and never seen in the host's mount table.

pub(crate) mod spare;
mod template;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, fsconfig_set_flag, fsconfig_set_string};

pub(crate) use template::formatter;

use crate::mount::{FileSystem, HARMLESS};
use crate::{Disk, RuntimeError, sys};

/// How often a loop device may be snatched away between asking for it and taking it.
const LOOP_ATTEMPTS: usize = 64;

/// The directories of the overlay on the disk.
pub(crate) const UPPER: &str = "upper";
/// See [`UPPER`].
pub(crate) const WORK: &str = "work";

/// A disk's file, opened and locked. The lock belongs to the open file, which the loop device keeps: as long as the
/// kernel uses the disk, whoever asks for the lock again is refused.
pub(crate) struct DiskFile {
    file: File,
}

impl DiskFile {
    /// Opens the disk, making it first if it is missing.
    pub(crate) fn open(disk: &Disk) -> Result<Self, RuntimeError> {
        if let Some(file) = open_existing(&disk.path)? {
            return Self::locked(file);
        }
        template::instantiate(disk)?;
        match open_existing(&disk.path)? {
            Some(file) => Self::locked(file),
            None => Err(RuntimeError::io("open the new disk")(io::Error::from(io::ErrorKind::NotFound))),
        }
    }

    fn locked(file: File) -> Result<Self, RuntimeError> {
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => RuntimeError::Refused("the disk is in use by another sandbox".into()),
            other => RuntimeError::io("lock the disk")(other),
        })?;
        Ok(Self { file })
    }

    /// Mounts the file system, attached nowhere.
    pub(crate) fn mount(&self) -> Result<OwnedFd, RuntimeError> {
        mount_ext4(self.file.as_fd())
    }
}

/// Whether nothing uses the disk any more; also true when there is no disk.
pub(crate) fn is_released(path: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(true),
        other => other?,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// Removes the disk's file; a missing one is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn open_existing(path: &Path) -> Result<Option<File>, RuntimeError> {
    let failed = || RuntimeError::io(format!("open the disk {}", path.display()));
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other.map_err(failed())?,
    };
    let stat = rustix::fs::fstat(&file).map_err(failed())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(RuntimeError::InvalidSpec(format!("the disk {} is not a regular file", path.display())));
    }
    Ok(Some(File::from(file)))
}

/// Mounts the ext4 file system in `file` through a loop device that goes when its last user goes.
fn mount_ext4(file: BorrowedFd<'_>) -> Result<OwnedFd, RuntimeError> {
    let (device, name) = attach_loop(file)?;
    let ext4 = FileSystem::open("ext4")?;
    ext4.configure(|fs| {
        fsconfig_set_string(fs, "source", name.as_str())?;
        fsconfig_set_string(fs, "errors", "remount-ro")?;
        // The template's tables are holes, thus zero; no kernel thread has to write them in each sandbox.
        fsconfig_set_flag(fs, "noinit_itable")
    })?;
    let mount = ext4.mount(HARMLESS | MountAttrFlags::MOUNT_ATTR_NOATIME)?;
    drop(device);
    make_directories(mount.as_fd())?;
    Ok(mount)
}

/// The template has them, but a crash right after the disk was made may have lost them.
fn make_directories(mount: BorrowedFd<'_>) -> Result<(), RuntimeError> {
    for (name, mode) in [(UPPER, 0o755), (WORK, 0o700)] {
        match rustix::fs::mkdirat(mount, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(RuntimeError::io("make the directories on the disk")(error)),
        }
    }
    Ok(())
}

/// Takes a free loop device for `file`, and returns it with its path.
fn attach_loop(file: BorrowedFd<'_>) -> Result<(OwnedFd, String), RuntimeError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let control = rustix::fs::open("/dev/loop-control", flags, Mode::empty()).map_err(|error| {
        let why = format!("/dev/loop-control cannot be opened ({error}); is the loop module loaded?");
        RuntimeError::Unsupported { what: "loop devices".into(), why }
    })?;
    for _ in 0..LOOP_ATTEMPTS {
        let number =
            sys::free_loop_device(control.as_fd()).map_err(RuntimeError::io("find a loop device"))?;
        let name = format!("/dev/loop{number}");
        let device = rustix::fs::open(&name, flags, Mode::empty())
            .map_err(RuntimeError::io(format!("open {name}")))?;
        match sys::configure_loop(device.as_fd(), file) {
            Ok(()) => return Ok((device, name)),
            // Somebody else was quicker.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => return Err(RuntimeError::io(format!("attach the disk to {name}"))(error)),
        }
    }
    Err(RuntimeError::io("find a loop device that stays free")(io::Error::from_raw_os_error(libc::EBUSY)))
}

/// The directories of the overlay on a mounted disk.
pub(crate) struct Directories {
    pub(crate) upper: OwnedFd,
    pub(crate) work: OwnedFd,
}

/// Opens the two overlay directories of a mounted disk, readable, as overlayfs wants them.
pub(crate) fn overlay_directories(mount: BorrowedFd<'_>) -> Result<Directories, RuntimeError> {
    let open = |name| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(mount, name, flags, Mode::empty())
            .map_err(RuntimeError::io(format!("open `{name}` on the sandbox's disk")))
    };
    Ok(Directories { upper: open(UPPER)?, work: open(WORK)? })
}

/// Gives an unnamed file its name; `false` when the name is taken.
fn link(file: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::linkat(rustix::fs::CWD, unnamed, rustix::fs::CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Err(Errno::EXIST) => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}
