//! What a ledger does in quiet moments.

use crate::rig::{Rig, until};

#[tokio::test]
async fn a_ledger_at_rest_has_an_empty_log() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    let log = || rig.path().join("ledger.db-wal").metadata().expect("the log").len();
    assert_ne!(log(), 0, "not after each write");
    until("the log is empty", async || log() == 0).await;
    let changed = rig.changed(&sandbox, |_| ()).await;
    assert_ne!(log(), 0, "what comes later is written ahead again");
    until("the log is empty again", async || log() == 0).await;
    assert_eq!(rig.reopen().find("one").await, Some(changed));
}
