//! The files of a ledger: whose turn it is to use them, how they come into being, and whether they are ours.

use super::error::OpenError;
use super::seal::KEY_LEN;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Marks a `SQLite` database as ours: "sndg".
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"sndg");

/// What every `SQLite` database begins with, and where it says whose it is.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const APPLICATION_ID_AT: usize = 68;
const HEADER: usize = APPLICATION_ID_AT + 4;

/// Where the files of a ledger are.
pub(super) struct Files<'d> {
    /// The data directory.
    pub(super) dir: &'d Path,
}

impl Files<'_> {
    /// The database.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("ledger.db")
    }

    /// The key for sealed values.
    pub(super) fn key(&self) -> PathBuf {
        self.dir.join("seal.key")
    }

    /// Where a backup is made ready. While it is there, a restore is not over.
    pub(super) fn restoring(&self) -> PathBuf {
        self.dir.join("restoring")
    }

    /// What failed, for people.
    pub(super) fn failed<E>(&self, operation: &'static str) -> impl FnOnce(E) -> OpenError
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let dir = self.dir.to_owned();
        move |error| OpenError::Io { dir, operation, source: error.into() }
    }

    /// Takes the directory for this process, until the file is closed.
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        let path = self.dir.join("ledger.lock");
        let failed = |error: io::Error| self.failed("locked")(error);
        let mut file = private().create(true).truncate(false).read(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.already_running(&mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(file)
    }

    fn already_running(&self, lock: &mut File) -> OpenError {
        let mut pid = String::new();
        let pid = lock.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
        OpenError::AlreadyRunning { dir: self.dir.to_owned(), pid }
    }

    /// Whether there is a database, and that it is ours. A look at its first bytes alone: `SQLite` itself would write
    /// beside what belongs to somebody else.
    pub(super) fn has_database(&self) -> Result<bool, OpenError> {
        let path = self.database();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.no_remains().map(|()| false);
            }
            Err(error) => return Err(self.failed("read")(error)),
        };
        let mut header = [0; HEADER];
        let ours = match file.read_exact(&mut header) {
            Ok(()) => header.starts_with(MAGIC) && header.ends_with(&APPLICATION_ID.to_be_bytes()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(self.failed("read")(error)),
        };
        if ours { Ok(true) } else { Err(OpenError::Foreign { path }) }
    }

    /// A write-ahead log without its database would be played into a new one, and ruin it.
    fn no_remains(&self) -> Result<(), OpenError> {
        let path = self.dir.join("ledger.db-wal");
        if path.exists() {
            let detail = "ledger.db-wal is there without ledger.db".to_owned();
            return Err(OpenError::Damaged { path: self.database(), detail });
        }
        Ok(())
    }

    /// The key, where there is one.
    pub(super) fn read_key(&self) -> Result<Option<[u8; KEY_LEN]>, OpenError> {
        match std::fs::read(self.key()) {
            Ok(key) => key.try_into().map(Some).map_err(|_| OpenError::WrongKey { path: self.key() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read")(error)),
        }
    }

    /// Makes `name` out of what `fill` does to an empty private file. It appears whole and on disk, or not at all.
    pub(super) fn make<E>(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), OpenError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let new = self.dir.join(format!("{name}.new"));
        let made = self.write_and_rename(&new, name, fill);
        if made.is_err() {
            // The failure is what counts: what is left is removed by the next try.
            let _ = std::fs::remove_file(&new);
        }
        made
    }

    fn write_and_rename<E>(
        &self,
        new: &Path,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), OpenError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let prepare = || match std::fs::remove_file(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => private().create_new(true).open(new),
        };
        let empty = prepare().map_err(self.failed("made"))?;
        fill(new).map_err(self.failed("made"))?;
        let finish = || {
            empty.sync_all()?;
            std::fs::rename(new, self.dir.join(name))?;
            File::open(self.dir)?.sync_all()
        };
        finish().map_err(self.failed("made"))
    }
}

/// A file that others cannot read.
pub(super) fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}
