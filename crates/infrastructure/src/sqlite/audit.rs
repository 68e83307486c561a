//! The log of events for those who check it: read beside a running server, or from a copy, and never written to.

use super::error::OpenError;
use super::events::{self, COLUMNS, read, seq};
use super::files::Files;
use super::migrations::SUPPORTED;
use crate::chain::{Damage, Sound, Verifier};
use rusqlite::{Connection, OpenFlags, Row};
use sandgate_core::{Head, Recorded};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The first format whose events are chained.
const FIRST_CHAINED: i64 = 2;

/// The whole log as it is at one moment.
pub struct Audit {
    connection: Connection,
    start: Head,
}

impl Audit {
    /// Opens the ledger in `dir` for reading. Nothing beside it is made or locked.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let files = Files { dir };
        if !files.has_database()? {
            return Err(files.failed("read")("there is no ledger.db"));
        }
        let failed = |error: rusqlite::Error| files.failed("read")(error);
        let connection = read_only(dir).map_err(failed)?;
        let found = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        match found {
            FIRST_CHAINED..=SUPPORTED => {}
            ..FIRST_CHAINED => {
                return Err(files.failed("checked")("its format is too old: start its server once"));
            }
            _ => return Err(OpenError::Newer { found, supported: SUPPORTED }),
        }
        // What follows is all read from one moment, though the server writes and deletes meanwhile.
        connection.execute_batch("BEGIN").map_err(failed)?;
        let start = events::start(&connection).map_err(failed)?;
        Ok(Self { connection, start })
    }

    /// Checks the whole log, which must contain `known` if that is given.
    pub fn verify(&self, known: Option<Head>) -> Result<Sound, Damage> {
        let mut verifier = Verifier::new(Some(self.start), known);
        self.walk(|event| verifier.take(&event))?;
        verifier.finish()
    }

    /// Hands on every event, the oldest first.
    pub fn walk<E: From<Damage>>(&self, mut take: impl FnMut(Recorded) -> Result<(), E>) -> Result<(), E> {
        let mut last = self.start.seq;
        let next = |last: u64| move |error: rusqlite::Error| unreadable(last.saturating_add(1), &error);
        let sql = format!("SELECT {COLUMNS} FROM event ORDER BY seq");
        let mut statement = self.connection.prepare(&sql).map_err(next(last))?;
        let mut rows = statement.query([]).map_err(next(last))?;
        while let Some(row) = rows.next().map_err(next(last))? {
            let event = whole(row, last)?;
            last = event.seq;
            take(event)?;
        }
        Ok(())
    }
}

fn whole(row: &Row<'_>, last: u64) -> Result<Recorded, Damage> {
    read(row).map_err(|error| unreadable(seq(row).unwrap_or(last.saturating_add(1)), &error))
}

fn unreadable(seq: u64, error: &rusqlite::Error) -> Damage {
    Damage::Unreadable { seq, why: error.to_string() }
}

/// A connection that leaves no trace. Where there is no log beside the database, nobody is writing, and it is read as a
/// file that does not change: otherwise `SQLite` would leave files beside a copy.
fn read_only(dir: &Path) -> rusqlite::Result<Connection> {
    let at_rest = !dir.join("ledger.db-wal").exists();
    let mut uri = "file:".to_owned();
    for byte in dir.join("ledger.db").as_os_str().as_bytes() {
        let _ = match byte {
            b'/' | b'.' | b'-' | b'_' => uri.write_char(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.write_char(char::from(*byte)),
            byte => write!(uri, "%{byte:02x}"),
        };
    }
    if at_rest {
        uri.push_str("?immutable=1");
    }
    let access =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, access)?;
    connection.execute_batch(
        "PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
    )?;
    Ok(connection)
}
