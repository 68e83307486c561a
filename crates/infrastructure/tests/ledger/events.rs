//! The log of events: in order, complete, chained, and never changed.

use crate::rig::{Rig, START, event, intent, next};
use rusqlite::Connection;
use sandgate_core::{
    Actor, Event, EventKind, EventQuery, EventRepository, Intent, KeyId, Observed, Order, Recorded,
    RepositoryError, Sandbox, SandboxRepository,
};
use sandgate_infrastructure::sqlite::{Audit, SqliteLedger};
use std::collections::HashSet;
use std::error::Error as _;
use std::path::Path;
use tokio::task::JoinSet;

/// "sndg", as the database says whose it is.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"sndg");

async fn ask(rig: &Rig, query: &EventQuery) -> Vec<Recorded> {
    rig.ledger.events(rig.organization, query).await.expect("events")
}

async fn all(rig: &Rig) -> Vec<Recorded> {
    ask(rig, &EventQuery { limit: 10_000, ..EventQuery::default() }).await
}

fn seqs(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

/// Sandboxes with so many changes each.
async fn busy(rig: &Rig, sandboxes: usize, changes: usize) -> Vec<Sandbox> {
    let mut made = Vec::new();
    for n in 0..sandboxes {
        let mut sandbox = rig.inserted(&format!("sandbox-{n}")).await;
        for _ in 0..changes {
            sandbox = rig.changed(&sandbox, |_| ()).await;
        }
        made.push(sandbox);
    }
    made
}

#[tokio::test]
async fn an_event_says_who_did_what_to_which_sandbox_and_when() {
    let rig = Rig::new().await;
    let (sandbox, key) = (rig.sandbox("one"), KeyId::random());
    let asked = Event { kind: EventKind::Requested, at: START, actor: Actor::Key(key), detail: None };
    let intent = Intent { sandbox: sandbox.clone(), event: asked, idempotency: None };
    rig.ledger.insert(&intent).await.expect("insert");
    let events = all(&rig).await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.seq, event.at, &event.detail), (1, START, &None));
    assert_eq!(
        (&event.organization, &event.sandbox),
        (&rig.organization.to_string(), &sandbox.id.to_string())
    );
    assert_eq!((event.kind.as_str(), event.actor.as_str()), ("sandbox.requested", &*format!("key:{key}")));
}

#[tokio::test]
async fn pages_together_are_the_log_both_ways() {
    let rig = Rig::new().await;
    busy(&rig, 3, 4).await;
    for (order, first) in [(Order::Ascending, 1), (Order::Descending, 15)] {
        let (mut query, mut seen) = (EventQuery { limit: 4, order, ..EventQuery::default() }, Vec::new());
        loop {
            let page = ask(&rig, &query).await;
            seen.extend(seqs(&page));
            query.after = page.last().map(|last| last.seq);
            if page.len() < 4 {
                break;
            }
        }
        assert_eq!((seen.len(), seen[0]), (15, first));
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 15);
    }
}

#[tokio::test]
async fn events_are_found_by_sandbox_and_by_the_beginning_of_their_kind() {
    let rig = Rig::new().await;
    let made = busy(&rig, 2, 3).await;
    let of_one = EventQuery { sandbox: Some(made[1].id), ..EventQuery::default() };
    assert_eq!(seqs(&ask(&rig, &of_one).await), [5, 6, 7, 8]);
    for (prefix, expected) in [
        ("sandbox.re", vec![5]),
        ("sandbox.", vec![5, 6, 7, 8]),
        ("%", vec![]),
        ("sandbox.requested.", vec![]),
    ] {
        let query = EventQuery { kind_prefix: Some(prefix.to_owned()), ..of_one.clone() };
        assert_eq!(seqs(&ask(&rig, &query).await), expected, "{prefix}");
    }
}

#[tokio::test]
async fn another_organizations_events_are_not_there() {
    let (rig, other) = (Rig::new().await, Rig::new().await);
    let sandbox = rig.inserted("one").await;
    let query = EventQuery { sandbox: Some(sandbox.id), ..EventQuery::default() };
    assert_eq!(rig.ledger.events(other.organization, &query).await.expect("events"), []);
}

/// Writes that fail in a group leave no hole, and none of them is a link of the chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_is_whole_after_writes_that_failed_among_others() {
    let rig = Rig::new().await;
    let mut writers = JoinSet::new();
    for n in 0..200 {
        let (ledger, intent) = (rig.ledger.clone(), intent(&rig.sandbox(&format!("name-{}", n / 4))));
        writers.spawn(async move { ledger.insert(&intent).await });
    }
    let outcomes = writers.join_all().await;
    let taken = outcomes.iter().filter(|o| matches!(o, Err(RepositoryError::NameTaken))).count();
    assert_eq!((outcomes.len(), taken), (200, 150));
    let rig = rig.reopen();
    let stale = next(&next(&rig.find("name-1").await.expect("a sandbox"), |_| ()), |_| ());
    rig.ledger.update(&stale, event(EventKind::Failed)).await.expect_err("stale");
    rig.inserted("last").await;
    let events = all(&rig).await;
    assert_eq!(seqs(&events), (1..=51).collect::<Vec<_>>());
    let sound = rig.verify(events.last().map(Recorded::head)).expect("sound");
    assert_eq!((sound.count, sound.first), (51, Some(1)));
}

