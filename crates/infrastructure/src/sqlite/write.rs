//! What can be written to the ledger, and how each kind is.

use super::error::WriteError;
use super::events;
use super::index::Index;
use super::purge;
use super::rows;
use super::seal::Seal;
use super::{agenda, idempotency, quotas, timeline};
use rusqlite::{Connection, named_params, params};
use sandgate_core::{
    Abandoned, Admitted, Anchor, ApiKey, Desired, Event, EventKind, Head, InstanceId, Intent, KeyHash,
    Observed, Quotas, Reserved, Sandbox, SandboxId, Timestamp,
};
use std::sync::{Arc, PoisonError, RwLock};

/// One write, whole or not at all.
pub(super) enum Write {
    /// A new sandbox.
    Insert(Arc<Intent>),
    /// A change of one.
    Update(Arc<Sandbox>, Event),
    /// A change of one that is no event.
    Amend(Arc<Sandbox>),
    /// A use of one.
    Touch(SandboxId, Timestamp),
    /// A key, and its organization where that is new.
    Key(ApiKey, KeyHash),
    /// How an abandoned attempt stands.
    Abandoned(Abandoned),
    /// How the ledger's times relate to the host's.
    Anchor(Anchor),
    /// The same, and by how many milliseconds all that timers count from is moved.
    Shift(i64, Anchor),
    /// That a ledger from a backup is the right one.
    Trust,
    /// The end of idempotency keys that have expired at this moment.
    Purge(Timestamp),
    /// The end of old events: those up to there go.
    CutEvents(Head),
    /// The end of rows of sandboxes that are gone.
    Forget(Vec<SandboxId>),
}

/// What every write needs.
pub(super) struct Context {
    /// Stands in every external name.
    pub(super) instance: InstanceId,
    /// For the environments.
    pub(super) seal: Seal,
    /// How much may be asked for.
    pub(super) quotas: Arc<RwLock<Quotas>>,
}

impl Write {
    /// Carries it out on `connection`, inside a transaction of the caller's.
    pub(super) fn execute(&self, connection: &Connection, context: &Context) -> Result<Admitted, WriteError> {
        let written = |()| Admitted::default();
        match self {
            Self::Insert(intent) => insert(connection, context, intent),
            Self::Amend(sandbox) => replace(connection, context, sandbox).map(written),
            Self::Update(sandbox, event) => {
                replace(connection, context, sandbox)?;
                admit_start(connection, context, sandbox, event)?;
                record(connection, &context.instance, sandbox, event).map(written)
            }
            Self::Touch(id, at) => Ok(touch(connection, *id, *at).map(written)?),
            Self::Key(key, hash) => Ok(insert_key(connection, key, hash).map(written)?),
            Self::Abandoned(abandoned) => Ok(agenda::note(connection, abandoned).map(written)?),
            Self::Anchor(anchor) => Ok(timeline::set_anchor(connection, anchor).map(written)?),
            Self::Shift(millis, anchor) => Ok(timeline::shift(connection, *millis, anchor).map(written)?),
            Self::Trust => Ok(agenda::trust(connection).map(written)?),
            Self::Purge(now) => Ok(idempotency::purge(connection, *now).map(written)?),
            Self::CutEvents(end) => Ok(purge::cut_events(connection, *end).map(written)?),
            Self::Forget(gone) => Ok(purge::forget(connection, gone).map(written)?),
        }
    }

    /// Makes the index agree, once it is on disk.
    pub(super) fn publish(&self, index: &mut Index) {
        match self {
            Self::Insert(intent) => index.put(Arc::new(intent.sandbox.clone())),
            Self::Update(sandbox, _) | Self::Amend(sandbox) => index.put(sandbox.clone()),
            Self::Touch(id, at) => index.touch(*id, *at),
            Self::Key(key, hash) => index.put_key(*key, *hash),
            Self::Abandoned(_) | Self::Trust | Self::Purge(_) | Self::CutEvents(_) | Self::Forget(_) => {}
            Self::Anchor(anchor) => index.put_anchor(*anchor),
            Self::Shift(millis, anchor) => {
                index.put_anchor(*anchor);
                index.shift(*millis);
            }
        }
    }
}

