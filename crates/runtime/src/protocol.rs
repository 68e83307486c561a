//! The language between client and spawner: one request or reply is one datagram of JSON, with handles beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ContainerSpec, ContainerStatus, Lap, RuntimeError};

/// Raised with every change that an older peer would misread.
pub(crate) const VERSION: u32 = 2;

/// The longest datagram either side accepts; a specification with its environment must fit.
pub(crate) const MAX_MESSAGE: usize = 128 << 10;

/// The most handles that come with one datagram.
const MAX_HANDLES: usize = 8;

/// What a client asks. Every request may be repeated without harm.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum Request {
    /// Must come first on a connection. This one and [`Request::TakeOver`] never change their form: they are spoken between
    /// versions that understand nothing else of each other.
    Hello {
        version: u32,
    },
    /// With one handle: the program that the spawner shall go on as, in the same process.
    TakeOver,
    /// Do you still work?
    Ping,
    /// From now on this connection is told of what happens to containers unasked.
    Watch,
    Status {
        name: String,
    },
    /// With two handles: the listener and the toolbox.
    Create(Box<ContainerSpec>),
    Kill {
        name: String,
    },
    Delete {
        name: String,
        disk: PathBuf,
    },
    /// The containers after `after` in the order of their names, as many as fit.
    List {
        after: Option<String>,
    },
}

/// What the spawner answers, one reply to each request.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) enum Reply {
    Hello {
        version: u32,
        /// Which file the spawner runs, see [`crate::rendezvous::build_of`].
        build: String,
    },
    /// With one handle: the pidfd.
    Created {
        pid: i32,
        existing: bool,
        laps: Vec<Lap>,
    },
    Done,
    Status(Option<ContainerStatus>),
    /// Not an answer: something has happened to this container.
    Changed {
        name: String,
    },
    Listed {
        containers: Vec<ContainerStatus>,
        more: bool,
    },
    Failed(RuntimeError),
}

/// A datagram with the handles that came beside it.
pub(crate) struct Received<T> {
    pub(crate) message: T,
    pub(crate) handles: Vec<OwnedFd>,
}

/// Sends one datagram. A message that is too long fails with `EMSGSIZE` before anything is sent.
pub(crate) fn send<T: Serialize>(
    to: BorrowedFd<'_>,
    message: &T,
    handles: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !handles.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(handles)) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    sendmsg(to, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one datagram; `None` when the peer has closed. `buffer` is scratch space that the caller keeps.
pub(crate) fn receive<T: DeserializeOwned>(
    from: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Received<T>>> {
    buffer.resize(MAX_MESSAGE, 0);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_HANDLES))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::io::retry_on_intr(|| {
        recvmsg(from, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    let handles: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(handles) => Some(handles),
            _ => None,
        })
        .flatten()
        .collect();
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer's datagram is too long"));
    }
    let message = serde_json::from_slice(&buffer[..got.bytes])?;
    Ok(Some(Received { message, handles }))
}

/// A connected pair of the kind that this module speaks over, for tests.
#[cfg(test)]
fn pair() -> (OwnedFd, OwnedFd) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket pair")
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_request_arrives_with_its_handles() {
        let (here, there) = pair();
        let (one, two) = pair();
        send(here.as_fd(), &Request::Hello { version: 7 }, &[one.as_fd(), two.as_fd()]).expect("send");
        let got = receive::<Request>(there.as_fd(), &mut Vec::new()).expect("receive").expect("a datagram");
        assert!(matches!(got.message, Request::Hello { version: 7 }));
        assert_eq!(got.handles.len(), 2);
    }

    #[test]
    fn a_closed_peer_is_none_and_garbage_is_an_error() {
        let (here, there) = pair();
        rustix::io::write(&here, b"{}").expect("write");
        assert!(receive::<Request>(there.as_fd(), &mut Vec::new()).is_err());
        drop(here);
        assert!(receive::<Request>(there.as_fd(), &mut Vec::new()).expect("closed").is_none());
    }

    #[test]
    fn a_message_over_the_bound_is_not_sent() {
        let (here, _there) = pair();
        let name = "a".repeat(MAX_MESSAGE);
        let error = send(here.as_fd(), &Request::Kill { name }, &[]).expect_err("too long");
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }
}
