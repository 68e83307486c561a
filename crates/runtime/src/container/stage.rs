//! A place in a mount namespace of the spawner's own. Kernels before 6.15 take as layers of an overlay only what is
//! attached somewhere; here that is possible without the host's mount table showing it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::UnshareFlags;

use crate::mount::{FileSystem, HARMLESS, attach};
use crate::{RuntimeError, sys};

/// A directory for mounts that are attached for a moment, and for what copies of mounts are taken of.
pub(crate) struct Stage {
    root: OwnedFd,
}

impl Stage {
    /// Gives the process a mount namespace of its own, which follows the host's, and covers `place` in it.
    pub(crate) fn new(place: BorrowedFd<'_>) -> Result<Self, RuntimeError> {
        let failed = || RuntimeError::io("make a mount namespace for the spawner");
        sys::enter_new_namespace(UnshareFlags::NEWNS).map_err(failed())?;
        mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM).map_err(failed())?;
        let root = FileSystem::open("tmpfs")?.mount(HARMLESS)?;
        // The handle is of the host's namespace; its path leads to the same place in ours.
        let path = rustix::fs::readlink(format!("/proc/self/fd/{}", place.as_raw_fd()), Vec::new())
            .map_err(failed())?;
        let here = open_directory(rustix::fs::CWD, Path::new(OsStr::from_bytes(path.to_bytes())))
            .map_err(failed())?;
        attach(root.as_fd(), here.as_fd()).map_err(failed())?;
        Ok(Self { root })
    }

    /// The stage that this process had before it became another program.
    pub(crate) fn kept(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The directory itself, where texts can be kept that all sandboxes share. It outlives the program, see [`Stage::kept`].
    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Attaches the mounts until the result is dropped.
    pub(super) fn attach<'a>(
        &self,
        mounts: impl Iterator<Item = BorrowedFd<'a>>,
    ) -> Result<Staged<'a>, RuntimeError> {
        let mut staged = Staged(Vec::new());
        for (number, mount) in mounts.enumerate() {
            let name = number.to_string();
            self.attach_one(&name, mount).map_err(RuntimeError::io("attach a layer for overlayfs"))?;
            staged.0.push(mount);
        }
        Ok(staged)
    }

    fn attach_one(&self, name: &str, mount: BorrowedFd<'_>) -> Result<(), Errno> {
        match mkdirat(&self.root, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        attach(mount, open_directory(self.root.as_fd(), Path::new(name))?.as_fd())
    }
}

/// Mounts on the stage; dropping it takes them off.
pub(super) struct Staged<'a>(Vec<BorrowedFd<'a>>);

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        for mount in &self.0 {
            // One that stays is seen by nobody, and goes with the spawner.
            let _ = unmount(format!("/proc/self/fd/{}", mount.as_raw_fd()), UnmountFlags::DETACH);
        }
    }
}

pub(super) fn open_directory(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
