//! Hearing of what happens to containers unasked.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::RuntimeError;
use crate::protocol::{self, Reply};

/// A connection over which the spawner tells which container has changed: its first process has ended, was stopped or goes
/// on, or one of its processes was killed for want of memory. Never blocks.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Watch {
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, RuntimeError> {
        rustix::io::ioctl_fionbio(&socket, true).map_err(RuntimeError::io("watch the spawner"))?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    /// The name of the next container that has changed; `None` if there is none now: wait until the handle can be read.
    /// An error means that the spawner is gone, and that changes may have been missed: watch anew and list all.
    pub fn poll(&mut self) -> Result<Option<String>, RuntimeError> {
        match protocol::receive(self.socket.as_fd(), &mut self.buffer) {
            Ok(Some(received)) => match received.message {
                Reply::Changed { name } => Ok(Some(name)),
                other => Err(RuntimeError::Refused(format!("it told something else: {other:?}"))),
            },
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Ok(None) | Err(_) => Err(RuntimeError::SpawnerLost),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
