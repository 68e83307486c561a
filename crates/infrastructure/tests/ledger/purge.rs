//! What is old goes, and what is left can still be checked.

use crate::rig::{Rig, START, at, event, labels, next};
use rusqlite::Connection;
use sandgate_core::{
    Anchor, Boot, Desired, Event, EventKind, EventQuery, EventRepository, Head, Observed, SandboxRepository,
    Timeline, Uptime,
};
use sandgate_infrastructure::sqlite::{Purged, Retention};
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);
const HOURS: i64 = 3_600_000;

/// So many events, one an hour.
async fn hourly(rig: &Rig, count: i64) {
    let mut sandbox = rig.inserted("busy").await;
    for n in 1..count {
        sandbox = next(&sandbox, |_| ());
        let event = Event { at: at(n * HOURS), ..event(EventKind::Changed) };
        rig.ledger.update(&sandbox, event).await.expect("update");
    }
}

async fn first_and_last(rig: &Rig) -> Option<(u64, u64)> {
    let query = EventQuery { limit: 10_000, ..EventQuery::default() };
    let events = rig.ledger.events(rig.organization, &query).await.expect("events");
    Some((events.first()?.seq, events.last()?.seq))
}

fn events_for(hours: u32) -> Retention {
    Retention { events: Some(HOUR * hours), deleted: None }
}

#[tokio::test]
async fn old_events_go_and_the_rest_is_sound() {
    let rig = Rig::new().await;
    hourly(&rig, 500).await;
    let purged = rig.ledger.purge(&events_for(50), at(500 * HOURS)).await.expect("purge");
    assert_eq!(purged, Purged { events: 450, sandboxes: 0 });
    assert_eq!(first_and_last(&rig).await, Some((451, 500)));
    rig.verify(None).expect("sound");
    let again = rig.ledger.purge(&events_for(50), at(500 * HOURS)).await.expect("purge");
    assert_eq!(again, Purged::default());
    assert!(rig.find("busy").await.is_some(), "events alone have gone");
}

#[tokio::test]
async fn the_log_goes_on_after_all_of_it_has_gone() {
    let rig = Rig::new().await;
    hourly(&rig, 10).await;
    let head = rig.verify(None).expect("sound").head;
    rig.ledger.purge(&events_for(1), at(100 * HOURS)).await.expect("purge");
    assert_eq!(first_and_last(&rig).await, None);
    let sound = rig.verify(head).expect("the head that was known is where the rest begins");
    assert_eq!((sound.count, sound.head), (0, head));
    let rig = rig.reopen();
    rig.inserted("another").await;
    assert_eq!(first_and_last(&rig).await, Some((11, 11)));
    assert_eq!(rig.verify(head).expect("sound").first, Some(11));
}

#[tokio::test]
async fn a_clock_that_was_turned_back_makes_no_hole() {
    let rig = Rig::new().await;
    let mut sandbox = rig.inserted("one").await;
    for hours in [90, 1, 91] {
        sandbox = next(&sandbox, |_| ());
        let event = Event { at: at(hours * HOURS), ..event(EventKind::Changed) };
        rig.ledger.update(&sandbox, event).await.expect("update");
    }
    rig.ledger.purge(&events_for(50), at(100 * HOURS)).await.expect("purge");
    assert_eq!(first_and_last(&rig).await, Some((2, 4)));
    rig.verify(None).expect("sound");
}

#[tokio::test]
async fn for_ever_is_for_ever() {
    let rig = Rig::new().await;
    hourly(&rig, 5).await;
    let sandbox = rig.find("busy").await.expect("a sandbox");
    rig.deleted(&sandbox).await;
    let for_ever = Retention { events: None, deleted: None };
    let purged = rig.ledger.purge(&for_ever, at(1_000_000 * HOURS)).await.expect("purge");
    assert_eq!(purged, Purged::default());
}