impl Context {
    fn quotas(&self) -> std::sync::RwLockReadGuard<'_, Quotas> {
        self.quotas.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it may be asked for is found out before the row is written where an answer stands already, and after that
/// where it is one of those that are counted.
fn insert(connection: &Connection, context: &Context, intent: &Intent) -> Result<Admitted, WriteError> {
    let Intent { sandbox, event, .. } = intent;
    idempotency::admit(connection, &context.seal, intent)?;
    rows::write(connection, rows::INSERT, &context.seal, sandbox)?;
    let admitted = quotas::admit_rate(connection, &context.quotas(), sandbox)?;
    quotas::admit(connection, &context.quotas(), sandbox, Reserved::of(sandbox))?;
    idempotency::note(connection, &context.seal, intent)?;
    record(connection, &context.instance, sandbox, event)?;
    Ok(admitted)
}

/// Writes the row over the one of the generation before.
fn replace(connection: &Connection, context: &Context, sandbox: &Sandbox) -> Result<(), WriteError> {
    match rows::write(connection, rows::UPDATE, &context.seal, sandbox)? {
        0 => Err(WriteError::Stale),
        _ => Ok(()),
    }
}

/// A start that was asked for takes more. One that was only seen is a fact, and no quota can be against it.
fn admit_start(
    connection: &Connection,
    context: &Context,
    sandbox: &Sandbox,
    event: &Event,
) -> Result<(), WriteError> {
    match event.kind {
        EventKind::StartRequested => {
            quotas::admit(connection, &context.quotas(), sandbox, Reserved::of_start(sandbox))
        }
        _ => Ok(()),
    }
}

/// Writes what goes with every change of a sandbox.
fn record(
    connection: &Connection,
    instance: &InstanceId,
    sandbox: &Sandbox,
    event: &Event,
) -> Result<(), WriteError> {
    write_attempt(connection, instance, sandbox)?;
    Ok(events::append(connection, sandbox, event)?)
}

/// An attempt that was abandoned once stays so, whatever becomes of its sandbox, until its name was deleted for long
/// enough. So is one that another one follows before anybody knows what became of it.
fn write_attempt(connection: &Connection, instance: &InstanceId, sandbox: &Sandbox) -> rusqlite::Result<()> {
    let sql = "
        INSERT INTO attempt (sandbox_id, number, provider, external_name, state, at, next_at)
        VALUES (:sandbox_id, :number, :provider, :external_name, :state, :at, iif(:state = 'abandoned', :at, NULL))
        ON CONFLICT (sandbox_id, number)
        DO UPDATE SET (state, at, next_at) = (excluded.state, excluded.at, excluded.next_at)
        WHERE state NOT IN (excluded.state, 'abandoned')";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":sandbox_id": sandbox.id.to_string(),
        ":number": sandbox.attempt,
        ":provider": sandbox.provider.as_str(),
        ":external_name": sandbox.current_attempt().external_name(instance).as_str(),
        ":state": attempt_state(sandbox),
        ":at": sandbox.updated_at.as_millis(),
    })?;
    if sandbox.attempt > 1 { abandon_earlier(connection, sandbox) } else { Ok(()) }
}

fn abandon_earlier(connection: &Connection, sandbox: &Sandbox) -> rusqlite::Result<()> {
    let sql = "
        UPDATE attempt SET (state, at, next_at) = ('abandoned', :at, :at)
        WHERE sandbox_id = :sandbox_id AND number < :number AND state = 'planned'";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":sandbox_id": sandbox.id.to_string(),
        ":number": sandbox.attempt,
        ":at": sandbox.updated_at.as_millis(),
    })?;
    Ok(())
}

/// Where the current attempt stands.
const fn attempt_state(sandbox: &Sandbox) -> &'static str {
    match (sandbox.desired, sandbox.observed) {
        (Desired::Deleted, Observed::Pending) => "abandoned",
        (_, Observed::Pending) => "planned",
        (_, Observed::Absent) => "gone",
        (_, Observed::Started | Observed::Stopped | Observed::Failed) => "delivered",
    }
}

fn touch(connection: &Connection, id: SandboxId, at: Timestamp) -> rusqlite::Result<()> {
    let sql = "
        UPDATE sandbox SET last_activity_at = max(last_activity_at, ?) WHERE id = ? AND deleted_at IS NULL";
    connection.prepare_cached(sql)?.execute(params![at.as_millis(), id.to_string()])?;
    Ok(())
}

fn insert_key(connection: &Connection, key: &ApiKey, hash: &KeyHash) -> rusqlite::Result<()> {
    let known = "SELECT 1 FROM api_key WHERE hash = ?";
    if connection.prepare_cached(known)?.exists([hash.0])? {
        return Ok(());
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let organization = key.organization.to_string();
    connection.execute(
        "INSERT INTO organization VALUES (?, ?) ON CONFLICT DO NOTHING",
        params![organization, now],
    )?;
    connection.execute(
        "INSERT INTO api_key (id, organization_id, hash, created_at) VALUES (?, ?, ?, ?)",
        params![key.id.to_string(), organization, hash.0, now],
    )?;
    Ok(())
}
