//! Why a verb of the facade failed.

use crate::admission::NotAdmitted;
use crate::config::InvalidConfig;
use crate::ports::{RepositoryError, ServiceError};
use sandgate_shared::ErrorCode;

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum SandboxesError {
    /// No such sandbox, or somebody else's.
    #[error("Sandbox not found")]
    NotFound,
    /// The organization has a living sandbox of this name.
    #[error("Sandbox with name {0} already exists")]
    NameTaken(String),
    /// Another change is under way.
    #[error("Sandbox state change in progress")]
    Busy,
    /// Not from the state it is in; the text says what may be done.
    #[error("{0}")]
    WrongState(String),
    /// A quota, a rate or an idempotency key is against it.
    #[error(transparent)]
    NotAdmitted(NotAdmitted),
    /// The request asks for something impossible.
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
    /// The disk is nearly full, so that nothing was begun.
    #[error(
        "the server's disk has {free_mib} MiB free and keeps {wanted_mib}: delete sandboxes or make room, and try again; \
         sandboxes that run go on"
    )]
    NoRoom {
        /// MiB that are free.
        free_mib: u64,
        /// MiB that must be.
        wanted_mib: u64,
    },
    /// The provider did not do it.
    #[error(transparent)]
    Provider(#[from] ServiceError),
    /// The ledger did not.
    #[error(transparent)]
    Ledger(RepositoryError),
}

impl From<RepositoryError> for SandboxesError {
    fn from(error: RepositoryError) -> Self {
        match error {
            // Whoever was first is at work on it.
            RepositoryError::Stale => Self::Busy,
            RepositoryError::NotAdmitted(reason) => Self::NotAdmitted(reason),
            other => Self::Ledger(other),
        }
    }
}

impl SandboxesError {
    /// The code for machines.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::NameTaken(_) | Self::Busy => ErrorCode::Conflict,
            Self::WrongState(_) | Self::Invalid(_) => ErrorCode::BadRequest,
            Self::NotAdmitted(reason) => reason.code(),
            Self::NoRoom { .. } => ErrorCode::InsufficientStorage,
            Self::Provider(error) => error.code(),
            Self::Ledger(error) => error.code(),
        }
    }
}