#[tokio::test]
async fn a_cut_that_retention_did_not_make_is_found() {
    let rig = Rig::new().await;
    hourly(&rig, 100).await;
    rig.ledger.purge(&events_for(50), at(100 * HOURS)).await.expect("purge");
    let rig = rig.reopen_after(|other: &Connection| {
        other.execute_batch("DROP TRIGGER event_is_kept; DELETE FROM event WHERE seq < 60").expect("cut");
    });
    let damage = rig.verify(None).expect_err("cut").to_string();
    assert_eq!(damage, "events 51 to 59 are missing");
    let rig = rig.reopen_after(|other: &Connection| {
        let forged = Head { seq: 59, ..Head::BEGINNING }.to_string();
        other
            .execute("UPDATE meta SET value = ? WHERE key = 'events_end_of_deleted'", [forged])
            .expect("forge");
    });
    assert!(rig.verify(None).expect_err("forged").to_string().contains("event 60 does not fit"));
}

#[tokio::test]
async fn rows_of_deleted_sandboxes_go_with_all_that_is_theirs() {
    let rig = Rig::new().await;
    let mut gone = Vec::new();
    for n in 0..450 {
        let mut sandbox = rig.sandbox(&format!("gone-{n}"));
        sandbox.config.labels = labels([("team", "red")]);
        rig.insert(&sandbox).await.expect("insert");
        gone.push(rig.deleted(&sandbox).await);
    }
    let living = rig.inserted("living").await;
    let dying = rig.inserted("dying").await;
    rig.changed(&dying, |s| (s.desired, s.observed) = (Desired::Deleted, Observed::Failed)).await;
    let lately = rig.inserted("lately").await;
    rig.changed(&lately, |s| {
        (s.desired, s.observed) = (Desired::Deleted, Observed::Absent);
        s.updated_at = at(90 * HOURS);
    })
    .await;
    let retention = Retention { events: None, deleted: Some(HOUR * 50) };
    let purged = rig.ledger.purge(&retention, at(100 * HOURS)).await.expect("purge");
    assert_eq!(purged, Purged { events: 0, sandboxes: gone.len() as u64 });
    let left = "SELECT count(*) FROM sandbox WHERE name IN ('living', 'dying', 'lately')";
    assert_eq!((rig.count(left), rig.count("SELECT count(*) FROM sandbox")), (3, 3));
    assert_eq!((rig.count("SELECT count(*) FROM attempt"), rig.count("SELECT count(*) FROM label")), (3, 0));
    assert_eq!(rig.reopen().find("living").await, Some(living));
    assert!(gone.iter().all(|sandbox| sandbox.updated_at == START));
}

/// A clock that is turned by a year makes nothing old, neither before the server has followed it nor after, nor on its
/// way back.
#[tokio::test]
async fn a_clock_that_was_turned_makes_nothing_old() {
    const YEAR: i64 = 365 * 24 * HOURS;
    let rig = Rig::new().await;
    hourly(&rig, 100).await;
    let sandbox = rig.inserted("gone").await;
    rig.deleted(&sandbox).await;
    let retention = Retention { events: Some(HOUR * 200), deleted: Some(HOUR * 200) };
    let anchor = |hours, leap| {
        let uptime = Uptime { boot: Boot(uuid::Uuid::nil()), millis: hours * HOURS };
        Anchor { at: at(hours * HOURS + leap), uptime }
    };
    let purged =
        async |hours, leap| rig.ledger.purge(&retention, at(hours * HOURS + leap)).await.expect("purge");
    rig.ledger.set_anchor(anchor(100, 0)).await.expect("an anchor");
    assert_eq!(purged(100, YEAR).await, Purged::default(), "nobody has followed it yet");
    rig.ledger.shift(YEAR, anchor(101, YEAR)).await.expect("a leap");
    assert_eq!(purged(102, YEAR).await, Purged::default());
    rig.ledger.shift(-YEAR, anchor(103, 0)).await.expect("a leap back");
    assert_eq!(purged(300, 0).await, Purged::default());
    rig.ledger.set_anchor(anchor(303, 0)).await.expect("an anchor");
    assert_eq!(purged(303, 0).await, Purged { events: 102, sandboxes: 1 }, "what is old by then");
    rig.verify(None).expect("sound");
}
