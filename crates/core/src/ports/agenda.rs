//! What the ledger tells the reconciler: which rows are due, and which attempts nobody knows the outcome of.

use super::repository::RepositoryError;
use crate::id::Attempt;
use crate::sandbox::Sandbox;
use crate::time::Timestamp;
use async_trait::async_trait;

/// The ledger's side that the reconciler works from.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Agenda: Send + Sync {
    /// The sandboxes whose next task is due at `now`, the longest overdue first, at most `limit` of them.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Sandbox>, RepositoryError>;

    /// When the next task of any sandbox is due; `None` if nothing ever is.
    async fn next_due(&self) -> Result<Option<Timestamp>, RepositoryError>;

    /// The abandoned attempts that are to be looked at now.
    async fn abandoned(&self, now: Timestamp) -> Result<Vec<Abandoned>, RepositoryError>;

    /// Writes down how an abandoned attempt stands now.
    async fn note_abandoned(&self, abandoned: &Abandoned) -> Result<(), RepositoryError>;

    /// Whether the ledger has ever written this attempt down. What it has not is not known to be ours to delete.
    async fn knows(&self, attempt: Attempt) -> Result<bool, RepositoryError>;

    /// Whether the ledger came out of a backup and nobody has said since that what it does not know may go.
    async fn is_doubtful(&self) -> Result<bool, RepositoryError>;

    /// Notes that somebody has said so.
    async fn trust(&self) -> Result<(), RepositoryError>;
}

/// An attempt whose outcome could not be learned in time: whatever it makes is deleted wherever it appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned {
    /// Which one.
    pub attempt: Attempt,
    /// When its provider first answered again after that; what it has not made long after, it never will.
    pub answered_at: Option<Timestamp>,
    /// When to look again; `None` once it is over.
    pub next_at: Option<Timestamp>,
}
