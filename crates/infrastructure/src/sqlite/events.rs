//! The log of events: how one is added to the chain, and how they are read.

use super::meta::{self, END_OF_DELETED};
use crate::chain::link;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params, params_from_iter};
use rusqlite_migration::HookResult;
use sandgate_core::{
    Event, EventHash, EventQuery, Head, InvalidHead, Order, OrganizationId, Recorded, Sandbox, Timestamp,
};

/// What [`read`] needs of a row.
pub(super) const COLUMNS: &str = "seq, at, organization_id, sandbox_id, kind, actor, detail, hash";

/// How many events of an old format are read at once.
const BATCH: usize = 1000;

/// Adds `event` at the end, in the transaction of what it tells about.
pub(super) fn append(connection: &Connection, sandbox: &Sandbox, event: &Event) -> rusqlite::Result<()> {
    let before = head(connection)?;
    let mut new = Recorded {
        seq: before.seq + 1,
        at: event.at,
        organization: sandbox.organization.to_string(),
        sandbox: sandbox.id.to_string(),
        kind: event.kind.as_str().to_owned(),
        actor: event.actor.to_string(),
        detail: event.detail.clone(),
        hash: before.hash,
    };
    new.hash = link(&before.hash, &new);
    insert(connection, &new)
}

fn insert(connection: &Connection, new: &Recorded) -> rusqlite::Result<()> {
    let sql = "
        INSERT INTO event (seq, at, organization_id, sandbox_id, kind, actor, detail, hash)
        VALUES (:seq, :at, :organization_id, :sandbox_id, :kind, :actor, :detail, :hash)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":seq": new.seq.cast_signed(),
        ":at": new.at.as_millis(),
        ":organization_id": new.organization,
        ":sandbox_id": new.sandbox,
        ":kind": new.kind,
        ":actor": new.actor,
        ":detail": new.detail,
        ":hash": new.hash.0,
    })?;
    Ok(())
}

/// Where the log ends. It is read anew for every event: a head in memory would be wrong after a transaction that was
/// undone.
fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let mut last = connection.prepare_cached("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1")?;
    let last = last.query_row([], |row| Ok(Head { seq: seq(row)?, hash: EventHash(row.get("hash")?) }));
    last.optional()?.map_or_else(|| start(connection), Ok)
}

/// What the oldest event that is kept follows.
pub(super) fn start(connection: &Connection) -> rusqlite::Result<Head> {
    let Some(noted) = meta::get(connection, END_OF_DELETED)? else { return Ok(Head::BEGINNING) };
    noted.parse().map_err(|error: InvalidHead| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
    })
}

/// Reads an event. What does not fit is an error: nothing like it was ever written.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        seq: seq(row)?,
        at: Timestamp::from_millis(row.get("at")?),
        organization: row.get("organization_id")?,
        sandbox: row.get("sandbox_id")?,
        kind: row.get("kind")?,
        actor: row.get("actor")?,
        detail: row.get("detail")?,
        hash: EventHash(row.get("hash")?),
    })
}

/// The place of an event.
pub(super) fn seq(row: &Row<'_>) -> rusqlite::Result<u64> {
    let seq: i64 = row.get("seq")?;
    seq.try_into()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, Box::new(error)))
}

/// A page of an organization's events.
pub(super) fn page(
    connection: &Connection,
    organization: OrganizationId,
    query: &EventQuery,
) -> rusqlite::Result<Vec<Recorded>> {
    let (conditions, mut values) = conditions(organization, query);
    let way = if query.order == Order::Ascending { "ASC" } else { "DESC" };
    let sql = format!("SELECT {COLUMNS} FROM event WHERE {conditions} ORDER BY seq {way} LIMIT ?");
    values.push(i64::from(query.limit).into());
    connection.prepare_cached(&sql)?.query_map(params_from_iter(values), read)?.collect()
}

fn conditions(organization: OrganizationId, query: &EventQuery) -> (String, Vec<Value>) {
    // Without the plus, the events of one sandbox might be looked for among all of its organization.
    let own = if query.sandbox.is_some() { "+organization_id = ?" } else { "organization_id = ?" };
    let (mut conditions, mut values) = (vec![own], vec![organization.to_string().into()]);
    if let Some(sandbox) = query.sandbox {
        conditions.push("sandbox_id = ?");
        values.push(sandbox.to_string().into());
    }
    if let Some(prefix) = &query.kind_prefix {
        conditions.push("substr(kind, 1, length(?)) = ?");
        values.extend([prefix.clone().into(), prefix.clone().into()]);
    }
    if let Some(after) = query.after {
        conditions.push(if query.order == Order::Ascending { "seq > ?" } else { "seq < ?" });
        values.push(i64::try_from(after).unwrap_or(i64::MAX).into());
    }
    (conditions.join(" AND "), values)
}

/// Gives the events of format 1, which had none, their hashes.
pub(super) fn chain_old(transaction: &Transaction<'_>) -> HookResult {
    let mut head = Head::BEGINNING;
    loop {
        let old = unchained(transaction, head.seq)?;
        for mut event in old.iter().cloned() {
            event.hash = link(&head.hash, &event);
            head = event.head();
            let sql = "UPDATE event SET hash = ? WHERE seq = ?";
            transaction.prepare_cached(sql)?.execute(params![head.hash.0, head.seq.cast_signed()])?;
        }
        if old.len() < BATCH {
            return Ok(());
        }
    }
}

fn unchained(connection: &Connection, after: u64) -> rusqlite::Result<Vec<Recorded>> {
    let sql = "
        SELECT seq, at, organization_id, sandbox_id, kind, actor, detail, zeroblob(32) AS hash
        FROM event WHERE seq > ? ORDER BY seq LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![after.cast_signed(), BATCH.cast_signed()], read)?.collect()
}
