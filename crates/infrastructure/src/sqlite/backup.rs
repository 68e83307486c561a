//! A copy of a ledger that is in use, and putting one back.
//!
//! A backup is a directory with the database and the key for its sealed values: one is worth nothing without the other.

use super::error::OpenError;
use super::files::Files;
use super::{open, timeline};
use rusqlite::OpenFlags;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sandgate_core::Timestamp;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why nothing was backed up or put back. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing is ever written over.
    #[error("{} is there already: give another name", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The data directory has a ledger, and nobody said that it may be replaced.
    #[error("{} has a ledger: `--replace` keeps it aside and puts the backup in its place", dir.display())]
    HasLedger {
        /// The data directory.
        dir: PathBuf,
    },
    /// There is no ledger, or no whole one.
    #[error("{} has no ledger.db and seal.key", dir.display())]
    Missing {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The ledger, or the backup, cannot be used as one.
    #[error(transparent)]
    Unusable(#[from] OpenError),
    /// The host did not let us.
    #[error("{} cannot be {operation}", path.display())]
    Io {
        /// What it was done to.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

const PARTS: [&str; 2] = ["ledger.db", "seal.key"];

/// Copies the ledger in `dir`, which may be in use, to a new directory `target`. It appears whole and on disk, or not at
/// all. Blocking.
pub fn backup(dir: &Path, target: &Path) -> Result<(), BackupError> {
    let source = whole(dir)?;
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: target.to_owned() });
    }
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    let copied = copy(&source, &new).and_then(|()| {
        renameat_with(CWD, &new, CWD, target, RenameFlags::NOREPLACE).map_err(failed(target, "made"))?;
        sync(parent(target))
    });
    if copied.is_err() {
        // The failure is what counts.
        let _ = std::fs::remove_dir_all(&new);
    }
    copied
}

/// The files of a ledger that has a database and a key.
fn whole(dir: &Path) -> Result<Files<'_>, BackupError> {
    let files = Files { dir };
    if files.has_database()? && files.read_key()?.is_some() {
        Ok(files)
    } else {
        Err(BackupError::Missing { dir: dir.to_owned() })
    }
}

fn copy(source: &Files<'_>, new: &Path) -> Result<(), BackupError> {
    std::fs::DirBuilder::new().mode(0o700).create(new).map_err(failed(new, "made"))?;
    let [database, key] = PARTS.map(|name| new.join(name));
    for path in [&database, &key] {
        super::files::private().create_new(true).open(path).map_err(failed(path, "made"))?;
    }
    let connection = open::connect(&source.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(failed(source.dir, "read"))?;
    let into = database.to_string_lossy();
    connection.execute("VACUUM INTO ?", [into.as_ref()]).map_err(failed(&database, "written"))?;
    std::fs::copy(source.key(), &key).map_err(failed(&key, "written"))?;
    [&database, &key, new].into_iter().try_for_each(sync)
}

/// Puts `backup` into `dir`, where no server may be running, and returns where the ledger is that was there before.
///
/// The ledger remembers that it was put back (`restored_at` in `meta`): what it does not know may be the work of the time
/// that it has lost. A restore that is cut short is noticed, and is to be run again. Blocking.
pub fn restore(dir: &Path, backup: &Path, replace: bool) -> Result<Option<PathBuf>, BackupError> {
    let files = Files { dir };
    let _lock = files.lock()?;
    whole(backup)?;
    let cut_short = files.restoring().exists();
    let has_ledger = files.database().exists() || dir.join("ledger.db-wal").exists();
    if has_ledger && !replace {
        return Err(BackupError::HasLedger { dir: dir.to_owned() });
    }
    let staged = stage(&files.restoring(), backup);
    if staged.is_err() && !cut_short {
        // The ledger that is there goes on.
        let _ = std::fs::remove_dir_all(files.restoring());
    }
    staged?;
    let aside = if has_ledger { Some(set_aside(dir)?) } else { None };
    for name in PARTS {
        let to = dir.join(name);
        std::fs::rename(files.restoring().join(name), &to).map_err(failed(&to, "put in place"))?;
    }
    sync(dir)?;
    std::fs::remove_dir_all(files.restoring()).map_err(failed(&files.restoring(), "removed"))?;
    sync(dir)?;
    Ok(aside)
}

/// Copies the backup to where it is made ready, opens it as a server would, and marks it.
fn stage(stage: &Path, backup: &Path) -> Result<(), BackupError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(stage).map_err(failed(stage, "made"))?;
    for name in PARTS {
        let to = stage.join(name);
        let mut from = File::open(backup.join(name)).map_err(failed(backup, "read"))?;
        let mut new =
            super::files::private().create(true).truncate(true).open(&to).map_err(failed(&to, "made"))?;
        io::copy(&mut from, &mut new).map_err(failed(&to, "written"))?;
    }
    let opened = open::open(stage)?;
    let mark = "INSERT INTO meta VALUES ('restored_at', ?) ON CONFLICT DO UPDATE SET value = excluded.value";
    let now = jiff::Timestamp::now().as_millisecond().to_string();
    opened.writer.execute(mark, [now]).map_err(failed(stage, "marked"))?;
    // What was done with the sandboxes since the backup is not known: they must not seem unused for it.
    timeline::stand_still(&opened.writer).map_err(failed(stage, "marked"))?;
    open::checkpoint(&opened.writer).map_err(failed(stage, "written"))?;
    drop(opened);
    PARTS.iter().try_for_each(|name| sync(&stage.join(name)))?;
    sync(stage)
}

/// Moves everything of the ledger in `dir` into a directory of its own.
fn set_aside(dir: &Path) -> Result<PathBuf, BackupError> {
    let aside = dir.join(format!("replaced-{}", jiff::Timestamp::now().as_millisecond()));
    std::fs::DirBuilder::new().mode(0o700).create(&aside).map_err(failed(&aside, "made"))?;
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "seal.key"] {
        match std::fs::rename(dir.join(name), aside.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&aside, "filled")(error));
            }
            _ => {}
        }
    }
    sync(&aside)?;
    Ok(aside)
}

/// When the ledger behind `connection` was put back, if it ever was.
pub(super) fn restored_at(connection: &rusqlite::Connection) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'restored_at'";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query_map([], |row| row.get(0).map(Timestamp::from_millis))?;
    rows.next().transpose()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed(path, "brought to disk"))
}

fn failed<E>(path: &Path, operation: &'static str) -> impl FnOnce(E) -> BackupError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = path.to_owned();
    move |error| BackupError::Io { path, operation, source: error.into() }
}