#[tokio::test]
async fn the_ledger_itself_refuses_to_change_or_delete_events() {
    let rig = Rig::new().await;
    busy(&rig, 1, 2).await;
    let other = Connection::open(rig.database()).expect("open");
    for forbidden in [
        "UPDATE event SET actor = 'nobody' WHERE seq = 2",
        "DELETE FROM event WHERE seq = 1",
        "DELETE FROM event",
        "INSERT OR REPLACE INTO event SELECT * FROM event WHERE seq = 1",
        "INSERT INTO event (seq, at, organization_id, sandbox_id, kind) VALUES (9, 0, '', '', '')",
    ] {
        let refused = other.execute(forbidden, []).expect_err(forbidden).to_string();
        assert!(refused.contains("events are"), "{forbidden}: {refused}");
    }
    rig.verify(None).expect("sound");
}

/// Writes to a ledger that nobody has open, past all that guards it.
fn meddle(dir: &Path, sql: &str) {
    let other = Connection::open(dir.join("ledger.db")).expect("open");
    let guards = "
        DROP TRIGGER event_is_added_at_the_end; DROP TRIGGER event_is_never_changed; DROP TRIGGER event_is_kept;
        PRAGMA ignore_check_constraints = ON;";
    other.execute_batch(guards).expect("drop the guards");
    other.execute(sql, []).expect(sql);
}

#[tokio::test]
async fn a_change_behind_the_ledgers_back_is_found_where_it_was_made() {
    let rig = Rig::new().await;
    busy(&rig, 2, 5).await;
    let head = all(&rig).await.last().map(Recorded::head).expect("a head");
    let table = [
        ("UPDATE event SET actor = 'timer' WHERE seq = 7", "event 7 "),
        ("UPDATE event SET detail = NULL WHERE seq = 7", "event 7 "),
        ("UPDATE event SET at = at + 1 WHERE seq = 12", "event 12 "),
        ("UPDATE event SET hash = zeroblob(32) WHERE seq = 3", "event 3 "),
        ("UPDATE event SET hash = NULL WHERE seq = 3", "event 3 cannot be read"),
        ("DELETE FROM event WHERE seq = 1", "events 1 to 1 are missing"),
        ("DELETE FROM event WHERE seq BETWEEN 4 AND 6", "events 4 to 6 are missing"),
        ("DELETE FROM event WHERE seq > 10", "the log ends with event 10, and event 12 was there"),
        (
            "INSERT INTO event SELECT -1, at, organization_id, sandbox_id, kind, detail, actor, hash FROM event WHERE seq = 1",
            "event 1 cannot be read",
        ),
    ];
    for (meddling, found) in table {
        let copy = rig.copy();
        meddle(copy.path(), meddling);
        let audit = Audit::open(copy.path()).expect("open for reading");
        let damage = audit.verify(Some(head)).expect_err(meddling).to_string();
        assert!(damage.contains(found), "{meddling}: {damage}");
    }
    rig.verify(Some(head)).expect("the original is sound");
}

/// A ledger of format 1 with this sandbox and so many events in it.
fn format_1(dir: &Path, sandbox: &Sandbox, events: usize) {
    let old = Connection::open(dir.join("ledger.db")).expect("a new database");
    old.execute_batch(include_str!("../../src/sqlite/schema.sql")).expect("format 1");
    let (id, organization) = (sandbox.id, sandbox.organization);
    let rows = format!(
        "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;
        INSERT INTO meta VALUES ('instance', '0123abcd');
        INSERT INTO organization VALUES ('{organization}', 1);
        INSERT INTO sandbox (id, organization_id, name, labels, cpu, memory_gib, disk_gib, auto_stop, auto_archive,
            network, provider, attempt, desired, observed, generation, created_at, updated_at, last_activity_at)
        VALUES ('{id}', '{organization}', 'lives', '{{}}', 1, 1, 1, 0, 0, 'none', 'container', 1, 'started', 'started',
            1, 1, 1, 1);
        WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {events})
        INSERT INTO event (at, organization_id, sandbox_id, kind, detail)
        SELECT value, '{organization}', '{id}', 'sandbox.changed', iif(value % 2, 'why', NULL)
        FROM n;"
    );
    old.execute_batch(&rows).expect("rows of format 1");
}

#[tokio::test]
async fn the_events_of_format_1_are_chained_when_it_is_opened() {
    const OLD: usize = 2345;
    let (rig, dir) = (Rig::new().await, tempfile::tempdir().expect("temporary directory"));
    let lives = rig.sandbox("lives");
    format_1(dir.path(), &lives, OLD);
    let refused = Audit::open(dir.path()).map(|_| ()).expect_err("an old format has no chain");
    assert!(format!("{:?}", refused.source()).contains("too old"), "{refused:?}");
    let ledger = SqliteLedger::open(dir.path()).expect("format 1 is brought to the latest");
    let found = ledger.find(rig.organization, "lives").await.expect("find").expect("it lives");
    assert_eq!((found.id, found.observed), (lives.id, Observed::Started));
    ledger.update(&next(&found, |_| ()), event(EventKind::Stopped)).await.expect("update");
    let all = EventQuery { limit: 10_000, ..EventQuery::default() };
    let events = ledger.events(rig.organization, &all).await.expect("events");
    let (new, old) = events.split_last().expect("events");
    assert_eq!(seqs(old), (1..=OLD as u64).collect::<Vec<_>>());
    assert!(old.iter().all(|event| event.actor == "unknown"));
    assert_eq!((new.actor.as_str(), new.kind.as_str()), ("server", "sandbox.stopped"));
    let sound = Audit::open(dir.path()).expect("open for reading").verify(None).expect("sound");
    assert_eq!(sound.head, Some(new.head()));
}
