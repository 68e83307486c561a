//! Retention: what is old enough goes, in transactions so small that nobody waits for them.

use super::SqliteLedger;
use super::events;
use super::meta::{self, END_OF_DELETED};
use super::rows;
use super::timeline;
use super::write::Write;
use rusqlite::{Connection, params};
use sandgate_core::{EventHash, Head, RepositoryError, SandboxId, Timestamp};
use std::time::Duration;

/// How much goes in one transaction.
const BATCH: usize = 200;

/// How long what is over is kept; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events.
    pub events: Option<Duration>,
    /// Rows of sandboxes of which nothing is left.
    pub deleted: Option<Duration>,
}

/// What a purge has deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Events.
    pub events: u64,
    /// Sandboxes, with their attempts.
    pub sandboxes: u64,
}

impl SqliteLedger {
    /// Deletes what is older at `now` than `retention` says. What is left of the log of events can still be checked: the
    /// ledger keeps the hash of the last one deleted. A clock that was turned by a day or more is believed again once
    /// all that it could have made older is old of itself.
    pub async fn purge(&self, retention: &Retention, now: Timestamp) -> Result<Purged, RepositoryError> {
        let mut purged = Purged::default();
        if let Some(kept) = self.ripe(retention.events, now).await? {
            while let Some((end, count)) = self.old_events(before(now, kept)).await? {
                self.0.writer.write(Write::CutEvents(end)).await?;
                purged.events += count;
            }
        }
        if let Some(kept) = self.ripe(retention.deleted, now).await? {
            while let Some(gone) = self.long_gone(before(now, kept)).await? {
                purged.sandboxes += gone.len() as u64;
                self.0.writer.write(Write::Forget(gone)).await?;
            }
        }
        Ok(purged)
    }

    /// The same, where the clock can tell that something is so old.
    async fn ripe(
        &self,
        kept: Option<Duration>,
        now: Timestamp,
    ) -> Result<Option<Duration>, RepositoryError> {
        let Some(kept) = kept else { return Ok(None) };
        let tells = move |connection: &Connection| timeline::tells_ages(connection, now, millis(kept));
        Ok(self.0.readers.ask(tells).await?.then_some(kept))
    }

    async fn old_events(&self, before: Timestamp) -> Result<Option<(Head, u64)>, RepositoryError> {
        self.0.readers.ask(move |connection| old_events(connection, before)).await
    }

    async fn long_gone(&self, before: Timestamp) -> Result<Option<Vec<SandboxId>>, RepositoryError> {
        let gone = self.0.readers.ask(move |connection| long_gone(connection, before)).await?;
        Ok(Some(gone).filter(|gone| !gone.is_empty()))
    }
}

fn before(now: Timestamp, kept: Duration) -> Timestamp {
    now.shifted(-millis(kept))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The last of the next old events, and how many there are up to it. The first that is young enough ends them, so that
/// a clock that was turned back makes no hole.
fn old_events(connection: &Connection, before: Timestamp) -> rusqlite::Result<Option<(Head, u64)>> {
    let mut statement = connection.prepare_cached("SELECT seq, at, hash FROM event ORDER BY seq LIMIT ?")?;
    let mut rows = statement.query([BATCH.cast_signed()])?;
    let mut old = None;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>("at")? >= before.as_millis() {
            break;
        }
        let count = old.map_or(0, |(_, count)| count) + 1;
        old = Some((Head { seq: events::seq(row)?, hash: EventHash(row.get("hash")?) }, count));
    }
    Ok(old)
}

fn long_gone(connection: &Connection, before: Timestamp) -> rusqlite::Result<Vec<SandboxId>> {
    let sql = "SELECT id FROM sandbox WHERE deleted_at < ? LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let gone = statement.query_map(params![before.as_millis(), BATCH.cast_signed()], |row| {
        rows::text(row, "id", str::parse)
    })?;
    gone.collect()
}

/// Deletes the events up to `end`, which is noted first: the ledger lets no others be deleted.
pub(super) fn cut_events(connection: &Connection, end: Head) -> rusqlite::Result<()> {
    let noted = events::start(connection)?;
    if end.seq <= noted.seq {
        return Ok(());
    }
    meta::set(connection, END_OF_DELETED, &end.to_string())?;
    connection.execute("DELETE FROM event WHERE seq <= ?", [end.seq.cast_signed()])?;
    Ok(())
}

/// Deletes rows of sandboxes that are gone. What belongs to them goes by a trigger.
pub(super) fn forget(connection: &Connection, gone: &[SandboxId]) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("DELETE FROM sandbox WHERE id = ? AND deleted_at IS NOT NULL")?;
    for id in gone {
        statement.execute([id.to_string()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrations::MIGRATIONS;

    #[test]
    fn an_end_of_long_ago_does_not_take_back_a_later_one() {
        let mut connection = Connection::open_in_memory().expect("a database");
        MIGRATIONS.to_latest(&mut connection).expect("the latest format");
        let end = |seq| Head { seq, hash: EventHash([7; 32]) };
        cut_events(&connection, end(5)).expect("cut");
        cut_events(&connection, end(3)).expect("cut again");
        assert_eq!(events::start(&connection).expect("start"), end(5));
    }
}
