//! Abandoned attempts as rows: which are due, and how they stand.

use super::meta::{self, RESTORED_AT};
use super::rows;
use rusqlite::{Connection, Row, named_params, params};
use sandgate_core::{Abandoned, Attempt, Timestamp};

/// Those that are to be looked at at `now`.
pub(super) fn abandoned(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Abandoned>> {
    let sql = "
        SELECT sandbox_id, number, answered_at, next_at FROM attempt
        WHERE state = 'abandoned' AND next_at <= ? ORDER BY next_at LIMIT 256";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([now.as_millis()], read)?;
    rows.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Abandoned> {
    let attempt = Attempt { sandbox: rows::text(row, "sandbox_id", str::parse)?, number: row.get("number")? };
    let (answered_at, next_at) =
        (rows::optional_time(row, "answered_at")?, rows::optional_time(row, "next_at")?);
    Ok(Abandoned { attempt, answered_at, next_at })
}

/// Writes how one stands; one that is not looked at again is gone.
pub(super) fn note(connection: &Connection, abandoned: &Abandoned) -> rusqlite::Result<()> {
    let sql = "
        UPDATE attempt SET (answered_at, next_at, state) =
            (:answered_at, :next_at, iif(:next_at IS NULL, 'gone', state))
        WHERE sandbox_id = :sandbox_id AND number = :number AND state = 'abandoned'";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":sandbox_id": abandoned.attempt.sandbox.to_string(),
        ":number": abandoned.attempt.number,
        ":answered_at": abandoned.answered_at.map(Timestamp::as_millis),
        ":next_at": abandoned.next_at.map(Timestamp::as_millis),
    })?;
    Ok(())
}

/// Whether the attempt was ever written down.
pub(super) fn knows(connection: &Connection, attempt: Attempt) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM attempt WHERE sandbox_id = ? AND number = ?";
    connection.prepare_cached(sql)?.exists(params![attempt.sandbox.to_string(), attempt.number])
}

/// Whether the ledger came out of a backup, and nobody has said since that it is the right one.
pub(super) fn is_doubtful(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(meta::get(connection, RESTORED_AT)?.is_some())
}

/// Somebody has said so.
pub(super) fn trust(connection: &Connection) -> rusqlite::Result<()> {
    meta::remove(connection, RESTORED_AT)
}
