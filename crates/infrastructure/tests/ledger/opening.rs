//! Which files are opened, and which are refused and left as they are.

use crate::rig::Rig;
use rusqlite::Connection;
use sandgate_core::SandboxRepository;
use sandgate_infrastructure::sqlite::{OpenError, SqliteLedger};
use std::collections::BTreeMap;
use std::path::Path;

fn refusal(dir: &Path) -> OpenError {
    SqliteLedger::open(dir).map(|_| ()).expect_err("must be refused")
}

/// Every file but the lock, with what is in it.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("list").map(|entry| entry.expect("an entry"));
    let files = entries
        .map(|e| (e.file_name().into_string().expect("a name"), std::fs::read(e.path()).expect("read")));
    files.filter(|(name, _)| name != "ledger.lock").collect()
}

#[tokio::test]
async fn a_second_opener_is_told_who_was_first() {
    let rig = Rig::new().await;
    let refused = refusal(rig.path());
    let OpenError::AlreadyRunning { pid, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(*pid, Some(std::process::id()));
    assert!(refused.to_string().contains("another Sandgate"), "{refused}");
    rig.inserted("undisturbed").await;
    let rig = rig.reopen();
    assert!(rig.find("undisturbed").await.is_some());
}

#[tokio::test]
async fn the_last_clone_closes_the_ledger() {
    let rig = Rig::new().await;
    let clone = rig.ledger.clone();
    let dir = rig.close();
    assert!(matches!(refusal(dir.path()), OpenError::AlreadyRunning { .. }));
    drop(clone);
    SqliteLedger::open(dir.path()).expect("free again");
}

#[tokio::test]
async fn an_instance_keeps_its_id() {
    let rig = Rig::new().await;
    let instance = rig.ledger.instance().clone();
    assert_eq!(*rig.reopen().ledger.instance(), instance);
    assert_ne!(*Rig::new().await.ledger.instance(), instance);
}

#[tokio::test]
async fn a_closed_ledger_leaves_no_log_behind() {
    let rig = Rig::new().await;
    rig.inserted("one").await;
    let dir = rig.close();
    let files: Vec<_> = contents(dir.path()).into_keys().collect();
    assert_eq!(files, ["ballast", "ledger.db", "seal.key"]);
}

#[test]
fn somebody_elses_file_is_refused_and_left_as_it_is() {
    let database = |id: i32| {
        move |path: &Path| {
            let other = Connection::open(path).expect("open");
            other.pragma_update(None, "application_id", id).expect("application id");
            other
                .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
                .expect("fill");
        }
    };
    let text = |path: &Path| std::fs::write(path, "not a database\n".repeat(20)).expect("write");
    let empty = |path: &Path| std::fs::write(path, "").expect("write");
    let makers: [&dyn Fn(&Path); 4] = [&database(0), &database(0x0102_0304), &text, &empty];
    for make in makers {
        let dir = tempfile::tempdir().expect("temporary directory");
        make(&dir.path().join("ledger.db"));
        let before = contents(dir.path());
        let refused = refusal(dir.path());
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
        assert!(refused.to_string().contains("another data directory"), "{refused}");
        assert_eq!(contents(dir.path()), before);
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let rig = Rig::new().await;
    let dir = rig.close();
    let path = dir.path().join("ledger.db");
    Connection::open(&path).expect("open").pragma_update(None, "user_version", 999).expect("version");
    let before = contents(dir.path());
    let refused = refusal(dir.path());
    assert!(matches!(refused, OpenError::Newer { found: 999, supported: 2 }), "{refused:?}");
    assert!(refused.to_string().contains("newer Sandgate"), "{refused}");
    assert_eq!(contents(dir.path()), before);
}

#[tokio::test]
async fn a_damaged_ledger_is_refused() {
    let rig = Rig::new().await;
    for n in 0..100 {
        rig.inserted(&format!("sandbox-{n}")).await;
    }
    let dir = rig.close();
    let path = dir.path().join("ledger.db");
    let mut bytes = std::fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0x5a);
    std::fs::write(&path, bytes).expect("write");
    let before = contents(dir.path());
    let refused = refusal(dir.path());
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("restore it from a backup"), "{refused}");
    assert_eq!(contents(dir.path()), before);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_damage() {
    let rig = Rig::new().await;
    rig.inserted("one").await;
    let dir = rig.close();
    let other = Connection::open(dir.path().join("ledger.db")).expect("open");
    other.execute("UPDATE sandbox SET observed = 'sideways'", []).expect("update");
    drop(other);
    let refused = refusal(dir.path());
    assert!(refused.to_string().contains("sideways"), "{refused}");
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_log_without_its_database_is_not_played_into_a_new_one() {
    let rig = Rig::new().await;
    rig.inserted("one").await;
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::copy(rig.path().join("ledger.db-wal"), dir.path().join("ledger.db-wal")).expect("copy");
    assert!(matches!(refusal(dir.path()), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_made_anew() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for half in ["ledger.db.new", "seal.key.new"] {
        std::fs::write(dir.path().join(half), "half").expect("write");
    }
    let ledger = SqliteLedger::open(dir.path()).expect("open");
    assert_eq!(ledger.all_living().await.expect("living"), []);
    assert!(!dir.path().join("ledger.db.new").exists());
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let refused = refusal(&dir.path().join("missing"));
    assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
    assert!(refused.to_string().contains("missing"), "{refused}");
}

/// What protects acknowledged writes, and readers from a hostile file.
#[tokio::test]
async fn the_database_is_strict_and_writes_ahead() {
    let rig = Rig::new().await;
    let loose = "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' AND NOT strict";
    assert_eq!(rig.count(loose), 0);
    let mode: String = rig.look().pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("mode");
    assert_eq!(mode, "wal");
}
