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
