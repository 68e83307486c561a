//! A request has its effect once, by whatever name it is sent again.

use crate::rig::{Rig, at, event, intent, next, sandbox_of};
use sandgate_core::{
    Admitted, ApiKey, Desired, EventKind, Idempotency, IdempotencyKey, Intent, KeyHash, KeyId, KeyRepository,
    NotAdmitted, Observed, OrganizationId, Quota, Quotas, RepositoryError, Sandbox, SandboxRepository,
};
use tokio::task::JoinSet;

fn called(sandbox: &Sandbox, key: &str, request: u8) -> Intent {
    let key = IdempotencyKey::parse(key).expect("a key");
    Intent { idempotency: Some(Idempotency { key, request: [request; 32] }), ..intent(sandbox) }
}

fn reason(outcome: Result<Admitted, RepositoryError>) -> NotAdmitted {
    match outcome {
        Err(RepositoryError::NotAdmitted(reason)) => reason,
        other => panic!("must not be admitted: {other:?}"),
    }
}

#[tokio::test]
async fn the_same_request_leads_to_the_same_sandbox_also_after_a_restart() {
    let rig = Rig::new().await;
    let one = rig.sandbox("one");
    rig.ledger.insert(&called(&one, "k", 1)).await.expect("the first");
    let again = called(&rig.sandbox("one"), "k", 1);
    assert_eq!(reason(rig.ledger.insert(&again).await), NotAdmitted::KeyInUse(one.id));
    let rig = rig.reopen();
    assert_eq!(reason(rig.ledger.insert(&again).await), NotAdmitted::KeyInUse(one.id));
    let other = called(&rig.sandbox("other"), "k", 2);
    assert_eq!(reason(rig.ledger.insert(&other).await), NotAdmitted::KeyReused);
    assert_eq!(rig.count("SELECT count(*) FROM sandbox"), 1);
}

#[tokio::test]
async fn fifty_at_once_make_one_row() {
    let rig = Rig::new().await;
    let mut callers = JoinSet::new();
    for n in 0..50 {
        let (ledger, intent) = (rig.ledger.clone(), called(&rig.sandbox(&format!("s{n}")), "k", 1));
        callers.spawn(async move { ledger.insert(&intent).await.map(|_| intent.sandbox.id) });
    }
    let (first, others): (Vec<_>, Vec<_>) = callers.join_all().await.into_iter().partition(Result::is_ok);
    let first: Vec<_> = first.into_iter().filter_map(Result::ok).collect();
    assert_eq!((first.len(), others.len()), (1, 49));
    for other in others {
        assert_eq!(reason(other.map(|_| Admitted::default())), NotAdmitted::KeyInUse(first[0]));
    }
}

/// Nothing counts against a request that was carried out before: its answer may have been lost.
#[tokio::test]
async fn a_replay_is_refused_by_no_quota_and_by_no_rate() {
    let rig = Rig::new().await;
    let quota = Quota { sandboxes: Some(1), creates_per_minute: Some(1), ..Quota::default() };
    rig.ledger.limit(Quotas { organization: quota, ..Quotas::default() });
    let one = rig.sandbox("one");
    rig.ledger.insert(&called(&one, "k", 1)).await.expect("the first");
    let again = rig.ledger.insert(&called(&rig.sandbox("one"), "k", 1)).await;
    assert_eq!(reason(again), NotAdmitted::KeyInUse(one.id));
}

#[tokio::test]
async fn a_create_that_was_given_up_frees_its_key() {
    let rig = Rig::new().await;
    let one = rig.sandbox("one");
    rig.ledger.insert(&called(&one, "k", 1)).await.expect("the first");
    rig.changed(&one, |s| s.desired = Desired::Deleted).await;
    rig.ledger.insert(&called(&rig.sandbox("one"), "k", 1)).await.expect("tried again");
}

#[tokio::test]
async fn what_was_refused_takes_no_key() {
    let rig = Rig::new().await;
    rig.inserted("taken").await;
    let refused = rig.ledger.insert(&called(&rig.sandbox("taken"), "k", 1)).await;
    assert!(matches!(refused, Err(RepositoryError::NameTaken)), "{refused:?}");
    rig.ledger.insert(&called(&rig.sandbox("free"), "k", 2)).await.expect("the key is free");
}

#[tokio::test]
async fn a_sandbox_that_was_deleted_since_is_not_made_again() {
    let rig = Rig::new().await;
    let one = rig.sandbox("one");
    rig.ledger.insert(&called(&one, "k", 1)).await.expect("the first");
    let started = next(&one, |s| s.observed = Observed::Started);
    rig.ledger.update(&started, event(EventKind::Started)).await.expect("started");
    rig.deleted(&started).await;
    let again = rig.ledger.insert(&called(&rig.sandbox("one"), "k", 1)).await;
    assert_eq!(reason(again), NotAdmitted::KeySpent);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    const DAY: i64 = 24 * 3_600_000;
    let rig = Rig::new().await;
    let asked_at = |millis, name: &str| Sandbox { created_at: at(millis), ..rig.sandbox(name) };
    let one = asked_at(0, "one");
    rig.ledger.insert(&called(&one, "k", 1)).await.expect("the first");
    let again = rig.ledger.insert(&called(&asked_at(DAY - 1, "two"), "k", 1)).await;
    assert_eq!(reason(again), NotAdmitted::KeyInUse(one.id));
    rig.ledger.insert(&called(&asked_at(DAY, "two"), "k", 2)).await.expect("forgotten");
    let keys = || rig.count("SELECT count(*) FROM idempotency");
    rig.ledger.purge_idempotency(at(2 * DAY - 1)).await.expect("purge");
    assert_eq!(keys(), 1);
    rig.ledger.purge_idempotency(at(2 * DAY)).await.expect("purge");
    assert_eq!(keys(), 0);
}

#[tokio::test]
async fn a_key_is_its_organizations_own() {
    let rig = Rig::new().await;
    let other = ApiKey { id: KeyId::random(), organization: OrganizationId::random() };
    rig.ledger.insert_key(other, KeyHash([2; 32])).await.expect("another organization");
    rig.ledger.insert(&called(&rig.sandbox("one"), "k", 1)).await.expect("the first");
    let theirs = sandbox_of(other.organization, "one");
    rig.ledger.insert(&called(&theirs, "k", 2)).await.expect("a key of their own");
}
