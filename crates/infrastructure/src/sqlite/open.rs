//! Opening a ledger: lock, identity, settings, format, soundness, key, and what lives into memory.

use super::ballast::Ballast;
use super::error::OpenError;
use super::files::{APPLICATION_ID, Files};
use super::index::Index;
use super::meta::{self, INSTANCE};
use super::migrations::{MIGRATIONS, SUPPORTED};
use super::quotas;
use super::rows::{self, ReadError};
use super::seal::Seal;
use super::timeline;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use sandgate_core::{ApiKey, InstanceId, KeyHash};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many lists are read side by side.
pub(super) const READERS: usize = 2;

/// How long one connection waits for another.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// For every connection: nothing is acknowledged before it is on disk, and a damaged or hostile file is noticed rather
/// than believed.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = 67108864;";

/// An opened ledger in its parts.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) instance: InstanceId,
    pub(super) seal: Seal,
    pub(super) index: Index,
    pub(super) writer: Connection,
    pub(super) readers: [Connection; READERS],
}

/// Opens the ledger in `dir`, or makes one. On a full disk its reserve makes way for that.
pub(super) fn open(dir: &Path) -> Result<Opened, OpenError> {
    match open_once(dir) {
        Err(error) if error.is_for_want_of_room() && Ballast::new(dir).spend() => open_once(dir),
        outcome => outcome,
    }
}

fn open_once(dir: &Path) -> Result<Opened, OpenError> {
    let files = Files { dir };
    let lock = files.lock()?;
    if files.restoring().exists() {
        return Err(OpenError::HalfRestored { dir: dir.to_owned() });
    }
    if !files.has_database()? {
        files.make("ledger.db", make_database)?;
    }
    let opening = Opening { files };
    let writer = opening.writer()?;
    let seal = opening.seal(&writer)?;
    let index = opening.index(&writer, &seal)?;
    let instance = opening.instance(&writer)?;
    let readers = [opening.reader()?, opening.reader()?];
    Ok(Opened { lock, instance, seal, index, writer, readers })
}

/// Fills an empty file with the latest format and an identity.
fn make_database(path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut new = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nobody sees the file before it is complete, so that it needs no journal beside it.
    new.pragma_update(None, "journal_mode", "MEMORY")?;
    new.pragma_update(None, "application_id", APPLICATION_ID)?;
    MIGRATIONS.to_latest(&mut new)?;
    meta::set(&new, INSTANCE, InstanceId::random().as_str())?;
    new.close().map_err(|(_, error)| error.into())
}

/// Another connection that writes, to a ledger that is open: everything that was acknowledged is brought to disk once
/// more, out of the write-ahead log, which is empty then, and the whole is looked through.
pub(super) fn reopen(dir: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(&Files { dir }.database(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    checkpoint(&connection)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(connection) } else { Err(failure(ffi::SQLITE_CORRUPT, verdict)) }
}

/// Brings the write-ahead log into the database and empties it. It fails while others read from it.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(failure(ffi::SQLITE_BUSY, "others are reading".to_owned())) } else { Ok(()) }
}

fn failure(code: i32, detail: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(detail))
}

/// A connection with our settings.
pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

struct Opening<'d> {
    files: Files<'d>,
}

impl Opening<'_> {
    /// The connection that writes, to a database that is sound and of the latest format.
    fn writer(&self) -> Result<Connection, OpenError> {
        let access = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let mut writer = connect(&self.files.database(), access).map_err(|e| self.refused(e))?;
        self.check(&writer)?;
        let mode: String = writer
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(|e| self.refused(e))?;
        if mode != "wal" {
            return Err(self.files.failed("opened")("its filesystem cannot hold a write-ahead log"));
        }
        MIGRATIONS.to_latest(&mut writer).map_err(self.files.failed("brought to the latest format"))?;
        if quotas::recount(&writer).map_err(|e| self.refused(e))? {
            tracing::warn!(
                "what the ledger says is reserved was not what its sandboxes take; it was counted anew"
            );
        }
        Ok(writer)
    }

    fn reader(&self) -> Result<Connection, OpenError> {
        connect(&self.files.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| self.refused(e))
    }

    /// Refuses what is of a later format, or contradicts itself.
    fn check(&self, writer: &Connection) -> Result<(), OpenError> {
        let ask = |pragma| writer.pragma_query_value(None, pragma, |row| row.get(0));
        let found = ask("user_version").map_err(|e| self.refused(e))?;
        if found > SUPPORTED {
            return Err(OpenError::Newer { found, supported: SUPPORTED });
        }
        let verdict: String =
            writer.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| self.refused(e))?;
        if verdict == "ok" { Ok(()) } else { Err(self.damaged(verdict)) }
    }

    /// The seal that opens what is sealed. A new key is made where nothing is sealed yet.
    fn seal(&self, writer: &Connection) -> Result<Seal, OpenError> {
        if let Some(key) = self.files.read_key()? {
            return Ok(Seal::new(&key));
        }
        let sealed = "SELECT EXISTS (SELECT 1 FROM sandbox WHERE sealed_env IS NOT NULL)";
        if writer.query_row(sealed, [], |row| row.get(0)).map_err(|e| self.refused(e))? {
            return Err(OpenError::WrongKey { path: self.files.key() });
        }
        let key = Seal::random_key().map_err(|_| self.files.failed("made")("there are no random numbers"))?;
        self.files.make("seal.key", |path| std::fs::write(path, key))?;
        Ok(Seal::new(&key))
    }

    fn index(&self, writer: &Connection, seal: &Seal) -> Result<Index, OpenError> {
        let mut index = Index::default();
        for sandbox in rows::living(writer, seal).map_err(|e| self.unreadable(e))? {
            index.put(Arc::new(sandbox));
        }
        for (key, hash) in keys(writer).map_err(|e| self.refused(e))? {
            index.put_key(key, hash);
        }
        if let Some(anchor) = timeline::anchor(writer).map_err(|e| self.refused(e))? {
            index.put_anchor(anchor);
        }
        Ok(index)
    }

    fn instance(&self, writer: &Connection) -> Result<InstanceId, OpenError> {
        let text = meta::get(writer, INSTANCE).map_err(|e| self.refused(e))?;
        let id = text.and_then(|text| text.parse().ok());
        id.ok_or_else(|| self.damaged("it has no instance id".to_owned()))
    }

    fn unreadable(&self, error: ReadError) -> OpenError {
        match error {
            ReadError::Sealed => OpenError::WrongKey { path: self.files.key() },
            ReadError::Database(error) => self.refused(error),
        }
    }

    /// `SQLite` tells damage from a host that does not let it read.
    fn refused(&self, error: rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
                self.damaged(error.to_string())
            }
            _ => self.files.failed("opened")(error),
        }
    }

    fn damaged(&self, detail: String) -> OpenError {
        OpenError::Damaged { path: self.files.database(), detail }
    }
}

/// Every key, those of the first organization first.
fn keys(connection: &Connection) -> rusqlite::Result<Vec<(ApiKey, KeyHash)>> {
    let sql = "
        SELECT api_key.id AS id, organization_id, hash
        FROM api_key JOIN organization ON organization.id = organization_id
        ORDER BY organization.created_at, organization.id";
    let mut statement = connection.prepare(sql)?;
    let keys = statement.query_map([], |row| {
        let key = ApiKey {
            id: rows::text(row, "id", str::parse)?,
            organization: rows::text(row, "organization_id", str::parse)?,
        };
        Ok((key, KeyHash(row.get("hash")?)))
    });
    keys?.collect()
}
