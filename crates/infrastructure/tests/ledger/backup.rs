//! Copies of a ledger in use, and what is put back.

use crate::rig::{Rig, env};
use sandgate_core::{Agenda, Sandbox, SandboxRepository};
use sandgate_infrastructure::sqlite::{BackupError, OpenError, SqliteLedger, backup, restore};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn dir() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}

/// A ledger with one sandbox, a backup of it beside `to`, and a sandbox that the backup does not know.
async fn backed_up(to: &Path) -> (Rig, Sandbox, Sandbox) {
    let rig = Rig::new().await;
    let mut before = rig.sandbox("before");
    before.config.env = [env("TOKEN", "hush")].into();
    rig.insert(&before).await.expect("insert");
    backup(rig.path(), to).expect("a backup");
    let after = rig.inserted("after").await;
    (rig, before, after)
}

async fn living(path: &Path) -> Vec<Sandbox> {
    SqliteLedger::open(path).expect("it opens").all_living().await.expect("living")
}

#[tokio::test]
async fn a_backup_is_what_the_ledger_was_and_private() {
    let (folder, empty) = (dir(), dir());
    let copy = folder.path().join("copy");
    let (rig, before, _) = backed_up(&copy).await;
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).expect("list").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["copy"], "nothing half made is left");
    for (name, mode) in [("", 0o700), ("ledger.db", 0o600), ("seal.key", 0o600)] {
        let found = copy.join(name).metadata().expect(name).permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    assert_eq!(restore(empty.path(), &copy, false).expect("restore"), None);
    let restored = SqliteLedger::open(empty.path()).expect("it opens");
    assert_eq!(restored.all_living().await.expect("living"), [before]);
    assert_eq!(restored.instance(), rig.ledger.instance());
    assert!(restored.is_doubtful().await.expect("asked") && !rig.ledger.is_doubtful().await.expect("asked"));
}

#[tokio::test]
async fn nothing_is_written_over() {
    let folder = dir();
    let copy = folder.path().join("copy");
    let (rig, before, after) = backed_up(&copy).await;
    assert!(matches!(backup(rig.path(), &copy), Err(BackupError::Exists { .. })));
    let in_use = restore(rig.path(), &copy, true);
    assert!(matches!(in_use, Err(BackupError::Unusable(OpenError::AlreadyRunning { .. }))), "{in_use:?}");
    let data = rig.close();
    assert!(matches!(restore(data.path(), &copy, false), Err(BackupError::HasLedger { .. })));
    assert_eq!(living(data.path()).await.len(), 2, "it was left as it was");
    let aside = restore(data.path(), &copy, true).expect("restore").expect("the old one is kept");
    assert_eq!(living(data.path()).await, std::slice::from_ref(&before));
    let mut kept = living(&aside).await;
    kept.sort_by_key(|sandbox| sandbox.id);
    assert_eq!(kept, [before, after]);
}

#[tokio::test]
async fn a_damaged_or_foreign_backup_changes_nothing() {
    let folder = dir();
    let copy = folder.path().join("copy");
    let data = backed_up(&copy).await.0.close();
    let database = copy.join("ledger.db");
    let sound = std::fs::read(&database).expect("read");
    let mut torn = sound.clone();
    torn[8192..24576].fill(0x5a);
    for (bytes, key) in [(&torn[..], true), (b"a letter to a friend", true), (&sound, false)] {
        std::fs::write(&database, bytes).expect("write");
        if !key {
            std::fs::write(copy.join("seal.key"), [0; 32]).expect("write");
        }
        let refused = restore(data.path(), &copy, true);
        assert!(matches!(refused, Err(BackupError::Unusable(_))), "{refused:?}");
        assert_eq!(living(data.path()).await.len(), 2, "the ledger goes on as it was");
    }
}

#[tokio::test]
async fn a_restore_that_was_cut_short_is_run_again() {
    let folder = dir();
    let copy = folder.path().join("copy");
    let (rig, before, _) = backed_up(&copy).await;
    let data = rig.close();
    // As it is after the old ledger was moved away, before the new one is in its place.
    std::fs::create_dir(data.path().join("restoring")).expect("a folder");
    std::fs::remove_file(data.path().join("ledger.db")).expect("remove");
    let refused = SqliteLedger::open(data.path()).map(|_| ()).expect_err("no new ledger is made");
    assert!(matches!(refused, OpenError::HalfRestored { .. }), "{refused}");
    restore(data.path(), &copy, true).expect("restore");
    assert_eq!(living(data.path()).await, [before]);
}

/// A copy of all files of a ledger, as they are.
fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for name in ["ledger.db", "ledger.db-wal", "seal.key"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect(name);
        }
    }
}

fn moved(name: &str, from: &Path, to: &Path) {
    std::fs::rename(from.join(name), to.join(name)).expect(name);
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).expect("list").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A data directory with a ledger that was not closed, of two sandboxes, one of which is in its log alone.
async fn unclosed(folder: &Path) -> std::path::PathBuf {
    let data = folder.join("data");
    let (rig, _, _) = backed_up(&folder.join("copy")).await;
    copied(rig.path(), &data);
    let log = data.join("ledger.db-wal").metadata().expect("a log").len();
    assert!(log > 0, "there is something in the log");
    data
}

