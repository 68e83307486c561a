//! After a crash the ledger and the provider agree again, and nothing of anybody else's was touched.

use crate::meddling::Moment::BeforeDelete;
use crate::meddling::fails_if;
use crate::rig::{Rig, unknown_outcome};
use sandgate_core::{
    Desired, EventQuery, EventRepository, Observed, Operation, Recovery, Sandbox, SandboxRepository,
    SandboxService, SandboxesError, Swept,
};
use std::time::Duration;

async fn recovered(rig: &Rig) -> Recovery {
    rig.sandboxes.recover().await.expect("recover")
}

fn swept(fill: fn(&mut Swept)) -> Recovery {
    let mut report = Recovery::default();
    fill(&mut report.swept);
    report
}

/// Rows that were brought to an end; those that live on are seen by the sweep after that.
fn settled(count: usize) -> Recovery {
    Recovery { settled: count, ..Recovery::default() }
}

#[tokio::test]
async fn what_agrees_is_left_alone() {
    let rig = Rig::new().await;
    let running = rig.created("running").await;
    rig.created("stopped").await;
    let stopped = rig.sandboxes.stop(rig.organization, "stopped").await.expect("stop");
    assert_eq!(recovered(&rig).await, swept(|s| s.kept = 2));
    assert_eq!(rig.get("running").await.expect("found"), running);
    assert_eq!(rig.get("stopped").await.expect("found"), stopped);
    rig.finish().await;
}

/// A create that nobody was told of ends, whether the provider came to it or not.
#[tokio::test]
async fn a_create_cut_short_ends() {
    for made in [true, false] {
        let rig = Rig::new().await;
        let sandbox = rig.created("one").await;
        rig.left_as(&sandbox, Desired::Started, Observed::Pending).await;
        if !made {
            rig.service.lose_all();
        }
        assert_eq!(recovered(&rig).await, settled(1), "made: {made}");
        assert!(matches!(rig.get("one").await, Err(SandboxesError::NotFound)));
        rig.nothing_left().await;
    }
}

#[tokio::test]
async fn a_start_stop_or_delete_cut_short_is_finished() {
    let rig = Rig::new().await;
    let [starting, stopping, deleting] =
        [rig.created("starting").await, rig.created("stopping").await, rig.created("deleting").await];
    rig.service.crash(&starting.current_attempt());
    rig.left_as(&starting, Desired::Started, Observed::Stopped).await;
    rig.left_as(&stopping, Desired::Stopped, Observed::Started).await;
    rig.left_as(&deleting, Desired::Deleted, Observed::Started).await;
    let kept = Swept { kept: 2, ..Swept::default() };
    assert_eq!(recovered(&rig).await, Recovery { swept: kept, ..settled(3) });
    for (name, observed) in [("starting", Observed::Started), ("stopping", Observed::Stopped)] {
        let row = rig.get(name).await.expect("found");
        assert_eq!(row.observed, observed);
        assert_eq!(rig.service.status(&row.reference()).await.expect("status"), observed);
    }
    assert!(matches!(rig.get(&deleting.id.to_string()).await, Err(SandboxesError::NotFound)));
    rig.finish().await;
}

#[tokio::test]
async fn what_died_meanwhile_is_stopped_says_why_and_can_be_started() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.service.crash(&sandbox.current_attempt());
    assert_eq!(recovered(&rig).await, swept(|s| s.corrected = 1));
    let found = rig.get("one").await.expect("found");
    assert_eq!((found.desired, found.observed), (Desired::Stopped, Observed::Stopped));
    assert!(found.cause.as_ref().is_some_and(|cause| cause.contains("start it again")), "{found:?}");
    let started = rig.sandboxes.start(rig.organization, "one").await.expect("start");
    assert_eq!((started.observed, started.cause), (Observed::Started, None));
    rig.finish().await;
}

#[tokio::test]
async fn what_is_lost_says_so_and_can_only_be_deleted() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.service.lose(&sandbox.current_attempt());
    assert_eq!(recovered(&rig).await, swept(|s| s.corrected = 1));
    let found = rig.get("one").await.expect("found");
    assert_eq!(found.observed, Observed::Failed);
    assert!(found.cause.as_ref().is_some_and(|cause| cause.contains("delete it")), "{found:?}");
    let refused = rig.sandboxes.start(rig.organization, "one").await;
    assert!(matches!(refused, Err(SandboxesError::WrongState(_))), "{refused:?}");
    assert_eq!(recovered(&rig).await, swept(|s| s.kept = 1), "a second look changes nothing");
    rig.finish().await;
}

