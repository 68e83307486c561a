//! What must hold once nothing is due any more.

use crate::house::{House, Server};
use rusqlite::{Connection, OpenFlags};
use sandgate_core::{
    Agenda, Observed, OrganizationId, Reserved, Sandbox, SandboxRepository, SandboxService, Step, Timestamp,
    next_step,
};
use sandgate_infrastructure::sqlite::Audit;

/// Everything that is not as it must be, in words.
pub(crate) async fn stains(house: &House, server: &Server) -> Vec<String> {
    let rows = server.ledger.all_living().await.expect("living");
    let mut found = rows_and_things(server, &rows).await;
    found.extend(quotas(house, &rows));
    for abandoned in pending(server).await {
        found.push(format!("{:?} is still looked for", abandoned.attempt));
    }
    found
}

/// The abandoned attempts whose time is not over.
pub(crate) async fn pending(server: &Server) -> Vec<sandgate_core::Abandoned> {
    server.ledger.abandoned(Timestamp::from_millis(i64::MAX)).await.expect("abandoned attempts")
}

async fn rows_and_things(server: &Server, rows: &[Sandbox]) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        let seen = server.service.status(&row.reference()).await.expect("status");
        let at_rest = next_step(row.desired, row.observed) == Step::Rest;
        if !at_rest || seen != row.observed || seen == Observed::Failed {
            found.push(format!(
                "{} is to be {:?}, is said to be {:?} and is {seen:?}: {:?}",
                row.name, row.desired, row.observed, row.cause
            ));
        }
    }
    let held = server.service.held();
    if held != rows.len() {
        found.push(format!("the provider holds {held} for {} rows", rows.len()));
    }
    found
}

/// What is kept of quotas is what the rows take.
fn quotas(house: &House, rows: &[Sandbox]) -> Vec<String> {
    let owner = house.key.organization;
    let mut counted = Reserved::default();
    for row in rows.iter().filter(|row| row.organization == owner) {
        counted += Reserved::of(row);
    }
    let kept = kept(&look(house), owner);
    if kept == counted { Vec::new() } else { vec![format!("quotas hold {kept:?} for {counted:?}")] }
}

fn kept(connection: &Connection, owner: OrganizationId) -> Reserved {
    let sum = |column: &str| {
        let sql = format!("SELECT coalesce(sum({column}), 0) FROM reserved WHERE owner = ?");
        let sum: i64 = connection.query_row(&sql, [owner.to_string()], |row| row.get(0)).expect("a sum");
        sum.unsigned_abs()
    };
    Reserved {
        sandboxes: sum("sandboxes"),
        cpu: sum("cpu"),
        memory_gib: sum("memory_gib"),
        disk_gib: sum("disk_gib"),
    }
}

/// The ledger is a sound database with a whole chain of events. Looked at once for each cell: it takes a while.
pub(crate) fn check_ledger(house: &House) -> Result<(), String> {
    let said: String = look(house)
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if said != "ok" {
        return Err(format!("the ledger: {said}"));
    }
    let audit = Audit::open(house.dir.path()).map_err(|error| error.to_string())?;
    audit.verify(None).map(drop).map_err(|damage| format!("the chain of events: {damage:?}"))
}

fn look(house: &House) -> Connection {
    let path = house.dir.path().join("ledger.db");
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("look")
}
