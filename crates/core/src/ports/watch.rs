//! Hearing of what happens to sandboxes unasked, and finding out why they are as they are.

use crate::id::Attempt;
use crate::ports::{SandboxRef, ServiceError};
use crate::state::{Cause, Observed};
use async_trait::async_trait;

/// A provider that tells of changes that nobody asked for.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Watch: Send + Sync {
    /// Waits until something may have happened to a sandbox. May be given up and asked again without loss.
    async fn changed(&self) -> Change;

    /// How a sandbox is and why. Looks closer than [`crate::SandboxService::status`]: what runs must also answer.
    async fn examine(&self, at: &SandboxRef) -> Result<Sighting, ServiceError>;
}

/// To what something may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The sandbox of this attempt.
    One(Attempt),
    /// Any of them: for a while nobody was watching.
    Any,
}

/// What was seen of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// How it is.
    pub observed: Observed,
    /// Why, where that is not what anybody would expect of it.
    pub cause: Option<Cause>,
}
