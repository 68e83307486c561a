//! How the ledger's times relate to the host's, and moving them.

use rusqlite::{Connection, OptionalExtension};
use sandgate_core::{Anchor, Boot, Timestamp, Uptime};

const KEY: &str = "anchor";

/// The anchor that was written last. One that cannot be read is none: the time then goes on from the host's.
pub(super) fn anchor(connection: &Connection) -> rusqlite::Result<Option<Anchor>> {
    let sql = "SELECT value FROM meta WHERE key = ?";
    let text: Option<String> = connection.query_row(sql, [KEY], |row| row.get(0)).optional()?;
    Ok(text.as_deref().and_then(parse))
}

/// Three words: the start of the host, the milliseconds since, and the time of day then.
fn parse(text: &str) -> Option<Anchor> {
    let mut words = text.split(' ');
    let boot = Boot(words.next()?.parse().ok()?);
    let uptime = Uptime { boot, millis: words.next()?.parse().ok()? };
    Some(Anchor { at: Timestamp::from_millis(words.next()?.parse().ok()?), uptime })
}

/// Writes an anchor.
pub(super) fn set_anchor(connection: &Connection, anchor: &Anchor) -> rusqlite::Result<()> {
    let Anchor { at, uptime } = anchor;
    let text = format!("{} {} {}", uptime.boot.0, uptime.millis, at.as_millis());
    let sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([KEY, &text])?;
    Ok(())
}

/// Moves what timers count from, as [`sandgate_core::Sandbox::shift`] does.
pub(super) fn shift(connection: &Connection, millis: i64) -> rusqlite::Result<()> {
    let sandboxes = "
        UPDATE sandbox SET generation = generation + 1, last_activity_at = last_activity_at + ?1, stopped_at = stopped_at + ?1,
            destroy_at = destroy_at + ?1, operation_next_at = operation_next_at + ?1
        WHERE deleted_at IS NULL";
    let attempts = "
        UPDATE attempt SET answered_at = answered_at + ?1, next_at = next_at + ?1 WHERE state = 'abandoned'";
    connection.execute(sandboxes, [millis])?;
    let requests = "UPDATE idempotency SET created_at = created_at + ?1, expires_at = expires_at + ?1";
    connection.execute(attempts, [millis])?;
    connection.execute(requests, [millis])?;
    Ok(())
}
