//! What can be written to the ledger, and how each kind is.

use super::error::WriteError;
use super::events;
use super::index::Index;
use super::purge;
use super::rows;
use super::seal::Seal;
use rusqlite::{Connection, named_params, params};
use sandgate_core::{
    ApiKey, Desired, Event, Head, InstanceId, KeyHash, Observed, Sandbox, SandboxId, Timestamp,
};
use std::sync::Arc;

/// One write, whole or not at all.
pub(super) enum Write {
    /// A new sandbox.
    Insert(Arc<Sandbox>, Event),
    /// A change of one.
    Update(Arc<Sandbox>, Event),
    /// A use of one.
    Touch(SandboxId, Timestamp),
    /// A key, and its organization where that is new.
    Key(ApiKey, KeyHash),
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
}

impl Write {
    /// Carries it out on `connection`, inside a transaction of the caller's.
    pub(super) fn execute(&self, connection: &Connection, context: &Context) -> Result<(), WriteError> {
        match self {
            Self::Insert(sandbox, event) => {
                rows::write(connection, rows::INSERT, &context.seal, sandbox)?;
                record(connection, &context.instance, sandbox, event)
            }
            Self::Update(sandbox, event) => {
                if rows::write(connection, rows::UPDATE, &context.seal, sandbox)? == 0 {
                    return Err(WriteError::Stale);
                }
                record(connection, &context.instance, sandbox, event)
            }
            Self::Touch(id, at) => Ok(touch(connection, *id, *at)?),
            Self::Key(key, hash) => Ok(insert_key(connection, key, hash)?),
            Self::CutEvents(end) => Ok(purge::cut_events(connection, *end)?),
            Self::Forget(gone) => Ok(purge::forget(connection, gone)?),
        }
    }

    /// Makes the index agree, once it is on disk.
    pub(super) fn publish(&self, index: &mut Index) {
        match self {
            Self::Insert(sandbox, _) | Self::Update(sandbox, _) => index.put(sandbox.clone()),
            Self::Touch(id, at) => index.touch(*id, *at),
            Self::Key(key, hash) => index.put_key(*key, *hash),
            Self::CutEvents(_) | Self::Forget(_) => {}
        }
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

fn write_attempt(connection: &Connection, instance: &InstanceId, sandbox: &Sandbox) -> rusqlite::Result<()> {
    let sql = "
        INSERT INTO attempt (sandbox_id, number, provider, external_name, state, at)
        VALUES (:sandbox_id, :number, :provider, :external_name, :state, :at)
        ON CONFLICT (sandbox_id, number) DO UPDATE SET (state, at) = (excluded.state, excluded.at)
        WHERE state <> excluded.state";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":sandbox_id": sandbox.id.to_string(),
        ":number": sandbox.attempt,
        ":provider": sandbox.provider.as_str(),
        ":external_name": sandbox.current_attempt().external_name(instance).as_str(),
        ":state": attempt_state(sandbox),
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
    let sql = "UPDATE sandbox SET last_activity_at = ? WHERE id = ? AND deleted_at IS NULL";
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
