//! The log of events, as it is read: who did what to which sandbox.

use super::repository::{Order, RepositoryError};
use crate::id::{KeyId, OrganizationId, SandboxId};
use crate::time::Timestamp;
use async_trait::async_trait;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// Whoever holds this key.
    Key(KeyId),
    /// A sandbox's own intervals.
    Timer,
    /// The server, bringing ledger and world together.
    Reconciler,
    /// Nobody asked: it was seen at the provider.
    Provider,
    /// The server, for reasons of its own.
    Server,
}

impl Actor {
    /// The key that is used, where one is.
    pub const fn key(self) -> Option<KeyId> {
        match self {
            Self::Key(id) => Some(id),
            Self::Timer | Self::Reconciler | Self::Provider | Self::Server => None,
        }
    }
}

impl fmt::Display for Actor {
    /// The text in the ledger, which never changes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Timer => f.write_str("timer"),
            Self::Reconciler => f.write_str("reconciler"),
            Self::Provider => f.write_str("provider"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// An event as it stands in the log. Its texts are those of the log, byte for byte, so that its hash can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its place: 1 for the first event of the ledger, without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Whose sandbox it was.
    pub organization: String,
    /// Which sandbox.
    pub sandbox: String,
    /// What happened.
    pub kind: String,
    /// Who did it; `unknown` where it was written before that was kept.
    pub actor: String,
    /// One clause more.
    pub detail: Option<String>,
    /// Binds it to everything before it.
    pub hash: EventHash,
}

impl Recorded {
    /// The log up to this event.
    pub const fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

/// A SHA-256 over an event and the hash before it; as text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventHash(pub [u8; 32]);

/// A place in the log and its hash, which stands for all events up to there; as text `SEQ:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The place; 0 before the first event.
    pub seq: u64,
    /// The hash of the event there.
    pub hash: EventHash,
}

impl Head {
    /// Before the first event.
    pub const BEGINNING: Self = Self { seq: 0, hash: EventHash([0; 32]) };
}

/// A text that is not a hash, or not a place in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a place in the log is its number and its hash of 64 hexadecimal digits, as in 17:9f86d0…")]
pub struct InvalidHead;

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventHash {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        let mut hash = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return Err(InvalidHead);
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            let value = digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low);
            *byte = value.and_then(|value| value.try_into().ok()).ok_or(InvalidHead)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seq)?;
        f.write_char(':')?;
        self.hash.fmt(f)
    }
}

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (seq, hash) = text.split_once(':').ok_or(InvalidHead)?;
        Ok(Self { seq: seq.parse().map_err(|_| InvalidHead)?, hash: hash.parse()? })
    }
}

/// Which events of an organization, in which order, from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// At most so many.
    pub limit: u32,
    /// Where the page before ended; not included.
    pub after: Option<u64>,
    /// Those of one sandbox.
    pub sandbox: Option<SandboxId>,
    /// Those whose kind begins with this.
    pub kind_prefix: Option<String>,
    /// Which way.
    pub order: Order,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self { limit: 100, after: None, sandbox: None, kind_prefix: None, order: Order::Ascending }
    }
}

/// Reads the log of events.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait EventRepository: Send + Sync {
    /// A page of an organization's events; less than its limit only at the end.
    async fn events(
        &self,
        organization: OrganizationId,
        query: &EventQuery,
    ) -> Result<Vec<Recorded>, RepositoryError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_head_leads_back_to_itself(seq: u64, hash: [u8; 32]) {
            let head = Head { seq, hash: EventHash(hash) };
            prop_assert_eq!(head.to_string().parse(), Ok(head));
        }
    }

    #[test]
    fn what_is_not_a_head_is_refused() {
        let hash = "0".repeat(64);
        let wrong = [String::new(), "1".to_owned(), hash.clone(), format!("x:{hash}"), format!("1:{hash}0")];
        for text in
            wrong.into_iter().chain([format!("1:{}", "A".repeat(64)), format!("1:{}é", "0".repeat(62))])
        {
            assert_eq!(text.parse::<Head>(), Err(InvalidHead), "{text}");
        }
    }

    #[test]
    fn actors_are_told_apart_in_the_ledger() {
        let key = KeyId::random();
        assert_eq!(Actor::Key(key).to_string(), format!("key:{key}"));
        let others = [Actor::Timer, Actor::Reconciler, Actor::Provider, Actor::Server];
        assert_eq!(others.map(|actor| actor.to_string()), ["timer", "reconciler", "provider", "server"]);
    }
}
