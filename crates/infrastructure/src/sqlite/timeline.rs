//! How the ledger's times relate to the host's, and moving them.

use super::meta::{self, ANCHOR, LEAPT_AT};
use rusqlite::Connection;
use sandgate_core::{Anchor, Boot, Timestamp, Uptime};
use uuid::Uuid;

/// A shorter leap makes no difference to what is kept for weeks.
const GREAT_LEAP: i64 = 24 * 3_600_000;

/// Whether what is older at `now` than `kept` millis really is: not before so much time has passed since the last great
/// leap of the clock, nor while the clock shows a time that nobody has followed it to yet.
pub(super) fn tells_ages(connection: &Connection, now: Timestamp, kept: i64) -> rusqlite::Result<bool> {
    let followed = anchor(connection)?.is_none_or(|anchor| now <= anchor.at.shifted(GREAT_LEAP));
    let leapt_at = meta::get(connection, LEAPT_AT)?.and_then(|text| text.parse().ok());
    let long_ago = leapt_at.is_none_or(|at| Timestamp::from_millis(at).shifted(kept) <= now);
    Ok(followed && long_ago)
}

/// The anchor that was written last. One that cannot be read is none: the time then goes on from the host's.
pub(super) fn anchor(connection: &Connection) -> rusqlite::Result<Option<Anchor>> {
    Ok(meta::get(connection, ANCHOR)?.as_deref().and_then(parse))
}

/// Has the time go on from the anchor as after a start of the host, so that what passed since is not counted.
pub(super) fn stand_still(connection: &Connection) -> rusqlite::Result<()> {
    match anchor(connection)? {
        Some(Anchor { at, uptime }) => {
            let nowhere = Uptime { boot: Boot(Uuid::nil()), ..uptime };
            set_anchor(connection, &Anchor { at, uptime: nowhere })
        }
        None => Ok(()),
    }
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
    meta::set(connection, ANCHOR, &format!("{} {} {}", uptime.boot.0, uptime.millis, at.as_millis()))
}

/// Moves what timers count from, as [`sandgate_core::Sandbox::shift`] does, and when idempotency keys expire.
pub(super) fn shift(connection: &Connection, millis: i64, anchor: &Anchor) -> rusqlite::Result<()> {
    set_anchor(connection, anchor)?;
    if millis.abs() >= GREAT_LEAP {
        meta::set(connection, LEAPT_AT, &anchor.at.as_millis().to_string())?;
    }
    let sandboxes = "
        UPDATE sandbox SET generation = generation + 1, last_activity_at = last_activity_at + ?1, stopped_at = stopped_at + ?1,
            lives_until = lives_until + ?1, destroy_at = destroy_at + ?1, operation_next_at = operation_next_at + ?1
        WHERE deleted_at IS NULL";
    let attempts = "
        UPDATE attempt SET answered_at = answered_at + ?1, next_at = next_at + ?1 WHERE state = 'abandoned'";
    connection.execute(sandboxes, [millis])?;
    let requests = "UPDATE idempotency SET created_at = created_at + ?1, expires_at = expires_at + ?1";
    connection.execute(attempts, [millis])?;
    connection.execute(requests, [millis])?;
    Ok(())
}
