//! What is written stays written, once, and by whoever was first.

use crate::rig::{Rig, at, env, event, intent, labels, next};
use sandgate_core::{
    Abandoned, Agenda, Attempt, Desired, EventKind, Handle, Intervals, Observed, Operation, RepositoryError,
    Resources, Sandbox, SandboxRepository, SnapshotName, UserName,
};
use tokio::task::JoinSet;

/// A sandbox with something in every field.
fn full(rig: &Rig) -> Sandbox {
    let mut sandbox = rig.sandbox("the “full” one, №1");
    sandbox.config.snapshot = Some(SnapshotName::parse("ubuntu:24.04").expect("a name"));
    sandbox.config.user = Some(UserName::parse("daytona").expect("a name"));
    sandbox.config.env = [env("A", "1"), env("MULTILINE", "x\ny\t\"z\""), env("EMPTY", "")].into();
    sandbox.config.labels = labels([("team", "red"), ("a'b\"c", "d\\e"), ("k", "")]);
    sandbox.config.resources = Resources { cpu: 4, memory_gib: 8, disk_gib: 10 };
    sandbox.config.intervals = Intervals { auto_stop: 0, auto_archive: 7, auto_delete: Some(0), ttl: 3 };
    sandbox.handle = Some(Handle("handle/1".to_owned()));
    sandbox.cause = Some("a cause".to_owned());
    sandbox.observed = Observed::Failed;
    sandbox.operation = Some(Operation { tries: 3, next_at: at(7), parked: true });
    (sandbox.stopped_at, sandbox.archive_due, sandbox.destroy_at) = (Some(at(5)), true, Some(at(6)));
    sandbox
}

#[tokio::test]
async fn a_sandbox_comes_back_as_it_was_written() {
    let rig = Rig::new().await;
    let plain = rig.inserted("plain").await;
    let full = full(&rig);
    rig.insert(&full).await.expect("insert");
    assert_eq!(rig.find("plain").await.as_ref(), Some(&plain));
    let rig = rig.reopen();
    assert_eq!(rig.find("plain").await, Some(plain));
    assert_eq!(rig.find(&full.id.to_string()).await, Some(full));
}

#[tokio::test]
async fn a_change_comes_back_as_it_was_written() {
    let rig = Rig::new().await;
    let plain = rig.inserted("plain").await;
    let full = full(&rig);
    let changed = rig
        .changed(&plain, |s| {
            let (id, name, generation) = (s.id, s.name.clone(), s.generation);
            *s = Sandbox { id, name, generation, ..full };
            s.desired = Desired::Stopped;
            s.updated_at = at(5);
        })
        .await;
    assert_eq!(rig.find("plain").await.as_ref(), Some(&changed));
    assert_eq!(rig.reopen().find("plain").await, Some(changed));
}

#[tokio::test]
async fn an_insert_writes_its_attempt_and_its_event() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    let name = sandbox.current_attempt().external_name(rig.ledger.instance());
    let attempt =
        format!("SELECT count(*) FROM attempt WHERE external_name = '{name}' AND state = 'planned'");
    assert_eq!(rig.count(&attempt), 1);
    let event = format!(
        "SELECT count(*) FROM event WHERE sandbox_id = '{}' AND kind = 'sandbox.requested' AND detail = 'a detail'",
        sandbox.id
    );
    assert_eq!(rig.count(&event), 1);
}

#[tokio::test]
async fn the_attempt_follows_its_sandbox() {
    let rig = Rig::new().await;
    let state = |wanted: &str| rig.count(&format!("SELECT count(*) FROM attempt WHERE state = '{wanted}'"));
    let sandbox = rig.inserted("one").await;
    let sandbox = rig.changed(&sandbox, |s| s.observed = Observed::Started).await;
    assert_eq!(state("delivered"), 1);
    rig.deleted(&sandbox).await;
    assert_eq!(state("gone"), 1);
    let sandbox = rig.inserted("two").await;
    let sandbox = rig.changed(&sandbox, |s| s.desired = Desired::Deleted).await;
    assert_eq!(state("abandoned"), 1);
    rig.deleted(&sandbox).await;
    assert_eq!((state("abandoned"), state("gone")), (1, 1), "what it makes may still appear");
    let [abandoned] = rig.ledger.abandoned(at(0)).await.expect("abandoned")[..] else { panic!("one") };
    assert_eq!(abandoned.attempt, sandbox.current_attempt());
    rig.ledger.note_abandoned(&Abandoned { next_at: None, ..abandoned }).await.expect("note");
    assert_eq!(state("gone"), 2);
}

