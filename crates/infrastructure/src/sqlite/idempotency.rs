//! Requests that are to have their effect once: looked up and noted inside the transaction of their intent.

use super::error::WriteError;
use super::rows;
use super::seal::Seal;
use super::words::Word;
use rusqlite::{Connection, OptionalExtension, params};
use sandgate_core::{
    Desired, Idempotency, IdempotencyKey, Intent, NotAdmitted, OrganizationId, SandboxId, Timestamp,
};

/// A request that was sent before.
struct Known {
    same: bool,
    sandbox: SandboxId,
    desired: Desired,
}

/// Whether this is the first time that the request is sent.
pub(super) fn admit(connection: &Connection, seal: &Seal, intent: &Intent) -> Result<(), WriteError> {
    let Some(idempotency) = &intent.idempotency else { return Ok(()) };
    let now = intent.sandbox.created_at;
    let mark = seal.mark(&idempotency.request);
    match known(connection, intent.sandbox.organization, (&idempotency.key, mark), now)? {
        None => Ok(()),
        Some(Known { same: false, .. }) => Err(NotAdmitted::KeyReused.into()),
        // A create that was given up has no key any more: what is deleted here was delivered before.
        Some(Known { desired: Desired::Deleted, .. }) => Err(NotAdmitted::KeySpent.into()),
        Some(Known { sandbox, .. }) => Err(NotAdmitted::KeyInUse(sandbox).into()),
    }
}

fn known(
    connection: &Connection,
    organization: OrganizationId,
    (key, mark): (&IdempotencyKey, Vec<u8>),
    now: Timestamp,
) -> rusqlite::Result<Option<Known>> {
    let sql = "
        SELECT request = ? AS same, sandbox_id, desired
        FROM idempotency JOIN sandbox ON sandbox.id = sandbox_id
        WHERE idempotency.organization_id = ? AND key = ? AND expires_at > ?";
    let values = params![mark, organization.to_string(), key.as_str(), now.as_millis()];
    let known = connection.prepare_cached(sql)?.query_row(values, |row| {
        Ok(Known {
            same: row.get("same")?,
            sandbox: rows::text(row, "sandbox_id", str::parse)?,
            desired: rows::text(row, "desired", |word| Desired::from_word(word).ok_or("not a word"))?,
        })
    });
    known.optional()
}

/// Notes the request with the sandbox that it makes. One that has expired is forgotten for it.
pub(super) fn note(connection: &Connection, seal: &Seal, intent: &Intent) -> rusqlite::Result<()> {
    let Some(idempotency) = &intent.idempotency else { return Ok(()) };
    let now = intent.sandbox.created_at.as_millis();
    let sql = "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        intent.sandbox.organization.to_string(),
        idempotency.key.as_str(),
        seal.mark(&idempotency.request),
        intent.sandbox.id.to_string(),
        now,
        now.saturating_add(Idempotency::KEPT_MILLIS),
    ])?;
    Ok(())
}

/// Forgets what has expired.
pub(super) fn purge(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "DELETE FROM idempotency WHERE expires_at <= ?";
    connection.prepare_cached(sql)?.execute([now.as_millis()])?;
    Ok(())
}
