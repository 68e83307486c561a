//! How much room a file system has.

use std::io;
use std::path::Path;

/// Bytes that may still be written to the file system of `path`, without what it keeps for its own administrator.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
