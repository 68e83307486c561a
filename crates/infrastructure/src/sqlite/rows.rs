//! Sandboxes as rows: how one is written, and how those that live are read when the ledger is opened.

use super::error::WriteError;
use super::seal::Seal;
use super::words::Word;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row, ffi, named_params};
use sandgate_core::{
    Desired, EnvName, Handle, Intervals, Labels, Observed, Operation, Resources, Sandbox, SandboxConfig,
    SandboxName, SnapshotName, Source, Timestamp, UserName,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Makes the row.
pub(super) const INSERT: &str = "
    INSERT INTO sandbox (id, organization_id, created_by, name, snapshot, user, sealed_env, labels, cpu, memory_gib, disk_gib,
        auto_stop, auto_archive, auto_delete, network, provider, attempt, handle, desired, observed, cause,
        generation, created_at, updated_at, last_activity_at, deleted_at,
        ttl, stopped_at, archive_due, lives_until, destroy_at, operation_tries, operation_next_at, operation_parked)
    VALUES (:id, :organization_id, :created_by, :name, :snapshot, :user, :sealed_env, :labels, :cpu, :memory_gib, :disk_gib,
        :auto_stop, :auto_archive, :auto_delete, :network, :provider, :attempt, :handle, :desired, :observed, :cause,
        :generation, :created_at, :updated_at, :last_activity_at, :deleted_at,
        :ttl, :stopped_at, :archive_due, :lives_until, :destroy_at, :operation_tries, :operation_next_at, :operation_parked)";

/// Replaces the row if it is of the generation before. A change was made from what was read a while ago, so it never
/// takes back a later use.
pub(super) const UPDATE: &str = "
    UPDATE sandbox SET (organization_id, created_by, name, snapshot, user, sealed_env, labels, cpu, memory_gib, disk_gib,
        auto_stop, auto_archive, auto_delete, network, provider, attempt, handle, desired, observed, cause,
        generation, created_at, updated_at, last_activity_at, deleted_at,
        ttl, stopped_at, archive_due, lives_until, destroy_at, operation_tries, operation_next_at, operation_parked)
    = (:organization_id, :created_by, :name, :snapshot, :user, :sealed_env, :labels, :cpu, :memory_gib, :disk_gib,
        :auto_stop, :auto_archive, :auto_delete, :network, :provider, :attempt, :handle, :desired, :observed, :cause,
        :generation, :created_at, :updated_at, max(last_activity_at, :last_activity_at), :deleted_at,
        :ttl, :stopped_at, :archive_due, :lives_until, :destroy_at, :operation_tries, :operation_next_at, :operation_parked)
    WHERE id = :id AND generation = :generation - 1";

/// Whether nothing of it is left, so that only its row remains.
pub(super) const fn is_gone(sandbox: &Sandbox) -> bool {
    matches!((sandbox.desired, sandbox.observed), (Desired::Deleted, Observed::Absent))
}

/// Runs [`INSERT`] or [`UPDATE`] and says how many rows it met.
pub(super) fn write(
    connection: &Connection,
    sql: &str,
    seal: &Seal,
    row: &Sandbox,
) -> Result<usize, WriteError> {
    let SandboxConfig { resources, intervals, .. } = row.config;
    let mut statement = connection.prepare_cached(sql)?;
    let met = statement.execute(named_params! {
        ":id": row.id.to_string(),
        ":organization_id": row.organization.to_string(),
        ":created_by": row.created_by.map(|key| key.to_string()),
        ":name": row.name.as_str(),
        ":snapshot": row.config.snapshot.as_ref().map(SnapshotName::as_str),
        ":user": row.config.user.as_ref().map(UserName::as_str),
        ":sealed_env": sealed_env(seal, row)?,
        ":labels": json(row.config.labels.as_map()),
        ":cpu": resources.cpu,
        ":memory_gib": resources.memory_gib,
        ":disk_gib": resources.disk_gib,
        ":auto_stop": intervals.auto_stop,
        ":auto_archive": intervals.auto_archive,
        ":auto_delete": intervals.auto_delete,
        ":network": row.config.network.word(),
        ":provider": row.provider.word(),
        ":attempt": row.attempt,
        ":handle": row.handle.as_ref().map(|handle| handle.0.as_str()),
        ":desired": row.desired.word(),
        ":observed": row.observed.word(),
        ":cause": row.cause,
        ":generation": row.generation.cast_signed(),
        ":created_at": row.created_at.as_millis(),
        ":updated_at": row.updated_at.as_millis(),
        ":last_activity_at": row.last_activity_at.as_millis(),
        ":deleted_at": is_gone(row).then_some(row.updated_at.as_millis()),
        ":ttl": intervals.ttl,
        ":stopped_at": row.stopped_at.map(Timestamp::as_millis),
        ":archive_due": row.archive_due,
        ":lives_until": row.lives_until.map(Timestamp::as_millis),
        ":destroy_at": row.destroy_at.map(Timestamp::as_millis),
        ":operation_tries": row.operation.map(|it| it.tries),
        ":operation_next_at": row.operation.map(|it| it.next_at.as_millis()),
        ":operation_parked": row.operation.map(|it| it.parked),
    });
    met.map_err(name_taken_or)
}

/// Beside its primary key, a sandbox has nothing unique but its name.
fn name_taken_or(error: rusqlite::Error) -> WriteError {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE) => WriteError::NameTaken,
        _ => WriteError::Database(error),
    }
}

