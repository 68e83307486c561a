//! Where client and spawner meet: the names in the run directory, and how to reach them by directory handle.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use crate::RuntimeError;

/// The spawner's socket in the run directory.
pub(crate) const SOCKET: &str = "spawner.sock";

/// The file whose lock says that a spawner serves the run directory.
pub(crate) const LOCK: &str = "spawner.lock";

/// Exit code of a starting spawner that found the lock taken.
pub(crate) const EXIT_BUSY: i32 = 75;

/// An instance name becomes part of a cgroup's name.
pub(crate) fn validate_instance(instance: &str) -> Result<(), RuntimeError> {
    let good = (1..=16).contains(&instance.len())
        && instance.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if good {
        return Ok(());
    }
    Err(RuntimeError::InvalidSpec("the instance must be 1 to 16 of `a-z0-9`".into()))
}

/// A new socket of the kind that both sides use.
pub(crate) fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The socket's address by way of the directory's handle: a socket's path is limited to 107 bytes, ours is not.
pub(crate) fn address(run_dir: BorrowedFd<'_>) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", run_dir.as_raw_fd()))?)
}

/// Connects to the spawner that listens in `run_dir`.
pub(crate) fn connect(run_dir: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    rustix::net::connect(&socket, &address(run_dir)?)?;
    Ok(socket)
}