#[tokio::test]
async fn an_attempt_that_another_one_follows_is_abandoned_until_it_is_said_to_be_gone() {
    let rig = Rig::new().await;
    let first = rig.inserted("one").await;
    let second = rig.changed(&first, |s| s.attempt = 2).await;
    rig.changed(&second, |s| s.observed = Observed::Started).await;
    let [abandoned] = rig.ledger.abandoned(at(0)).await.expect("abandoned")[..] else { panic!("one") };
    assert_eq!((abandoned.attempt, abandoned.next_at), (first.current_attempt(), Some(at(0))));
    let later = Abandoned { answered_at: Some(at(1)), next_at: Some(at(2)), ..abandoned };
    rig.ledger.note_abandoned(&later).await.expect("note");
    assert_eq!(rig.ledger.abandoned(at(1)).await.expect("abandoned"), []);
    assert_eq!(rig.ledger.abandoned(at(2)).await.expect("abandoned"), [later]);
    for attempt in [first.current_attempt(), second.current_attempt()] {
        assert!(rig.ledger.knows(attempt).await.expect("knows"));
    }
    assert!(!rig.ledger.knows(Attempt { number: 3, ..abandoned.attempt }).await.expect("knows"));
}

#[tokio::test]
async fn a_change_made_from_an_older_generation_is_refused() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    let changed = rig.changed(&sandbox, |s| s.observed = Observed::Started).await;
    for stale in [next(&sandbox, |s| s.observed = Observed::Failed), next(&next(&changed, |_| ()), |_| ())] {
        let refused = rig.ledger.update(&stale, event(EventKind::Failed)).await;
        assert!(matches!(refused, Err(RepositoryError::Stale)), "{refused:?}");
    }
    assert_eq!(rig.find("one").await, Some(changed));
    assert_eq!(rig.count("SELECT count(*) FROM event WHERE kind = 'sandbox.failed'"), 0);
}

#[tokio::test]
async fn a_change_of_what_never_was_is_refused() {
    let rig = Rig::new().await;
    let refused = rig.ledger.update(&rig.sandbox("one"), event(EventKind::Changed)).await;
    assert!(matches!(refused, Err(RepositoryError::Stale)), "{refused:?}");
    assert_eq!(rig.find("one").await, None);
}

#[tokio::test]
async fn the_same_id_is_never_written_twice() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    let again = Sandbox { name: rig.sandbox("two").name, ..sandbox.clone() };
    let refused = rig.insert(&again).await;
    assert!(matches!(refused, Err(RepositoryError::Broken(_))), "{refused:?}");
    assert_eq!(rig.find("two").await, None);
    assert_eq!(rig.find("one").await, Some(sandbox));
}

#[tokio::test]
async fn a_sandbox_of_an_unknown_organization_is_refused() {
    let (rig, other) = (Rig::new().await, Rig::new().await);
    let refused = rig.insert(&other.sandbox("one")).await;
    assert!(matches!(refused, Err(RepositoryError::Broken(_))), "{refused:?}");
}

