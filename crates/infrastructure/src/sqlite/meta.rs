//! Facts about the ledger itself, each a text under its name.

use rusqlite::{Connection, OptionalExtension};

/// The installation whose ledger this is.
pub(super) const INSTANCE: &str = "instance";
/// How its times relate to the host's.
pub(super) const ANCHOR: &str = "anchor";
/// When the clock last leapt by a day or more.
pub(super) const LEAPT_AT: &str = "leapt_at";
/// When it came out of a backup; it goes once somebody has said that it is the right one.
pub(super) const RESTORED_AT: &str = "restored_at";
/// The last event that retention has deleted. Named by a trigger as well.
pub(super) const END_OF_DELETED: &str = "events_end_of_deleted";

/// The fact of this name.
pub(super) fn get(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

/// Notes a fact, in place of the one before.
pub(super) fn set(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([name, value]).map(drop)
}

/// Forgets a fact.
pub(super) fn remove(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM meta WHERE key = ?")?.execute([name]).map(drop)
}