#[tokio::test]
async fn what_was_started_behind_our_back_is_running() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.left_as(&sandbox, Desired::Stopped, Observed::Stopped).await;
    assert_eq!(recovered(&rig).await, swept(|s| s.corrected = 1));
    assert_eq!(rig.get("one").await.expect("found").observed, Observed::Started);
    rig.finish().await;
}

#[tokio::test]
async fn what_cannot_be_finished_now_is_finished_later() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.left_as(&sandbox, Desired::Deleted, Observed::Started).await;
    let sandboxes = rig.meddling(|now| fails_if(now == BeforeDelete, unknown_outcome));
    let report = sandboxes.recover().await.expect("recover");
    assert_eq!(report, Recovery { failed: 1, ..Recovery::default() });
    assert_eq!(rig.service.held(), 1);
    rig.clock.advance(Duration::from_secs(1));
    let done = rig.sandboxes.reconcile().await.expect("reconcile");
    assert_eq!((done.done, done.failed), (1, 0));
    rig.nothing_left().await;
}

#[tokio::test]
async fn a_sandbox_that_does_not_answer_is_looked_at_again() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    assert_eq!(rig.sandboxes.recheck(&sandbox).await.expect("recheck"), sandbox, "it runs: nothing changes");
    rig.service.crash(&sandbox.current_attempt());
    let found = rig.sandboxes.recheck(&sandbox).await.expect("recheck");
    assert_eq!((found.desired, found.observed), (Desired::Stopped, Observed::Stopped));
    assert_eq!(rig.get("one").await.expect("found"), found);
    rig.finish().await;
}

/// What was seen of a sandbox that is being deleted meanwhile must not bring it back.
#[tokio::test]
async fn a_death_that_is_noted_too_late_brings_nothing_back() {
    let rig = Rig::new().await;
    let before = rig.created("one").await;
    rig.service.crash(&before.current_attempt());
    let deleting = rig.left_as(&before, Desired::Deleted, Observed::Started).await;
    let late = rig.sandboxes.recheck(&before).await.expect("a look that changes nothing");
    assert_eq!(late, deleting);
    assert_eq!(rig.rows().await, [(Desired::Deleted, Observed::Started)]);
    assert_eq!(recovered(&rig).await, settled(1));
    rig.nothing_left().await;
}

/// An outage of days is told, and told ever more seldom.
#[tokio::test]
async fn what_fails_for_days_does_not_fill_the_log() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.left_as(&sandbox, Desired::Deleted, Observed::Started).await;
    let sandboxes = rig.meddling(|now| fails_if(now == BeforeDelete, unknown_outcome));
    rig.clock.advance(Duration::from_mins(2));
    for _ in 0..300 {
        sandboxes.reconcile().await.expect("reconcile");
        rig.clock.advance(Duration::from_mins(1));
    }
    let query = EventQuery { kind_prefix: Some("sandbox.postponed".to_owned()), ..EventQuery::default() };
    let told = rig.ledger.events(rig.organization, &query).await.expect("events");
    assert_eq!(told.len(), 9, "the first try and each doubling up to 256");
    rig.reconciled().await;
    rig.nothing_left().await;
}

/// What was given up is no state in between: whoever asks for something is not told to wait.
#[tokio::test]
async fn a_stop_that_was_given_up_can_be_asked_for_again_or_deleted() {
    for delete in [true, false] {
        let rig = Rig::new().await;
        let sandbox = rig.created("one").await;
        let left = rig.left_as(&sandbox, Desired::Stopped, Observed::Started).await;
        let given_up = Operation { tries: 20, next_at: left.updated_at, parked: true };
        let parked = Sandbox { operation: Some(given_up), generation: left.generation + 1, ..left };
        rig.ledger.amend(&parked).await.expect("amend");
        if delete {
            rig.sandboxes.delete(rig.organization, "one").await.expect("delete");
        } else {
            let stopped = rig.sandboxes.stop(rig.organization, "one").await.expect("stop");
            assert_eq!((stopped.observed, stopped.operation), (Observed::Stopped, None));
        }
        rig.finish().await;
    }
}
