//! Who is said to have done what: every kind of event, and every actor.

use crate::meddling::Moment::{BeforeCreate, BeforeDelete};
use crate::meddling::fails_if;
use crate::rig::{Rig, failure, named, red, unknown_outcome};
use sandgate_core::{
    Actor, Desired, EventKind, EventQuery, EventRepository, Intervals, KeyId, Observed, Operation, Recorded,
    Sandbox, SandboxRepository,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Kind and actor of every event of a sandbox.
async fn told(rig: &Rig, sandbox: &Sandbox) -> Vec<(String, String)> {
    let query = EventQuery { sandbox: Some(sandbox.id), ..EventQuery::default() };
    let events = rig.ledger.events(rig.organization, &query).await.expect("events");
    events.into_iter().map(|Recorded { kind, actor, .. }| (kind, actor)).collect()
}

fn by(actor: &str, kinds: &[&str]) -> Vec<(String, String)> {
    kinds.iter().map(|kind| (format!("sandbox.{kind}"), actor.to_owned())).collect()
}

#[tokio::test]
async fn what_is_done_with_a_key_is_the_keys_doing() {
    let rig = Rig::new().await;
    let key = KeyId::random();
    let (mine, organization) = (rig.sandboxes.by(Actor::Key(key)), rig.organization);
    let sandbox = mine.create(organization, named("one")).await.expect("create").sandbox;
    mine.set_labels(organization, "one", red()).await.expect("labels");
    mine.stop(organization, "one").await.expect("stop");
    mine.start(organization, "one").await.expect("start");
    mine.delete(organization, "one").await.expect("delete");
    let kinds = [
        "requested",
        "started",
        "changed",
        "stop-requested",
        "stopped",
        "start-requested",
        "started",
        "delete-requested",
        "deleted",
    ];
    assert_eq!(told(&rig, &sandbox).await, by(&format!("key:{key}"), &kinds));
    rig.nothing_left().await;
}

#[tokio::test]
async fn what_fails_for_a_key_is_told_with_its_cause() {
    let rig = Rig::new().await;
    let key = Actor::Key(KeyId::random());
    let failing = rig.meddling(|now| fails_if(now == BeforeCreate, failure)).by(key);
    failing.create(rig.organization, named("one")).await.expect_err("out of luck");
    let events = rig.ledger.events(rig.organization, &EventQuery::default()).await.expect("events");
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["sandbox.requested", "sandbox.failed", "sandbox.deleted"]);
    assert!(events.iter().all(|event| event.actor == key.to_string()));
    assert_eq!(events[1].detail.as_deref(), Some("the provider could not do it: out of luck"));
    rig.nothing_left().await;
}

#[tokio::test]
async fn what_an_interval_does_is_the_timers_doing() {
    let rig = Rig::new().await;
    let mut wanted = named("one");
    wanted.config.intervals = Intervals { auto_stop: 1, auto_delete: Some(1), ..Intervals::default() };
    let sandbox = rig.sandboxes.create(rig.organization, wanted).await.expect("create").sandbox;
    for _ in 0..2 {
        rig.clock.advance(Duration::from_secs(61));
        assert_eq!(rig.reconciled().await.done, 1);
    }
    let timers = by("timer", &["stop-requested", "stopped", "delete-requested", "deleted"]);
    assert_eq!(told(&rig, &sandbox).await[2..], timers);
    rig.nothing_left().await;
}

#[tokio::test]
async fn what_a_recovery_does_is_the_reconcilers_doing() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.left_as(&sandbox, Desired::Started, Observed::Pending).await;
    rig.sandboxes.by(Actor::Key(KeyId::random())).recover().await.expect("recover");
    assert_eq!(told(&rig, &sandbox).await[3..], by("reconciler", &["delete-requested", "deleted"]));
    rig.nothing_left().await;
}

#[tokio::test]
async fn what_is_seen_is_nobodys_doing() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.service.lose(&sandbox.current_attempt());
    let key = rig.sandboxes.by(Actor::Key(KeyId::random()));
    assert_eq!(key.recheck(&sandbox).await.expect("recheck").observed, Observed::Failed);
    assert_eq!(told(&rig, &sandbox).await[2..], by("provider", &["failed"]));
    rig.finish().await;
}

/// A kind that nobody sees would be a promise that nobody keeps.
#[tokio::test(start_paused = true)]
async fn every_kind_of_event_appears_in_a_life() {
    let rig = Rig::new().await;
    rig.created("one").await;
    rig.sandboxes.set_labels(rig.organization, "one", red()).await.expect("labels");
    rig.sandboxes.stop(rig.organization, "one").await.expect("stop");
    archived(&rig).await;
    rig.sandboxes.start(rig.organization, "one").await.expect("start");
    unlucky(&rig).await;
    rig.sandboxes.delete(rig.organization, "one").await.expect("delete");
    let events = rig.ledger.events(rig.organization, &EventQuery::default()).await.expect("events");
    let seen: BTreeSet<_> = events.iter().map(|event| event.kind.as_str()).collect();
    let all: BTreeSet<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(seen, all);
    rig.nothing_left().await;
}

/// Lets the archive clock of a stopped sandbox strike.
async fn archived(rig: &Rig) {
    rig.clock.advance(Duration::from_hours(8 * 24));
    assert_eq!(rig.reconciled().await.done, 1);
}

/// A create of which nobody knows what became, and whose delete fails until it is given up.
async fn unlucky(rig: &Rig) {
    let failing = rig.meddling(|now| match now {
        BeforeDelete => fails_if(true, failure),
        _ => fails_if(now == BeforeCreate, unknown_outcome),
    });
    failing.create(rig.organization, named("two")).await.expect_err("out of luck");
    for _ in 0..Operation::TRIES {
        rig.clock.advance(Duration::from_mins(1));
        failing.reconcile().await.expect("reconcile");
    }
    let living = rig.ledger.all_living().await.expect("living");
    let row =
        living.iter().find(|row| row.name.as_str() == "two").expect("it is kept while it cannot be deleted");
    assert!(row.is_parked(), "{row:?}");
    rig.sandboxes.delete(rig.organization, &row.id.to_string()).await.expect("delete");
}
