//! What a quota and a rate say to an intent. Asked inside its transaction, with its row already written: an error
//! takes that back.

use super::error::WriteError;
use rusqlite::{Connection, OptionalExtension, params};
use sandgate_core::{Admitted, KeyId, NotAdmitted, Quota, Quotas, Rate, Reserved, Sandbox, Scope, Timestamp};

/// Somebody whose sandboxes are counted.
struct Owner {
    scope: Scope,
    id: String,
    quota: Quota,
}

fn owners(quotas: &Quotas, sandbox: &Sandbox) -> impl Iterator<Item = Owner> {
    let organization = sandbox.organization;
    let of_key = |key: KeyId| Owner { scope: Scope::Key, id: key.to_string(), quota: quotas.of_key(key) };
    let of_organization = Owner {
        scope: Scope::Organization,
        id: organization.to_string(),
        quota: quotas.of_organization(organization),
    };
    std::iter::once(of_organization).chain(sandbox.created_by.map(of_key))
}

/// Whether `sandbox`, which was just written, may take `more` than its owners had.
pub(super) fn admit(
    connection: &Connection,
    quotas: &Quotas,
    sandbox: &Sandbox,
    more: Reserved,
) -> Result<(), WriteError> {
    for owner in owners(quotas, sandbox).filter(|owner| owner.quota.bounds_totals()) {
        let before = less(reserved(connection, &owner.id)?, more);
        owner.quota.admit(owner.scope, before, more).map_err(NotAdmitted::Quota)?;
    }
    Ok(())
}

/// Whether `sandbox`, which was just written, was not asked for too soon.
pub(super) fn admit_rate(
    connection: &Connection,
    quotas: &Quotas,
    sandbox: &Sandbox,
) -> Result<Admitted, WriteError> {
    let mut admitted = Admitted::default();
    for owner in owners(quotas, sandbox) {
        let Some(limit) = owner.quota.creates_per_minute else { continue };
        let rate = rate(connection, &owner, limit, sandbox.created_at)?;
        admitted.rate = Some(rate.tighter(admitted.rate));
    }
    Ok(admitted)
}

fn less(all: Reserved, part: Reserved) -> Reserved {
    Reserved {
        sandboxes: all.sandboxes.saturating_sub(part.sandboxes),
        cpu: all.cpu.saturating_sub(part.cpu),
        memory_gib: all.memory_gib.saturating_sub(part.memory_gib),
        disk_gib: all.disk_gib.saturating_sub(part.disk_gib),
    }
}

fn reserved(connection: &Connection, owner: &str) -> rusqlite::Result<Reserved> {
    let sql = "SELECT sandboxes, cpu, memory_gib, disk_gib FROM reserved WHERE owner = ?";
    let row = connection.prepare_cached(sql)?.query_row([owner], |row| {
        let amount = |column| row.get(column).map(i64::cast_unsigned);
        Ok(Reserved { sandboxes: amount(0)?, cpu: amount(1)?, memory_gib: amount(2)?, disk_gib: amount(3)? })
    });
    Ok(row.optional()?.unwrap_or_default())
}

/// Those asked for within the window around `?2`. What lies further in the future was written before the clock was turned
/// back, and locks nobody out.
const WITHIN: &str = "FROM sandbox WHERE created_at > ?2 - ?3 AND created_at <= ?2 + ?3";

/// How much of the rate is left when what was just written counts; an error where that was one too many.
fn rate(connection: &Connection, owner: &Owner, limit: u32, now: Timestamp) -> Result<Rate, WriteError> {
    let asked = asked(connection, owner.scope, &owner.id, now)?;
    let excess = asked.saturating_sub(limit);
    // Where there are too many, the one that has to leave is not the first.
    let sql = format!(
        "SELECT created_at {WITHIN} AND {column} = ?1 ORDER BY created_at LIMIT 1 OFFSET ?4",
        column = column(owner.scope)
    );
    let leaving = connection
        .prepare_cached(&sql)?
        .query_row(params![owner.id, now.as_millis(), window(), excess.saturating_sub(1)], |row| row.get(0));
    let rate = Rate::after(asked, limit, Timestamp::from_millis(leaving?), now);
    if excess > 0 { Err(NotAdmitted::Rate(rate).into()) } else { Ok(rate) }
}

/// How many sandboxes were asked for within the last minute.
pub(super) fn asked(
    connection: &Connection,
    scope: Scope,
    owner: &str,
    now: Timestamp,
) -> rusqlite::Result<u32> {
    let sql = format!("SELECT count(*) {WITHIN} AND {} = ?1", column(scope));
    connection.prepare_cached(&sql)?.query_row(params![owner, now.as_millis(), window()], |row| row.get(0))
}

const fn column(scope: Scope) -> &'static str {
    match scope {
        Scope::Organization => "organization_id",
        Scope::Key => "created_by",
    }
}

fn window() -> i64 {
    i64::try_from(Rate::WINDOW.as_millis()).unwrap_or(i64::MAX)
}

/// Compares what is reserved with the rows, and corrects it. Says whether that was needed.
pub(super) fn recount(connection: &Connection) -> rusqlite::Result<bool> {
    let agree = "
        SELECT NOT EXISTS (SELECT * FROM recount EXCEPT SELECT * FROM reserved)
            AND NOT EXISTS (SELECT * FROM reserved WHERE sandboxes <> 0 EXCEPT SELECT * FROM recount)";
    if connection.query_row(agree, [], |row| row.get(0))? {
        return Ok(false);
    }
    connection.execute_batch(
        "BEGIN IMMEDIATE; DELETE FROM reserved; INSERT INTO reserved SELECT * FROM recount; COMMIT",
    )?;
    Ok(true)
}
