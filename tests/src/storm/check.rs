//! What must hold once the server has come back: nothing answered is lost, nothing is half done, nothing has no row.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::journal::{Fate, MARK};
use super::line::Line;
use super::provider::{Place, Provider, Row};
use super::worker::Worker;

/// How long a server may take, from its start, until it is at rest.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until every row is at rest and the world is what the rows say; returns them.
pub(super) async fn rest(line: &Line, provider: &Provider, place: &Place, start: Instant) -> Vec<Value> {
    loop {
        let rows = line.list().await.expect("nobody kills it now");
        let found = unrest(&rows, provider, place);
        if found.is_empty() {
            return rows;
        }
        assert!(start.elapsed() < PATIENCE, "not at rest after {PATIENCE:?}:\n  {}", found.join("\n  "));
        tokio::time::sleep(PAUSE).await;
    }
}

fn unrest(rows: &[Value], provider: &Provider, place: &Place) -> Vec<String> {
    let moving = |row: &&Value| row["state"] != "started" && row["state"] != "stopped";
    let mut found: Vec<_> = rows.iter().filter(moving).map(|row| format!("not at rest: {row}")).collect();
    let row = |row| Row { id: id(row), runs: row["state"] == "started" };
    found.extend(provider.differences(place, &rows.iter().map(row).collect::<Vec<_>>()));
    found
}

fn id(row: &Value) -> &str {
    row["id"].as_str().unwrap_or_else(|| panic!("an id: {row}"))
}

/// Compares every sandbox that was ever asked for with its row, and each row with those; looks into what runs.
pub(super) async fn journals(workers: &mut [Worker], rows: &[Value], line: &Line, faulty: bool) {
    let marks = |worker: &Worker| worker.sandboxes.iter().map(|known| known.mark.clone()).collect::<Vec<_>>();
    let asked: Vec<String> = workers.iter().flat_map(marks).collect();
    for row in rows {
        let mark = row["labels"][MARK].as_str();
        assert!(asked.iter().any(|asked| Some(asked.as_str()) == mark), "nobody has asked for it: {row}");
    }
    for worker in workers {
        for at in 0..worker.sandboxes.len() {
            let known = &mut worker.sandboxes[at];
            let own: Vec<_> = rows.iter().filter(|row| row["labels"][MARK] == *known.mark).collect();
            assert!(own.len() < 2, "two sandboxes of one create: {own:?}");
            known.must(|known| known.meet(own.first().copied()));
            if known.fate == Fate::Living && known.power == Some(true) {
                worker.look(line, at).await.expect("nobody kills it now");
            }
            let repeated = worker.repeat(line, at).await;
            assert!(repeated.is_ok() || faulty, "nobody kills it now");
        }
        worker.sandboxes.retain(|known| known.fate != Fate::Gone);
    }
}

/// What is counted as used is what there is.
pub(super) async fn usage(line: &Line) {
    let rows = line.list().await.expect("nobody kills it now");
    let answer = line.call(Method::GET, "/v1/usage", None).await.expect("nobody kills it now");
    let usage = answer.expect(200).json();
    let sum = |field: &str, of: &dyn Fn(&Value) -> bool| -> u64 {
        rows.iter().filter(|row| of(row)).map(|row| row[field].as_u64().expect("a number")).sum()
    };
    let runs = |row: &Value| row["state"] == "started";
    for owner in ["organization", "key"] {
        let now = &usage[owner]["now"];
        assert_eq!(now["sandboxes"], rows.len(), "{usage}");
        assert_eq!((&now["cpu"], &now["memory"]), (&sum("cpu", &runs).into(), &sum("memory", &runs).into()));
        assert_eq!(now["disk"], sum("disk", &|_| true), "{usage}");
    }
}

/// Sums that quotas are kept with, and that differ from the rows.
const SUMS: &str = "
    SELECT 'a wrong sum of ' || owner FROM (SELECT * FROM reserved WHERE sandboxes > 0 EXCEPT SELECT * FROM recount);
    SELECT 'no such sum of ' || owner FROM (SELECT * FROM recount EXCEPT SELECT * FROM reserved);
    SELECT 'a sum of nothing of ' || owner FROM reserved WHERE sandboxes = 0 AND (cpu, memory_gib, disk_gib) <> (0, 0, 0);";

/// The ledger as the crash has left it is a sound database, its sums are those of its rows, and its chain of events is
/// whole. It is looked at in a copy: whoever opens it writes to it.
pub(super) fn ledger(place: &Place) {
    let copy = tempfile::tempdir().expect("a folder");
    for name in ["ledger.db", "ledger.db-wal"] {
        let file = place.data.join(name);
        if file.exists() {
            std::fs::copy(file, copy.path().join(name)).expect("a copy");
        }
    }
    let mut sqlite = Command::new("sqlite3");
    sqlite.arg(copy.path().join("ledger.db"));
    sqlite.arg(format!("PRAGMA integrity_check; PRAGMA foreign_key_check; {SUMS}"));
    let said = sqlite.output().expect("sqlite3 is installed");
    let words = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).trim().to_owned();
    assert_eq!(words, "ok", "the ledger after a crash");
    audit(copy.path());
}

fn audit(data: &Path) {
    let mut verify = crate::sandgate(None);
    let said = verify.args(["audit", "verify", "--data-dir"]).arg(data).output();
    let said = said.expect("the binary starts");
    assert!(said.status.success(), "the chain of events: {}", String::from_utf8_lossy(&said.stderr));
}
