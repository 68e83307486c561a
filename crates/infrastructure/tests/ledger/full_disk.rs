//! A ledger on a disk that is really full: what it refuses, what it still does, and how it comes back.

use crate::rig::{Rig, at, until};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sandgate_core::{Desired, RepositoryError, Sandbox, SandboxRepository};
use std::fs::File;
use tempfile::TempDir;

/// A small disk, which goes with this.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), c"size=24m,mode=0700")
            .expect("a small disk");
        Self(dir)
    }

    /// A directory on it.
    fn dir(&self) -> TempDir {
        tempfile::tempdir_in(self.0.path()).expect("a directory on the disk")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = File::create(self.0.path().join("filler")).expect("a file");
        let full = std::io::copy(&mut std::io::repeat(1), &mut file).expect_err("the disk is full");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("filler")).expect("remove the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while somebody uses it still.
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

fn has_ballast(rig: &Rig) -> bool {
    rig.path().join("ballast").exists()
}

/// A ledger with sandboxes on a disk that is full.
async fn full() -> (Disk, Rig, Vec<Sandbox>) {
    let disk = Disk::new();
    let rig = Rig::new_in(disk.dir()).await;
    assert!(has_ballast(&rig), "there is room for it");
    let mut sandboxes = Vec::new();
    for n in 0..30 {
        sandboxes.push(rig.inserted(&format!("sandbox-{n}")).await);
    }
    disk.fill();
    (disk, rig, sandboxes)
}

/// Writes new sandboxes until the disk has no room for them, and adds them.
async fn insert_until_refused(rig: &Rig, sandboxes: &mut Vec<Sandbox>) {
    for n in 0..10_000 {
        let sandbox = rig.sandbox(&format!("late-{n}"));
        match rig.insert(&sandbox).await {
            Ok(()) => sandboxes.push(sandbox),
            Err(RepositoryError::Full(_)) => return,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the disk is never full");
}

#[tokio::test]
async fn nothing_is_made_but_everything_can_be_ended_and_it_comes_back_by_itself() {
    let (disk, rig, mut sandboxes) = full().await;
    insert_until_refused(&rig, &mut sandboxes).await;
    assert!(!has_ballast(&rig), "it has made way");
    for sandbox in &sandboxes {
        let stopped = rig.changed(sandbox, |s| s.desired = Desired::Stopped).await;
        rig.ledger.touch(sandbox.id, at(1)).await.expect("a use is noted");
        rig.deleted(&stopped).await;
    }
    assert_eq!(rig.ledger.all_living().await.expect("read"), []);
    let refused = rig.insert(&rig.sandbox("refused")).await;
    assert!(matches!(refused, Err(RepositoryError::Full(_))), "{refused:?}");
    disk.make_room();
    let sandbox = rig.sandbox("again");
    until("a sandbox can be made", async || rig.insert(&sandbox).await.is_ok()).await;
    assert!(has_ballast(&rig), "the next time it will be needed again");
    let rig = rig.reopen();
    assert_eq!(rig.find("again").await, Some(sandbox));
    let count = i64::try_from(sandboxes.len()).expect("few") + 1;
    assert_eq!(rig.count("SELECT count(*) FROM sandbox"), count, "what was refused is nowhere");
}

#[tokio::test]
async fn a_ledger_on_a_full_disk_is_opened() {
    let (disk, rig, sandboxes) = full().await;
    let rig = rig.reopen();
    let mut living = rig.ledger.all_living().await.expect("read");
    living.sort_by_key(|sandbox| sandbox.id);
    assert_eq!(living, sandboxes);
    rig.deleted(&sandboxes[0]).await;
    drop(rig);
    drop(disk);
}

/// What is written when a server is killed is all in the log, and its index is gone.
#[tokio::test]
async fn a_ledger_that_was_killed_on_a_full_disk_is_opened() {
    let (disk, rig, sandboxes) = full().await;
    let second = Disk::new();
    let other = second.dir();
    for file in ["ledger.db", "ledger.db-wal", "seal.key"] {
        std::fs::copy(rig.path().join(file), other.path().join(file)).expect(file);
    }
    drop(rig);
    drop(disk);
    std::fs::write(other.path().join("ballast"), vec![1; 8 << 20]).expect("the reserve");
    second.fill();
    let ledger = sandgate_infrastructure::sqlite::SqliteLedger::open(other.path()).expect("it opens");
    assert_eq!(ledger.all_living().await.expect("read").len(), sandboxes.len());
}
