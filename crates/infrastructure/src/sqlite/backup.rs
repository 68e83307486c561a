//! A copy of a ledger that is in use, and putting one back.
//!
//! A backup is a directory with the database and the key for its sealed values: one is worth nothing without the other.

use super::error::OpenError;
use super::files::Files;
use super::meta::{self, RESTORED_AT};
use super::{open, timeline};
use rusqlite::OpenFlags;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why nothing was backed up, or not put back to the end. What was there before is as it was, or in `restoring/`.
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
    /// There is nowhere to put it.
    #[error("{} is not a directory: make it first", path.display())]
    NoParent {
        /// What should have been there.
        path: PathBuf,
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

/// What belongs to a ledger that may not have been closed. Any of it beside another database would be played into it.
const TRACES: [&str; 5] = ["ledger.db", LOG, "ledger.db-journal", "ledger.db-shm", "seal.key"];
const LOG: &str = "ledger.db-wal";

/// In `restoring/` while the old ledger is moved there: what is in the data directory is the rest of it.
const MOVING: &str = "moving";
/// In `restoring/` when all of the old ledger is there: what is in the data directory is the new one.
const MOVED: &str = "moved";

/// Copies the ledger in `dir`, which may be in use, to a new directory `target`. It appears whole and on disk, or not at
/// all. Blocking.
pub fn backup(dir: &Path, target: &Path) -> Result<(), BackupError> {
    let source = whole(dir)?;
    // Without a slash at its end, so that more can be said after it.
    let target = &target.components().collect::<PathBuf>();
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: target.clone() });
    }
    if !parent(target).is_dir() {
        return Err(BackupError::NoParent { path: parent(target).to_owned() });
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
/// It is made ready in `restoring.new/`. Then the old ledger is moved into `restoring/`, which no server starts beside and
/// which becomes `replaced-…` by one rename when the new one is in its place. So it can be cut short anywhere: run again it
/// goes on with the same `restoring/`. `backup` may also be what an earlier restore replaced, with a write-ahead log.
///
/// The ledger remembers that it was put back (`restored_at` in `meta`): what it does not know may be the work of the time
/// that it has lost. Blocking.
pub fn restore(dir: &Path, backup: &Path, replace: bool) -> Result<Option<PathBuf>, BackupError> {
    let files = Files { dir };
    let _lock = files.lock()?;
    let source = whole(backup)?;
    let _unused = if backup.join("ledger.lock").exists() { Some(source.lock()?) } else { None };
    let restoring = files.restoring();
    let moved = restoring.join(MOVED).exists();
    if !replace && (has_ledger(&restoring) || !moved && has_ledger(dir)) {
        return Err(BackupError::HasLedger { dir: dir.to_owned() });
    }
    let stage = dir.join("restoring.new");
    let staged = make_ready(&stage, backup);
    if staged.is_err() {
        // The failure is what counts: what is left is removed by the next try.
        let _ = std::fs::remove_dir_all(&stage);
    }
    staged?;
    if !moved {
        set_aside(dir, &restoring)?;
    }
    for name in PARTS {
        let to = dir.join(name);
        std::fs::rename(stage.join(name), &to).map_err(failed(&to, "put in place"))?;
    }
    sync(dir)?;
    std::fs::remove_dir_all(&stage).map_err(failed(&stage, "removed"))?;
    keep(dir, &restoring)
}

fn has_ledger(dir: &Path) -> bool {
    ["ledger.db", LOG].iter().any(|name| dir.join(name).exists())
}

/// Copies the backup to where it is made ready, opens it as a server would, and marks it.
fn make_ready(stage: &Path, backup: &Path) -> Result<(), BackupError> {
    make_empty(stage)?;
    PARTS.iter().try_for_each(|name| copy_part(name, backup, stage))?;
    if backup.join(LOG).exists() {
        copy_part(LOG, backup, stage)?;
    }
    let opened = open::open(stage)?;
    let now = jiff::Timestamp::now().as_millisecond().to_string();
    meta::set(&opened.writer, RESTORED_AT, &now).map_err(failed(stage, "marked"))?;
    // What was done with the sandboxes since the backup is not known: they must not seem unused for it.
    timeline::stand_still(&opened.writer).map_err(failed(stage, "marked"))?;
    drop(opened);
    // Everything is in the database itself then, which alone is put in place.
    drop(open::reopen(stage).map_err(failed(stage, "written"))?);
    PARTS.iter().try_for_each(|name| sync(&stage.join(name)))?;
    sync(stage)
}

/// Makes a directory with nothing in it, or of it. It is there all the time.
fn make_empty(dir: &Path) -> Result<(), BackupError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir, "made"))?;
    let empty = || {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        io::Result::Ok(())
    };
    empty().map_err(failed(dir, "emptied"))
}

fn copy_part(name: &str, from: &Path, to: &Path) -> Result<(), BackupError> {
    let (from, to) = (from.join(name), to.join(name));
    let mut source = File::open(&from).map_err(failed(&from, "read"))?;
    let mut new = super::files::private().create_new(true).open(&to).map_err(failed(&to, "made"))?;
    io::copy(&mut source, &mut new).map(drop).map_err(failed(&to, "written"))
}

/// Moves everything of the ledger in `dir`, or what a restore that was cut short left of it, to `restoring`.
fn set_aside(dir: &Path, restoring: &Path) -> Result<(), BackupError> {
    let moving = restoring.join(MOVING);
    if !moving.exists() {
        make_empty(restoring)?;
        std::fs::create_dir(&moving).map_err(failed(&moving, "made"))?;
        [restoring, dir].into_iter().try_for_each(sync)?;
    }
    for name in TRACES {
        let (from, to) = (dir.join(name), restoring.join(name));
        match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(&from, "moved to restoring/")(error)),
        }
    }
    [restoring, dir].into_iter().try_for_each(sync)?;
    std::fs::rename(&moving, restoring.join(MOVED)).map_err(failed(&moving, "renamed"))?;
    sync(restoring)
}

/// Ends a restore: servers start again, and the old ledger, if there was one, has the name it is kept under.
fn keep(dir: &Path, restoring: &Path) -> Result<Option<PathBuf>, BackupError> {
    let aside = dir.join(format!("replaced-{}", jiff::Timestamp::now().as_millisecond()));
    renameat_with(CWD, restoring, CWD, &aside, RenameFlags::NOREPLACE).map_err(failed(&aside, "made"))?;
    sync(dir)?;
    let mark = aside.join(MOVED);
    std::fs::remove_dir(&mark).map_err(failed(&mark, "removed"))?;
    match std::fs::remove_dir(&aside) {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(Some(aside)),
        Err(error) => Err(failed(&aside, "removed")(error)),
    }
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
