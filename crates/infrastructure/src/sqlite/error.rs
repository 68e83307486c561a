//! Why a ledger was not opened, and what `SQLite`'s refusals mean to the core.

use rusqlite::{ErrorCode, ffi};
use sandgate_core::{NotAdmitted, RepositoryError};
use std::error::Error;
use std::io;
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
    /// A restore was cut short, so that there may be no ledger, or half of one.
    #[error("a backup was not put back to the end in {}: run `sandgate restore` again", dir.display())]
    HalfRestored {
        /// The data directory.
        dir: PathBuf,
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

impl OpenError {
    /// Whether room on the disk would help.
    pub(super) fn is_for_want_of_room(&self) -> bool {
        let first: &(dyn Error + 'static) = self;
        std::iter::successors(Some(first), |error| (*error).source()).any(|error| {
            let of_the_host = error.downcast_ref::<io::Error>();
            of_the_host.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
                || error.downcast_ref().is_some_and(is_full)
        })
    }
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
    if is_full(&error) {
        RepositoryError::Full(error.into())
    } else if is_disk(&error) {
        RepositoryError::Disk(Box::new(Failed { operation: operation(&error), source: error }))
    } else {
        RepositoryError::Broken(error.into())
    }
}

/// Whether room on the disk would help.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    // The index of the write-ahead log is a file as well, and has a code of its own for this.
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || extended(error) == Some(ffi::SQLITE_IOERR_SHMSIZE)
}

/// Whether the disk did not do as it was told, or could not be asked: what was written last is in doubt.
pub(super) fn is_disk(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, ReadOnly, SystemIoFailure};
    matches!(error.sqlite_error_code(), Some(CannotOpen | DatabaseBusy | ReadOnly | SystemIoFailure))
}

/// What the disk did not do.
#[derive(Debug, thiserror::Error)]
#[error("the ledger could not be {operation}")]
struct Failed {
    operation: &'static str,
    source: Arc<rusqlite::Error>,
}

fn operation(error: &rusqlite::Error) -> &'static str {
    match extended(error) {
        Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => "flushed",
        Some(ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_READONLY) => "written",
        Some(ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ) => "read",
        Some(ffi::SQLITE_IOERR_TRUNCATE) => "shortened",
        Some(code) if code & 0xff == ffi::SQLITE_CANTOPEN => "opened",
        Some(code) if code & 0xff == ffi::SQLITE_BUSY => "locked",
        _ => "used",
    }
}

fn extended(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}
