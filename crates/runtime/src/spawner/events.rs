//! What the spawner sleeps on: each descriptor with a token that says whose it is.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// How many events one wait returns; what is left is there in the next.
const BATCH: usize = 64;

/// Whose descriptor has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A client wants to connect.
    Listener,
    /// A child was stopped, or goes on.
    Children,
    /// The client of this number has sent something.
    Client(u64),
    /// Process 1 of the container of this number has ended.
    Process(u64),
    /// The kernel has killed a process of the container of this number.
    Memory(u64),
}

/// See the module.
pub(super) struct Events {
    epoll: OwnedFd,
    buffer: Vec<Event>,
}

impl Events {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, buffer: Vec::with_capacity(BATCH) })
    }

    /// Wakes with `token` whenever `source` can be read.
    pub(super) fn add(&self, source: impl AsFd, token: Token) -> Result<(), Errno> {
        self.add_for(source, token, EventFlags::IN)
    }

    /// Wakes with `token` whenever `source` is in one of these conditions.
    pub(super) fn add_for(&self, source: impl AsFd, token: Token, flags: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, source, EventData::new_u64(token.number()), flags)
    }

    /// Must be called before `source` is closed: somebody else may hold a duplicate, which would go on to wake us.
    pub(super) fn remove(&self, source: impl AsFd) {
        let _ = epoll::delete(&self.epoll, source);
    }

    /// Sleeps until something happens, at most for `limit`.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> Vec<Token> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        self.buffer.clear();
        // Interrupted or not: what has happened is in the buffer.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.buffer), limit.as_ref());
        self.buffer.iter().map(|event| Token::from_number(event.data.u64())).collect()
    }
}

impl Token {
    const KINDS: u64 = 8;

    fn number(self) -> u64 {
        match self {
            Self::Listener => 0,
            Self::Children => 1,
            Self::Client(id) => id * Self::KINDS + 2,
            Self::Process(id) => id * Self::KINDS + 3,
            Self::Memory(id) => id * Self::KINDS + 4,
        }
    }

    fn from_number(number: u64) -> Self {
        let id = number / Self::KINDS;
        match number % Self::KINDS {
            0 => Self::Listener,
            1 => Self::Children,
            2 => Self::Client(id),
            3 => Self::Process(id),
            _ => Self::Memory(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_survives_its_number() {
        for token in [
            Token::Listener,
            Token::Children,
            Token::Client(7),
            Token::Process(7),
            Token::Memory(u64::from(u32::MAX)),
        ] {
            assert_eq!(Token::from_number(token.number()), token);
        }
    }
}
