//! The clients of the spawner: who may connect, and what each has sent.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketFlags, accept_with};

use crate::protocol::{self, Received, Reply, Request};

/// One connection.
pub(super) struct Client {
    /// Ours for as long as the spawner lives, unlike its descriptor's number.
    pub(super) id: u64,
    /// Whether both sides speak the same version.
    pub(super) greeted: bool,
    /// Whether it is told of what happens unasked.
    pub(super) watching: bool,
    socket: OwnedFd,
}

impl Client {
    /// Accepts one waiting connection; `None` if there is none (any more), or from somebody who is not us.
    pub(super) fn accept(listener: BorrowedFd<'_>, id: u64) -> Option<Self> {
        let socket = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()?;
        let peer = socket_peercred(&socket).ok()?;
        let known = peer.uid.is_root() || peer.uid == rustix::process::geteuid();
        known.then_some(Self::kept(id, socket, (false, false)))
    }

    /// A connection that this process had before it became another program.
    pub(super) fn kept(id: u64, socket: OwnedFd, (greeted, watching): (bool, bool)) -> Self {
        Self { id, greeted, watching, socket }
    }

    /// Readable when a request has come.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The request that has come; `None` if the client has hung up.
    pub(super) fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Option<Received<Request>>> {
        protocol::receive(self.socket(), buffer)
    }

    /// Answers. Who does not read answers cannot be waited for, so this never blocks.
    pub(super) fn reply(&self, reply: &Reply, handles: &[BorrowedFd<'_>]) -> io::Result<()> {
        protocol::send(self.socket(), reply, handles)
    }
}
