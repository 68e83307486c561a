//! How much room a file system has.

use sandgate_core::Storage;
use std::io;
use std::path::{Path, PathBuf};

/// The file system of a directory.
#[derive(Debug)]
pub struct Disk(pub PathBuf);

impl Storage for Disk {
    fn free(&self) -> Option<u64> {
        free_bytes(&self.0).ok()
    }
}

/// Bytes that may still be written to the file system of `path`, without what it keeps for its own administrator.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