#[tokio::test]
async fn what_a_restore_replaced_is_put_back_with_its_log() {
    let folder = dir();
    let data = unclosed(folder.path()).await;
    let aside = restore(&data, &folder.path().join("copy"), true).expect("restore").expect("kept");
    assert_eq!(names(&aside), ["ledger.db", "ledger.db-wal", "seal.key"]);
    assert_eq!(living(&data).await.len(), 1);
    restore(&data, &aside, true).expect("and back");
    assert_eq!(living(&data).await.len(), 2, "nothing of its log is lost");
    assert!(aside.join("ledger.db-wal").exists(), "what was read from is as it was");
}

#[tokio::test]
async fn a_ledger_in_use_is_not_taken_for_a_backup() {
    let rig = Rig::new().await;
    let refused = restore(dir().path(), rig.path(), false);
    assert!(matches!(refused, Err(BackupError::Unusable(OpenError::AlreadyRunning { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_restore_that_had_moved_nothing_leaves_the_ledger_in_use_and_nothing_to_the_next() {
    let folder = dir();
    let data = unclosed(folder.path()).await;
    let other = Rig::new().await;
    other.inserted("foreign").await;
    // Another ledger was being made ready, and its log was not played in yet.
    for left in ["restoring.new", "restoring"] {
        copied(other.path(), &data.join(left));
        std::fs::write(data.join(left).join("ledger.db-journal"), "old").expect("write");
        if left == "restoring.new" {
            assert_eq!(living(&data).await.len(), 2, "the server goes on");
        }
        let aside = restore(&data, &folder.path().join("copy"), true).expect("restore").expect("kept");
        let restored = SqliteLedger::open(&data).expect("it opens");
        assert_ne!(restored.instance(), other.ledger.instance());
        let alive = restored.all_living().await.expect("living");
        assert_eq!(alive.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["before"]);
        assert!(!data.join("restoring").exists() && !data.join("restoring.new").exists());
        drop(restored);
        restore(&data, &aside, true).expect("and back");
    }
}

#[tokio::test]
async fn wherever_a_restore_is_cut_short_the_next_one_keeps_the_whole_old_ledger_in_one_place() {
    let old = ["ledger.db", "ledger.db-wal", "seal.key"];
    // What the directory says, how many files were moved away, and how many were put in place after that.
    let cuts =
        [("moving", 0), ("moving", 1), ("moving", 2), ("moving", 3)].map(|(mark, away)| (mark, away, 0));
    let later = [0, 1, 2].map(|placed| ("moved", 3, placed));
    for (mark, away, placed) in cuts.into_iter().chain(later) {
        let folder = dir();
        let data = unclosed(folder.path()).await;
        let (copy, restoring) = (folder.path().join("copy"), data.join("restoring"));
        std::fs::create_dir_all(restoring.join(mark)).expect("a folder");
        old[..away].iter().for_each(|name| moved(name, &data, &restoring));
        copied(&copy, &data.join("restoring.new"));
        ["ledger.db", "seal.key"][..placed]
            .iter()
            .for_each(|name| moved(name, &data.join("restoring.new"), &data));
        let refused = SqliteLedger::open(&data).map(|_| ()).expect_err("it is not over");
        assert!(matches!(refused, OpenError::HalfRestored { .. }), "{refused}");
        let unasked = restore(&data, &copy, false);
        assert!(matches!(unasked, Err(BackupError::HasLedger { .. })), "{unasked:?}");
        let aside = restore(&data, &copy, true).expect("restore").expect("the old one is kept");
        assert_eq!(living(&data).await.len(), 1, "{away} {placed}");
        assert_eq!(names(&aside), old, "{away} {placed}");
        assert_eq!(living(&aside).await.len(), 2, "{away} {placed}");
        let kept = names(&data).into_iter().filter(|name| name.starts_with("re")).count();
        assert_eq!(kept, 1, "one place, and nothing half done: {:?}", names(&data));
    }
}

#[tokio::test]
async fn a_restore_into_nothing_is_run_again_without_a_word_of_replacing() {
    let folder = dir();
    let copy = folder.path().join("copy");
    drop(backed_up(&copy).await);
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("restoring/moved")).expect("a folder");
    std::fs::copy(copy.join("ledger.db"), data.join("ledger.db")).expect("copy");
    assert_eq!(restore(&data, &copy, false).expect("restore"), None);
    assert_eq!(living(&data).await.len(), 1);
}

#[tokio::test]
async fn a_backup_goes_where_it_is_told_to_or_says_why_not() {
    let folder = dir();
    let rig = Rig::new().await;
    backup(rig.path(), &folder.path().join("slash/")).expect("a backup");
    assert_eq!(names(folder.path()), ["slash"]);
    assert_eq!(names(&folder.path().join("slash")), ["ledger.db", "seal.key"]);
    let nowhere = backup(rig.path(), &folder.path().join("no/where")).expect_err("no folder");
    assert!(matches!(nowhere, BackupError::NoParent { .. }), "{nowhere}");
    assert!(nowhere.to_string().contains("no is not a directory: make it first"), "{nowhere}");
}
