//! Values of environments never lie plain on disk.

use crate::rig::{Rig, env};
use sandgate_core::{KeyId, SandboxRepository};
use sandgate_infrastructure::sqlite::{OpenError, SqliteLedger};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Whether `needle` is anywhere in the files of `dir`.
fn anywhere(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir).expect("list").any(|file| {
        let bytes = std::fs::read(file.expect("an entry").path()).expect("read");
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

/// A ledger with one sandbox whose environment holds `secret`.
async fn with_secret(secret: &str) -> Rig {
    let rig = Rig::new().await;
    let mut sandbox = rig.sandbox("visible-name");
    sandbox.config.env = [env("TOKEN_OF_MINE", secret)].into();
    rig.insert(&sandbox).await.expect("insert");
    rig
}

#[tokio::test]
async fn a_secret_is_in_no_file() {
    let secret = KeyId::random().to_string();
    let rig = with_secret(&secret).await;
    let sandbox = rig.find("visible-name").await.expect("found");
    rig.changed(&sandbox, |s| s.cause = Some("changed".to_owned())).await;
    assert!(anywhere(rig.path(), "visible-name"), "the search finds what is plain");
    assert!(!anywhere(rig.path(), &secret), "in the write-ahead log");
    assert!(!anywhere(rig.path(), "TOKEN_OF_MINE"), "nor its name");
    let rig = rig.reopen();
    assert!(!anywhere(rig.path(), &secret), "in the database");
    let env = rig.find("visible-name").await.expect("found").config.env;
    assert_eq!(env.into_values().collect::<Vec<_>>(), [secret]);
}

#[tokio::test]
async fn the_sealed_values_of_what_is_gone_are_gone() {
    let rig = with_secret("x").await;
    assert_eq!(rig.count("SELECT count(*) FROM sandbox WHERE sealed_env IS NOT NULL"), 1);
    let sandbox = rig.find("visible-name").await.expect("found");
    rig.deleted(&sandbox).await;
    assert_eq!(rig.count("SELECT count(*) FROM sandbox WHERE sealed_env IS NOT NULL"), 0);
}

#[tokio::test]
async fn every_file_is_private() {
    let rig = with_secret("x").await;
    let files = ["ballast", "ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.lock", "seal.key"];
    for file in files {
        let metadata = rig.path().join(file).metadata().expect(file);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
    let left = std::fs::read_dir(rig.path()).expect("list").count();
    assert_eq!(left, files.len(), "nothing half made is left");
}

#[tokio::test]
async fn without_its_key_a_ledger_with_sealed_values_is_refused() {
    let dir = with_secret("x").await.close();
    let key = dir.path().join("seal.key");
    let bytes = std::fs::read(&key).expect("read");
    for wrong in [None, Some([0_u8; 32].as_slice()), Some(b"short")] {
        match wrong {
            None => std::fs::remove_file(&key).expect("remove"),
            Some(bytes) => std::fs::write(&key, bytes).expect("write"),
        }
        let refused = SqliteLedger::open(dir.path()).map(|_| ()).expect_err("must be refused");
        assert!(matches!(refused, OpenError::WrongKey { .. }), "{refused:?}");
        assert_eq!(std::fs::read(&key).ok().as_deref(), wrong, "no other key is put in its place");
    }
    std::fs::write(&key, bytes).expect("write");
    SqliteLedger::open(dir.path()).expect("with its own key it opens");
}

#[tokio::test]
async fn a_lost_key_that_sealed_nothing_is_replaced() {
    let rig = Rig::new().await;
    rig.inserted("nothing to hide").await;
    let dir = rig.close();
    std::fs::remove_file(dir.path().join("seal.key")).expect("remove");
    let ledger = SqliteLedger::open(dir.path()).expect("open");
    assert_eq!(ledger.all_living().await.expect("living").len(), 1);
    assert_eq!(std::fs::read(dir.path().join("seal.key")).expect("a new key").len(), 32);
}
