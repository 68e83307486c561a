//! Start, stop, delete and execute: what they do, when they are refused, and what a failure leaves.

use crate::meddling::Moment::{AfterDelete, AfterStart, AfterStop, BeforeDelete, BeforeStart, BeforeStop};
use crate::meddling::fails_if;
use crate::rig::{Rig, failure, named, red, set_labels_at, unknown_outcome};
use sandgate_core::{Command, Desired, Intervals, Observed, Sandbox, SandboxesError, ServiceError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

fn pair(sandbox: &Sandbox) -> (Desired, Observed) {
    (sandbox.desired, sandbox.observed)
}

#[tokio::test]
async fn a_sandbox_stops_starts_and_ends() {
    let rig = Rig::new().await;
    let organization = rig.organization;
    let created = rig.created("one").await;
    let stopped = rig.sandboxes.stop(organization, "one").await.expect("stop");
    assert_eq!(pair(&stopped), (Desired::Stopped, Observed::Stopped));
    let again = rig.sandboxes.stop(organization, "one").await.expect("stop again");
    assert_eq!(again, stopped);
    let started = rig.sandboxes.start(organization, "one").await.expect("start");
    assert_eq!((pair(&started), &started.handle), ((Desired::Started, Observed::Started), &created.handle));
    let again = rig.sandboxes.start(organization, "one").await.expect("start again");
    assert_eq!(again, started);
    let deleted = rig.sandboxes.delete(organization, "one").await.expect("delete");
    assert_eq!(pair(&deleted), (Desired::Deleted, Observed::Absent));
    for id_or_name in ["one", &created.id.to_string()] {
        assert!(matches!(rig.get(id_or_name).await, Err(SandboxesError::NotFound)), "{id_or_name}");
        let again = rig.sandboxes.delete(organization, id_or_name).await;
        assert!(matches!(again, Err(SandboxesError::NotFound)), "{again:?}");
    }
    rig.nothing_left().await;
}

/// What each verb answers to a sandbox in each state. The rows are as a server that was killed leaves them.
#[tokio::test]
async fn verbs_answer_by_state() {
    use {Desired as D, Observed as O};
    let table = [
        ((D::Started, O::Pending), ["busy", "busy", "busy"]),
        ((D::Started, O::Started), ["ok", "ok", "ok"]),
        ((D::Started, O::Stopped), ["busy", "busy", "busy"]),
        // It is there after all: what the provider sees counts.
        ((D::Started, O::Failed), ["ok", "ok", "ok"]),
        ((D::Stopped, O::Started), ["busy", "busy", "busy"]),
        ((D::Stopped, O::Stopped), ["ok", "ok", "ok"]),
        ((D::Stopped, O::Failed), ["ok", "ok", "ok"]),
        ((D::Deleted, O::Started), ["busy", "busy", "ok"]),
        ((D::Deleted, O::Failed), ["unknown", "unknown", "unknown"]),
        ((D::Deleted, O::Absent), ["unknown", "unknown", "unknown"]),
    ];
    let rig = Rig::new().await;
    for (n, ((desired, observed), answers)) in table.into_iter().enumerate() {
        for (verb, expected) in ["start", "stop", "delete"].into_iter().zip(answers) {
            let sandbox = rig.created(&format!("{verb}-{n}")).await;
            rig.left_as(&sandbox, desired, observed).await;
            let answer = ask(&rig, verb, &sandbox.id.to_string()).await;
            assert_eq!(word(&answer), expected, "{verb} of {desired:?} {observed:?}: {answer:?}");
        }
    }
}

async fn ask(rig: &Rig, verb: &str, id: &str) -> Result<Sandbox, SandboxesError> {
    match verb {
        "start" => rig.sandboxes.start(rig.organization, id).await,
        "stop" => rig.sandboxes.stop(rig.organization, id).await,
        _ => rig.sandboxes.delete(rig.organization, id).await,
    }
}

fn word(answer: &Result<Sandbox, SandboxesError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(SandboxesError::Busy) => "busy",
        Err(SandboxesError::WrongState(_)) => "refused",
        Err(SandboxesError::NotFound) => "unknown",
        Err(_) => "another error",
    }
}

#[tokio::test]
async fn somebody_elses_sandbox_is_not_there() {
    let (rig, other) = (Rig::new().await, Rig::new().await);
    let sandbox = rig.created("one").await;
    for verb in ["start", "stop", "delete"] {
        let stranger = Rig { organization: other.organization, ..Rig::new().await };
        assert_eq!(word(&ask(&stranger, verb, &sandbox.id.to_string()).await), "unknown", "{verb}");
    }
    let found = rig.sandboxes.get(other.organization, &sandbox.id.to_string()).await;
    assert!(matches!(found, Err(SandboxesError::NotFound)));
    rig.finish().await;
}

