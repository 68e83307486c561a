//! Keys, and the organizations that they speak for.

use crate::rig::Rig;
use sandgate_core::{ApiKey, KeyHash, KeyId, KeyRepository, OrganizationId, RepositoryError};
use sandgate_infrastructure::sqlite::SqliteLedger;

fn key(organization: OrganizationId) -> ApiKey {
    ApiKey { id: KeyId::random(), organization }
}

#[tokio::test]
async fn a_new_ledger_knows_nobody() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let ledger = SqliteLedger::open(dir.path()).expect("open");
    assert_eq!(ledger.first_organization().await.expect("first"), None);
    assert_eq!(ledger.find_key(KeyHash([0; 32])).await.expect("find"), None);
}

#[tokio::test]
async fn a_key_is_found_by_its_hash_also_after_a_restart() {
    let rig = Rig::new().await;
    let (one, other) = (key(rig.organization), key(OrganizationId::random()));
    rig.ledger.insert_key(one, KeyHash([7; 32])).await.expect("insert");
    rig.ledger.insert_key(other, KeyHash([8; 32])).await.expect("insert");
    assert_eq!(rig.ledger.find_key(KeyHash([7; 32])).await.expect("find"), Some(one));
    let rig = rig.reopen();
    assert_eq!(rig.ledger.find_key(KeyHash([7; 32])).await.expect("find"), Some(one));
    assert_eq!(rig.ledger.find_key(KeyHash([8; 32])).await.expect("find"), Some(other));
    assert_eq!(rig.ledger.find_key(KeyHash([9; 32])).await.expect("find"), None);
    assert_eq!(rig.ledger.first_organization().await.expect("first"), Some(rig.organization));
}

#[tokio::test]
async fn a_hash_that_is_known_changes_nothing() {
    let rig = Rig::new().await;
    let (first, second) = (key(rig.organization), key(OrganizationId::random()));
    rig.ledger.insert_key(first, KeyHash([7; 32])).await.expect("insert");
    rig.ledger.insert_key(second, KeyHash([7; 32])).await.expect("insert again");
    assert_eq!(rig.ledger.find_key(KeyHash([7; 32])).await.expect("find"), Some(first));
    assert_eq!(rig.count("SELECT count(*) FROM organization"), 1, "nor does it bring its organization");
    let rig = rig.reopen();
    assert_eq!(rig.ledger.find_key(KeyHash([7; 32])).await.expect("find"), Some(first));
}

/// The organization was written by then, and must not stay.
#[tokio::test]
async fn an_id_that_is_taken_is_refused_and_leaves_nothing() {
    let rig = Rig::new().await;
    let first = key(rig.organization);
    rig.ledger.insert_key(first, KeyHash([7; 32])).await.expect("insert");
    let second = ApiKey { organization: OrganizationId::random(), ..first };
    let refused = rig.ledger.insert_key(second, KeyHash([8; 32])).await;
    assert!(matches!(refused, Err(RepositoryError::Broken(_))), "{refused:?}");
    assert_eq!(rig.ledger.find_key(KeyHash([8; 32])).await.expect("find"), None);
    assert_eq!(rig.count("SELECT count(*) FROM organization"), 1);
}