/// The group goes on without the writes that failed in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_a_name_one_gets_it() {
    let rig = Rig::new().await;
    let mut racers = JoinSet::new();
    for _ in 0..50 {
        let (ledger, sandbox) = (rig.ledger.clone(), rig.sandbox("wanted"));
        racers.spawn(async move { ledger.insert(&intent(&sandbox)).await.map(|_| sandbox) });
    }
    let mut winners = Vec::new();
    for outcome in racers.join_all().await {
        match outcome {
            Ok(sandbox) => winners.push(sandbox),
            Err(error) => assert!(matches!(error, RepositoryError::NameTaken), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(rig.find("wanted").await, winners.pop());
    assert_eq!(rig.count("SELECT count(*) FROM event"), 1, "who failed left no event");
    assert_eq!(rig.count("SELECT count(*) FROM attempt"), 1, "who failed left no attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_from_one_generation_one_is_made() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    let mut racers = JoinSet::new();
    for n in 0..50 {
        let (ledger, changed) = (rig.ledger.clone(), next(&sandbox, |s| s.cause = Some(n.to_string())));
        racers
            .spawn(async move { ledger.update(&changed, event(EventKind::Changed)).await.map(|()| changed) });
    }
    let winners: Vec<_> = racers.join_all().await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(rig.find("one").await.as_ref(), winners.first());
    assert_eq!(rig.reopen().find("one").await.as_ref(), winners.first());
}

#[tokio::test]
async fn a_name_is_free_as_soon_as_the_end_is_asked_for() {
    let rig = Rig::new().await;
    let first = rig.inserted("name").await;
    let taken = rig.insert(&rig.sandbox("name")).await;
    assert!(matches!(taken, Err(RepositoryError::NameTaken)), "{taken:?}");
    let dying = rig.changed(&first, |s| s.desired = Desired::Deleted).await;
    assert_eq!(rig.find("name").await, None, "the name leads nowhere now");
    assert_eq!(rig.find(&first.id.to_string()).await.as_ref(), Some(&dying), "the id still does");
    let second = rig.inserted("name").await;
    assert_eq!(rig.find("name").await.as_ref(), Some(&second));
    rig.deleted(&dying).await;
    assert_eq!(rig.find("name").await.as_ref(), Some(&second), "the end of one leaves the other its name");
    assert_eq!(rig.reopen().find("name").await, Some(second));
}

#[tokio::test]
async fn names_are_apart_between_organizations() {
    let (rig, other) = (Rig::new().await, Rig::new().await);
    let sandbox = rig.inserted("name").await;
    for id_or_name in ["name", &sandbox.id.to_string()] {
        let found = rig.ledger.find(other.organization, id_or_name).await.expect("find");
        assert_eq!(found, None, "somebody else's {id_or_name}");
    }
}

#[tokio::test]
async fn an_id_goes_before_a_name_that_looks_like_one() {
    let rig = Rig::new().await;
    let first = rig.inserted("first").await;
    let impostor = rig.inserted(&first.id.to_string()).await;
    assert_eq!(rig.find(&first.id.to_string()).await.as_ref(), Some(&first));
    rig.deleted(&first).await;
    assert_eq!(rig.find(&first.id.to_string()).await, Some(impostor));
}

#[tokio::test]
async fn what_is_deleted_is_not_found_and_its_row_stays() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    rig.deleted(&sandbox).await;
    let rig = rig.reopen();
    assert_eq!(rig.find("one").await, None);
    assert_eq!(rig.find(&sandbox.id.to_string()).await, None);
    assert_eq!(rig.ledger.all_living().await.expect("living"), []);
    assert_eq!(rig.count("SELECT count(*) FROM sandbox WHERE deleted_at IS NOT NULL"), 1);
}

#[tokio::test]
async fn what_is_being_deleted_lives_until_it_is_gone() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    let dying = rig.changed(&sandbox, |s| s.desired = Desired::Deleted).await;
    let rig = rig.reopen();
    assert_eq!(rig.ledger.all_living().await.expect("living"), [dying]);
}

#[tokio::test]
async fn a_use_is_noted_without_an_event_or_a_generation() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    rig.ledger.touch(sandbox.id, at(70)).await.expect("touch");
    let touched = Sandbox { last_activity_at: at(70), ..sandbox };
    assert_eq!(rig.find("one").await.as_ref(), Some(&touched));
    assert_eq!(rig.count("SELECT count(*) FROM event"), 1);
    let rig = rig.reopen();
    assert_eq!(rig.find("one").await, Some(touched));
}

#[tokio::test]
async fn a_change_does_not_take_back_a_later_use() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    rig.ledger.touch(sandbox.id, at(70)).await.expect("touch");
    rig.changed(&sandbox, |s| s.observed = Observed::Started).await;
    assert_eq!(rig.find("one").await.expect("found").last_activity_at, at(70));
    assert_eq!(rig.reopen().find("one").await.expect("found").last_activity_at, at(70));
}

#[tokio::test]
async fn a_use_of_what_is_gone_changes_nothing() {
    let rig = Rig::new().await;
    let sandbox = rig.inserted("one").await;
    rig.deleted(&sandbox).await;
    rig.ledger.touch(sandbox.id, at(70)).await.expect("touch");
    assert_eq!(rig.find("one").await, None);
}

/// Whoever is answered can be sure that everybody sees the write; whoever waits shares the flush with others.
#[tokio::test]
async fn many_writers_share_commits_and_see_what_they_wrote() {
    let rig = Rig::new().await;
    let before = commits(&rig);
    let mut writers = JoinSet::new();
    for n in 0..200 {
        let (ledger, organization) = (rig.ledger.clone(), rig.organization);
        let sandbox = rig.sandbox(&format!("sandbox-{n}"));
        writers.spawn(async move {
            ledger.insert(&intent(&sandbox)).await.expect("insert");
            let found = ledger.find(organization, sandbox.name.as_str()).await.expect("find");
            assert_eq!(found, Some(sandbox));
        });
    }
    writers.join_all().await;
    let commits = commits(&rig) - before;
    assert!((1..=100).contains(&commits), "{commits} commits for 200 writes");
    let rig = rig.reopen();
    assert_eq!(rig.ledger.all_living().await.expect("living").len(), 200);
}

/// Counts the commits in the write-ahead log: frames that say how large the database is after them.
fn commits(rig: &Rig) -> usize {
    const HEADER: usize = 32;
    const FRAME: usize = 24 + 4096;
    let log = std::fs::read(rig.path().join("ledger.db-wal")).expect("the write-ahead log");
    let frames = log[HEADER..].chunks_exact(FRAME);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}
