//! Why a ledger was not opened, and what `SQLite`'s refusals mean to the core.

use rusqlite::ErrorCode;
use sandgate_core::{NotAdmitted, RepositoryError};
use std::path::PathBuf;
use std::sync::Arc;

/// Why a ledger was not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on the same data.
    #[error(
        "another Sandgate{} uses {}: stop it, or give this one another data directory",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), dir.display()
    )]
    AlreadyRunning {
        /// The data directory.
        dir: PathBuf,
        /// The other process, where it said.
        pid: Option<u32>,
    },
    /// The file is somebody else's.
    #[error("{} was not made by Sandgate, and was left as it is: give another data directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The ledger was written by a later version.
    #[error(
        "the ledger has format {found} and this version knows up to {supported}: run the newer Sandgate, or restore a \
         backup from before the upgrade"
    )]
    Newer {
        /// The format of the ledger.
        found: i64,
        /// The latest that this version knows.
        supported: i64,
    },
    /// The ledger contradicts itself.
    #[error("the ledger {} is damaged ({detail}): restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found first.
        detail: String,
    },
    /// The key for the sealed values is missing, or another one.
    #[error("{} is not the key that sealed values of the ledger were sealed with: put the right one back", path.display())]
    WrongKey {
        /// Where the key belongs.
        path: PathBuf,
    },
    /// The host did not let us.
    #[error("the ledger in {} cannot be {operation}", dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why one write was not done.
#[derive(Debug)]
pub(super) enum WriteError {
    /// A living sandbox has the name.
    NameTaken,
    /// A quota, a rate or an idempotency key is against it.
    NotAdmitted(NotAdmitted),
    /// The row is of another generation.
    Stale,
    /// `SQLite` refused.
    Database(rusqlite::Error),
    /// The environment cannot be sealed.
    Unsealable,
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<NotAdmitted> for WriteError {
    fn from(reason: NotAdmitted) -> Self {
        Self::NotAdmitted(reason)
    }
}

impl From<WriteError> for RepositoryError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NameTaken => Self::NameTaken,
            WriteError::NotAdmitted(reason) => Self::NotAdmitted(reason),
            WriteError::Stale => Self::Stale,
            WriteError::Database(error) => database(Arc::new(error)),
            WriteError::Unsealable => Self::Broken("the environment cannot be sealed".into()),
        }
    }
}

/// What a refusal of `SQLite` means. It is shared, as all writes of a group fail for the same reason.
pub(super) fn database(error: Arc<rusqlite::Error>) -> RepositoryError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => RepositoryError::Full(error.into()),
        _ => RepositoryError::Broken(error.into()),
    }
}
