//! Where client and spawner meet: the names in the run directory, and how to reach them by directory handle.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, PidfdFlags, geteuid, pidfd_open};

use crate::RuntimeError;
use crate::stat::Stat;

/// The spawner's socket in the run directory.
pub(crate) const SOCKET: &str = "spawner.sock";

/// The file whose lock says that a spawner serves the run directory; the spawner's number stands in it.
pub(crate) const LOCK: &str = "spawner.lock";

/// What the spawner is called in lists of processes.
pub(crate) const PROCESS_NAME: &CStr = c"sandgate-spawn";

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

/// Which file a program is: the same text for the same file, another one for every other build.
pub(crate) fn build_of(program: &Path) -> io::Result<String> {
    let file = fs::metadata(program)?;
    Ok(format!("{}:{}:{}.{}:{}", file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

/// The spawner of this directory, if it is stopped by a signal: it would answer nobody, for ever. One that a debugger
/// holds is left alone.
pub(crate) fn frozen_spawner(run_dir: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut lock =
        openat(run_dir, LOCK, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(File::from).ok()?;
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    // Held before it is looked at, so that it is the one that was looked at.
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let stat = Stat::of(pid.as_raw_nonzero().get())?;
    (stat.name.as_bytes() == PROCESS_NAME.to_bytes() && stat.is_stopped()).then_some(process)
}

/// A new socket of the kind that both sides use.
pub(crate) fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The socket's address by way of the directory's handle: a socket's path is limited to 107 bytes, ours is not.
pub(crate) fn address(run_dir: BorrowedFd<'_>) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", run_dir.as_raw_fd()))?)
}

/// Connects to the spawner that listens in `run_dir`, which must be of our own user.
pub(crate) fn connect(run_dir: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let socket = new_socket()?;
    rustix::net::connect(&socket, &address(run_dir)?)?;
    if socket_peercred(&socket)?.uid != geteuid() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else listens at our socket"));
    }
    Ok(socket)
}
