//! Where the ledger keeps how its times relate to the host's, so that a clock that is turned ages nothing.

use super::repository::RepositoryError;
use crate::time::{Timestamp, Uptime};
use async_trait::async_trait;

/// The ledger's side that keeps time.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Timeline: Send + Sync {
    /// The anchor that was written last; `None` in a new ledger.
    async fn anchor(&self) -> Result<Option<Anchor>, RepositoryError>;

    /// Writes an anchor.
    async fn set_anchor(&self, anchor: Anchor) -> Result<(), RepositoryError>;

    /// Moves every time that a timer counts from by `millis`, and writes the anchor, in one transaction: what was used
    /// five minutes ago was used five minutes ago still.
    async fn shift(&self, millis: i64, anchor: Anchor) -> Result<(), RepositoryError>;
}

/// A moment on both of the host's clocks: the one that is turned, and the one that only counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The time of day by which the ledger's times were written.
    pub at: Timestamp,
    /// How long the host had been up.
    pub uptime: Uptime,
}