/// The environment as JSON, sealed; it ends with the sandbox.
fn sealed_env(seal: &Seal, row: &Sandbox) -> Result<Option<Vec<u8>>, WriteError> {
    if row.config.env.is_empty() || is_gone(row) {
        return Ok(None);
    }
    let env: BTreeMap<_, _> = row.config.env.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let sealed = seal.seal(row.id, json(&env).into_bytes());
    sealed.map(Some).map_err(|_| WriteError::Unsealable)
}

fn json<K: Serialize, V: Serialize>(map: &BTreeMap<K, V>) -> String {
    serde_json::to_string(map).expect("a map from texts to texts is JSON")
}

/// Why a row cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// `SQLite` did not give it, or it holds what is never written.
    Database(rusqlite::Error),
    /// The sealed environment does not open.
    Sealed,
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Every sandbox of which something may still exist.
pub(super) fn living(connection: &Connection, seal: &Seal) -> Result<Vec<Sandbox>, ReadError> {
    let mut statement = connection.prepare("SELECT * FROM sandbox WHERE deleted_at IS NULL")?;
    let mut rows = statement.query([])?;
    let mut living = Vec::new();
    while let Some(row) = rows.next()? {
        let env = env(row, seal)?;
        living.push(sandbox(row, env)?);
    }
    Ok(living)
}

type Env = BTreeMap<EnvName, String>;

fn env(row: &Row<'_>, seal: &Seal) -> Result<Env, ReadError> {
    let Some(sealed) = row.get::<_, Option<Vec<u8>>>("sealed_env")? else { return Ok(Env::new()) };
    let plain = seal.open(text(row, "id", str::parse)?, &sealed).ok_or(ReadError::Sealed)?;
    // What opens was written by us: anything else is as good as another key.
    let env = serde_json::from_slice(&plain).map_err(|_| ReadError::Sealed)?;
    SandboxConfig::parse_env(env).map_err(|_| ReadError::Sealed)
}

fn sandbox(row: &Row<'_>, env: Env) -> rusqlite::Result<Sandbox> {
    Ok(Sandbox {
        id: text(row, "id", str::parse)?,
        organization: text(row, "organization_id", str::parse)?,
        created_by: optional(row, "created_by", str::parse)?,
        name: text(row, "name", |name| SandboxName::parse(name))?,
        config: config(row, env)?,
        provider: word(row, "provider")?,
        attempt: row.get("attempt")?,
        handle: row.get::<_, Option<String>>("handle")?.map(Handle),
        desired: word(row, "desired")?,
        observed: word(row, "observed")?,
        cause: row.get("cause")?,
        generation: row.get::<_, i64>("generation")?.cast_unsigned(),
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        last_activity_at: time(row, "last_activity_at")?,
        operation: operation(row)?,
        stopped_at: optional_time(row, "stopped_at")?,
        archive_due: row.get("archive_due")?,
        lives_until: optional_time(row, "lives_until")?,
        destroy_at: optional_time(row, "destroy_at")?,
    })
}

fn operation(row: &Row<'_>) -> rusqlite::Result<Option<Operation>> {
    let Some(next_at) = optional_time(row, "operation_next_at")? else { return Ok(None) };
    Ok(Some(Operation { tries: row.get("operation_tries")?, next_at, parked: row.get("operation_parked")? }))
}

fn config(row: &Row<'_>, env: Env) -> rusqlite::Result<SandboxConfig> {
    Ok(SandboxConfig {
        snapshot: optional(row, "snapshot", |name| SnapshotName::parse(name))?,
        user: optional(row, "user", |name| UserName::parse(name))?,
        env,
        labels: text(row, "labels", labels)?,
        resources: Resources {
            cpu: row.get("cpu")?,
            memory_gib: row.get("memory_gib")?,
            disk_gib: row.get("disk_gib")?,
        },
        intervals: Intervals {
            auto_stop: row.get("auto_stop")?,
            auto_archive: row.get("auto_archive")?,
            auto_delete: row.get("auto_delete")?,
            ttl: row.get("ttl")?,
        },
        network: word(row, "network")?,
    })
}

fn labels(json: &str) -> Result<Labels, Source> {
    Ok(Labels::parse(serde_json::from_str(json)?)?)
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

pub(super) fn optional_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn word<W: Word>(row: &Row<'_>, column: &str) -> rusqlite::Result<W> {
    text(row, column, |word| W::from_word(word).ok_or_else(|| format!("`{word}` is not known")))
}

fn optional<T, E: Into<Source>>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> rusqlite::Result<Option<T>> {
    if row.get_ref(column)? == ValueRef::Null { Ok(None) } else { text(row, column, parse).map(Some) }
}

/// Reads a text that was checked before it was written, and is checked again.
pub(super) fn text<T, E: Into<Source>>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> rusqlite::Result<T> {
    let index = row.as_ref().column_index(column)?;
    let text: String = row.get(index)?;
    parse(&text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, error.into()))
}