#[tokio::test]
async fn an_ephemeral_sandbox_ends_when_it_stops() {
    let rig = Rig::new().await;
    let mut new = named("one");
    new.config.intervals = Intervals { auto_delete: Some(0), ..Intervals::default() };
    rig.sandboxes.create(rig.organization, new).await.expect("create");
    rig.sandboxes.stop(rig.organization, "one").await.expect("stop");
    assert!(matches!(rig.get("one").await, Err(SandboxesError::NotFound)));
    rig.nothing_left().await;
}

/// While one caller's stop is under way, another's request is refused; the first comes to its end.
#[tokio::test]
async fn a_second_change_is_refused_while_the_first_is_under_way() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (reached.clone(), go_on.clone());
    let slow = rig.meddling(move |now| {
        let (reached, go_on) = notifies.clone();
        Box::pin(async move {
            if now == BeforeStop {
                reached.notify_one();
                go_on.notified().await;
            }
            Ok(())
        })
    });
    let organization = rig.organization;
    let stop = tokio::spawn(async move { slow.stop(organization, "one").await });
    reached.notified().await;
    for verb in ["start", "stop", "delete"] {
        assert_eq!(word(&ask(&rig, verb, &sandbox.id.to_string()).await), "busy", "{verb}");
    }
    go_on.notify_one();
    let stopped = stop.await.expect("no panic").expect("stop");
    assert_eq!(pair(&stopped), (Desired::Stopped, Observed::Stopped));
    rig.finish().await;
}

#[tokio::test]
async fn of_many_who_start_at_once_none_fails_for_another_reason_than_haste() {
    let rig = Rig::new().await;
    rig.created("one").await;
    rig.sandboxes.stop(rig.organization, "one").await.expect("stop");
    let mut starters = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (sandboxes, organization) = (rig.sandboxes.clone(), rig.organization);
        starters.spawn(async move { word(&sandboxes.start(organization, "one").await) });
    }
    let words = starters.join_all().await;
    assert!(words.contains(&"ok") && words.iter().all(|word| ["ok", "busy"].contains(word)), "{words:?}");
    assert_eq!(pair(&rig.get("one").await.expect("found")), (Desired::Started, Observed::Started));
    rig.finish().await;
}

#[tokio::test]
async fn of_many_who_delete_at_once_none_is_told_that_it_failed() {
    let rig = Rig::new().await;
    let id = rig.created("one").await.id.to_string();
    let mut deleters = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (sandboxes, organization, id) = (rig.sandboxes.clone(), rig.organization, id.clone());
        deleters.spawn(async move { word(&sandboxes.delete(organization, &id).await) });
    }
    let words = deleters.join_all().await;
    assert!(
        words.contains(&"ok") && words.iter().all(|w| ["ok", "busy", "unknown"].contains(w)),
        "{words:?}"
    );
    rig.nothing_left().await;
}

/// One deletes from beginning to end while the other is in the midst of it.
#[tokio::test]
async fn a_delete_that_another_one_overtakes_succeeds() {
    let rig = Rig::new().await;
    let id = rig.created("one").await.id.to_string();
    let (quick, organization, its_id) = (rig.sandboxes.clone(), rig.organization, id.clone());
    let overtaken = rig.meddling(move |now| {
        let (quick, id) = (quick.clone(), its_id.clone());
        Box::pin(async move {
            if now == BeforeDelete {
                assert_eq!(word(&quick.delete(organization, &id).await), "ok");
            }
            Ok(())
        })
    });
    let deleted = overtaken.delete(rig.organization, &id).await.expect("delete");
    assert_eq!(pair(&deleted), (Desired::Deleted, Observed::Absent));
    rig.nothing_left().await;
}

