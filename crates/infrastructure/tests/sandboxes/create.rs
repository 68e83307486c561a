//! A create ends with a sandbox that runs and is known, or with nothing.

use crate::meddling::Moment::{AfterCreate, BeforeCreate, BeforeDelete};
use crate::meddling::fails_if;
use crate::rig::{Rig, failure, named, red, set_labels_at, unknown_outcome};
use sandgate_core::mocks::{MockSandboxRepository, MockSandboxService};
use sandgate_core::{
    Admitted, Desired, NewSandbox, Observed, Recovery, RepositoryError, SandboxesError, ServiceError,
    SnapshotName, Swept,
};

#[tokio::test]
async fn what_was_created_runs_and_is_found_by_id_and_name() {
    let rig = Rig::new().await;
    let created = rig.created("one").await;
    assert_eq!((created.desired, created.observed), (Desired::Started, Observed::Started));
    assert!(created.handle.is_some());
    assert_eq!(rig.get("one").await.expect("by name"), created);
    assert_eq!(rig.get(&created.id.to_string()).await.expect("by id"), created);
    assert_eq!(rig.service.held(), 1);
    rig.finish().await;
}

#[tokio::test]
async fn a_sandbox_without_a_name_is_called_by_its_id() {
    let rig = Rig::new().await;
    let new = NewSandbox { name: None, ..named("unused") };
    let created = rig.sandboxes.create(rig.organization, new).await.expect("create").sandbox;
    assert_eq!(created.name.as_str(), created.id.to_string());
    rig.finish().await;
}

#[tokio::test]
async fn a_name_that_is_taken_makes_nothing() {
    let rig = Rig::new().await;
    rig.created("one").await;
    let refused = rig.sandboxes.create(rig.organization, named("one")).await;
    assert!(matches!(&refused, Err(SandboxesError::NameTaken(name)) if name == "one"), "{refused:?}");
    assert_eq!(rig.service.held(), 1);
    rig.finish().await;
}

#[tokio::test]
async fn an_unknown_snapshot_leaves_nothing_and_says_so() {
    let rig = Rig::new().await;
    let mut new = named("one");
    new.config.snapshot = Some(SnapshotName::parse("missing").expect("a name"));
    let refused = rig.sandboxes.create(rig.organization, new).await;
    let Err(SandboxesError::Provider(ServiceError::UnknownSnapshot(name))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(name, "missing");
    assert!(matches!(rig.get("one").await, Err(SandboxesError::NotFound)));
    rig.nothing_left().await;
    rig.created("one").await;
    rig.finish().await;
}

/// The row and its attempt are on disk when the provider is asked: a crash in the call is found again.
#[tokio::test]
async fn the_intent_is_on_disk_before_the_provider_is_asked() {
    let rig = Rig::new().await;
    let database = rig.dir.path().join("ledger.db");
    let instance = rig.ledger.instance().clone();
    let mut service = MockSandboxService::new();
    service.expect_create().once().returning(move |attempt, _| {
        let look = rusqlite::Connection::open(&database).expect("look");
        let sql = "SELECT external_name FROM attempt JOIN sandbox ON id = sandbox_id
                   WHERE state = 'planned' AND desired = 'started' AND observed = 'pending'";
        let planned: String = look.query_row(sql, [], |row| row.get(0)).expect("one planned attempt");
        assert_eq!(planned, attempt.external_name(&instance).as_str());
        Err(failure())
    });
    service.expect_delete().once().returning(|_| Ok(()));
    rig.over_service(service).create(rig.organization, named("one")).await.expect_err("out of luck");
    rig.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_create_that_fails_leaves_nothing() {
    for (moment, error) in [
        (BeforeCreate, failure as fn() -> ServiceError),
        (AfterCreate, failure),
        (AfterCreate, unknown_outcome),
    ] {
        let rig = Rig::new().await;
        let sandboxes = rig.meddling(move |now| fails_if(now == moment, error));
        let failed = sandboxes.create(rig.organization, named("one")).await.expect_err("out of luck");
        assert!(matches!(failed, SandboxesError::Provider(_)), "{failed:?}");
        assert!(matches!(rig.get("one").await, Err(SandboxesError::NotFound)));
        // Attempts that were abandoned are the reconciler's.
        rig.reconciled().await;
        rig.nothing_left().await;
        rig.created("one").await;
        rig.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_create_cannot_delete_is_deleted_by_the_next_recovery() {
    let rig = Rig::new().await;
    let sandboxes = rig.meddling(|now| fails_if(matches!(now, AfterCreate | BeforeDelete), unknown_outcome));
    sandboxes.create(rig.organization, named("one")).await.expect_err("out of luck");
    assert_eq!((rig.rows().await, rig.service.held()), (vec![(Desired::Deleted, Observed::Pending)], 3));
    let second = rig.created("one").await;
    let report = rig.sandboxes.recover().await.expect("recover");
    let swept = Swept { kept: 1, leftovers: 2, ..Swept::default() };
    assert_eq!(report, Recovery { settled: 1, failed: 0, swept });
    assert_eq!(rig.get("one").await.expect("the second"), second);
    rig.finish().await;
}

#[tokio::test]
async fn what_cannot_be_written_down_does_not_run() {
    let rig = Rig::new().await;
    let mut ledger = MockSandboxRepository::new();
    ledger.expect_insert().once().returning(|_| Ok(Admitted::default()));
    ledger.expect_update().returning(|_, _| Err(RepositoryError::Full("no room".into())));
    ledger.expect_living().returning(|_| Ok(None));
    let sandboxes = rig.over_ledger(ledger);
    let failed = sandboxes.create(rig.organization, named("one")).await.expect_err("no room");
    assert!(matches!(failed, SandboxesError::Ledger(RepositoryError::Full(_))), "{failed:?}");
    assert_eq!(rig.service.held(), 0);
}

#[tokio::test]
async fn what_cannot_be_intended_is_not_asked_for() {
    let rig = Rig::new().await;
    let mut ledger = MockSandboxRepository::new();
    ledger.expect_insert().once().returning(|_| Err(RepositoryError::Full("no room".into())));
    let sandboxes = rig.over_ledger(ledger);
    sandboxes.create(rig.organization, named("one")).await.expect_err("no room");
    assert_eq!(rig.service.held(), 0);
}

/// Whoever found the sandbox by its name may label it before it runs.
#[tokio::test]
async fn labels_set_during_a_create_are_kept_and_so_is_the_sandbox() {
    let rig = Rig::new().await;
    let (facade, organization) = (rig.sandboxes.clone(), rig.organization);
    let sandboxes = rig.meddling(move |now| set_labels_at(AfterCreate, now, &facade, organization));
    let created = sandboxes.create(organization, named("one")).await.expect("create").sandbox;
    assert_eq!((created.observed, &created.config.labels), (Observed::Started, &red()));
    assert_eq!(rig.get("one").await.expect("found"), created);
    rig.finish().await;
}

#[tokio::test]
async fn labels_set_during_a_create_that_fails_change_nothing_about_that() {
    let rig = Rig::new().await;
    let (facade, organization) = (rig.sandboxes.clone(), rig.organization);
    let sandboxes = rig.meddling(move |now| {
        let labels = set_labels_at(AfterCreate, now, &facade, organization);
        let failure = fails_if(now == AfterCreate, failure);
        Box::pin(async { labels.await.and(failure.await) })
    });
    sandboxes.create(organization, named("one")).await.expect_err("out of luck");
    rig.nothing_left().await;
}
