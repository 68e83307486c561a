//! The directory in which an instance keeps everything: the ledger, the disks, the sockets.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A data directory that belongs to us alone.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

/// Why a directory cannot be the data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Somebody else could put a program where a sandbox or the server would run it.
    #[error("{} is open to others (owner {owner}, mode {mode:04o}): `chown {wanted}` and `chmod 0700` it, or name another", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Whose it ought to be.
        wanted: u32,
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be made or read.
    #[error("{} cannot be used as the data directory", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Makes `path` where it is missing, and refuses one that others may enter.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        private_dir(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        let found = path.metadata().map_err(unusable)?;
        let (owner, mode) = (found.uid(), found.mode() & 0o7777);
        let wanted = rustix::process::geteuid().as_raw();
        if owner != wanted || mode & 0o077 != 0 {
            return Err(DataDirError::NotOurs { path, owner, wanted, mode });
        }
        Ok(Self(path))
    }

    /// Where it is; absolute and without links.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A directory of ours inside, made where it is missing.
    pub fn subdirectory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        private_dir(&path)?;
        Ok(path)
    }
}

fn private_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A directory as a handle, to reach what is in it whatever its path is called, and however long it is.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_directory_is_private() {
        let parent = tempfile::tempdir().expect("temporary directory");
        let dir = DataDir::open(&parent.path().join("a/b")).expect("open");
        assert_eq!(dir.path().metadata().expect("metadata").mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_open_to_others_is_refused_with_the_remedy() {
        let parent = tempfile::tempdir().expect("temporary directory");
        std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let error = DataDir::open(parent.path()).expect_err("open to others");
        assert!(error.to_string().contains("chmod 0700"), "{error}");
    }
}