#[tokio::test]
async fn a_stop_or_start_that_fails_says_why_and_leaves_a_way_out() {
    for (moment, seen) in [
        (BeforeStop, Observed::Started),
        (AfterStop, Observed::Stopped),
        (BeforeStart, Observed::Stopped),
        (AfterStart, Observed::Started),
    ] {
        let rig = Rig::new().await;
        rig.created("one").await;
        let sandboxes = rig.meddling(move |now| fails_if(now == moment, failure));
        let failed = async {
            sandboxes.stop(rig.organization, "one").await?;
            sandboxes.start(rig.organization, "one").await
        };
        let failed = failed.await.expect_err("out of luck");
        assert!(matches!(failed, SandboxesError::Provider(ServiceError::Failed { .. })), "{failed:?}");
        let left = rig.get("one").await.expect("it is still there");
        assert_eq!(left.observed, seen, "{moment:?}");
        assert_eq!(left.cause.as_deref(), Some("the provider could not do it: out of luck"));
        rig.sandboxes.stop(rig.organization, "one").await.expect("another try");
        rig.sandboxes.start(rig.organization, "one").await.expect("another try");
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_delete_that_fails_is_kept_as_wanted_and_may_be_asked_for_again() {
    for moment in [BeforeDelete, AfterDelete] {
        let rig = Rig::new().await;
        let id = rig.created("one").await.id.to_string();
        let sandboxes = rig.meddling(move |now| fails_if(now == moment, unknown_outcome));
        sandboxes.delete(rig.organization, "one").await.expect_err("no answer");
        assert_eq!(rig.rows().await, [(Desired::Deleted, Observed::Started)]);
        let second = rig.created("one").await;
        rig.sandboxes.delete(rig.organization, &id).await.expect("delete again");
        assert_eq!(rig.get("one").await.expect("the second has the name"), second);
        rig.finish().await;
    }
}

/// The caller was told that nobody knows. It is gone on with soon, and not when the time of a request would be over.
#[tokio::test]
async fn what_a_request_could_not_do_is_soon_done_without_it() {
    let rig = Rig::new().await;
    rig.created("one").await;
    let sandboxes = rig.meddling(|now| fails_if(now == BeforeDelete, unknown_outcome));
    sandboxes.delete(rig.organization, "one").await.expect_err("no answer");
    let due = rig.sandboxes.next_due().await.expect("it can be told").expect("something is to be done");
    assert!(due < Duration::from_secs(1), "{due:?}");
    rig.sandboxes.recover().await.expect("it can be done now");
    assert_eq!(rig.rows().await, []);
    rig.finish().await;
}

/// What has happened is written down, whatever was changed about the sandbox in the meantime.
#[tokio::test]
async fn labels_set_during_a_change_are_kept_and_so_is_the_change() {
    for (moment, pairs) in [
        (AfterStop, (Desired::Stopped, Observed::Stopped)),
        (AfterStart, (Desired::Started, Observed::Started)),
    ] {
        let rig = Rig::new().await;
        rig.created("one").await;
        if moment == AfterStart {
            rig.sandboxes.stop(rig.organization, "one").await.expect("stop");
        }
        let (facade, organization) = (rig.sandboxes.clone(), rig.organization);
        let sandboxes = rig.meddling(move |now| set_labels_at(moment, now, &facade, organization));
        let changed = match moment {
            AfterStop => sandboxes.stop(organization, "one").await.expect("stop"),
            _ => sandboxes.start(organization, "one").await.expect("start"),
        };
        assert_eq!((pair(&changed), &changed.config.labels), (pairs, &red()));
        rig.finish().await;
    }
}

#[tokio::test]
async fn a_command_runs_where_something_runs() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    let echo = Command { text: "echo hello".to_owned(), ..Command::default() };
    let result = rig.sandboxes.execute(&sandbox, &echo).await.expect("execute");
    assert_eq!((result.exit_code, &*result.output), (0, "hello\n"));
    let stopped = rig.sandboxes.stop(rig.organization, "one").await.expect("stop");
    let refused = rig.sandboxes.execute(&stopped, &echo).await;
    assert!(matches!(refused, Err(SandboxesError::Provider(ServiceError::NotRunning))), "{refused:?}");
    let refused = rig.sandboxes.toolbox(&stopped).await;
    assert!(matches!(refused, Err(SandboxesError::Provider(ServiceError::NotRunning))), "{refused:?}");
    rig.finish().await;
}

/// A ledger is no place for every request: a use within 45 seconds of the last is not written.
#[tokio::test]
async fn uses_are_noted_at_most_every_45_seconds() {
    let rig = Rig::new().await;
    let created = rig.created("one").await.last_activity_at;
    let noted = async |after: Duration| {
        rig.clock.advance(after);
        rig.sandboxes.touch(&rig.get("one").await.expect("found")).await.expect("touch");
        rig.get("one").await.expect("found").last_activity_at.since(created)
    };
    assert_eq!(noted(Duration::from_millis(44_999)).await, Duration::ZERO);
    assert_eq!(noted(Duration::from_millis(1)).await, Duration::from_secs(45));
    assert_eq!(noted(Duration::from_secs(44)).await, Duration::from_secs(45));
    assert_eq!(noted(Duration::from_secs(1)).await, Duration::from_secs(90));
    let sandbox = rig.get("one").await.expect("found");
    rig.clock.advance(Duration::from_secs(1));
    rig.sandboxes.record_activity(sandbox.id).await.expect("record");
    assert_eq!(noted(Duration::ZERO).await, Duration::from_secs(91), "what a client reports is always noted");
    rig.finish().await;
}
