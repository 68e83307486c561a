//! Timers strike when the host has been up for long enough, whatever its clock says.

use crate::rig::{Rig, named};
use async_trait::async_trait;
use sandgate_core::{
    Anchor, Idempotency, IdempotencyKey, Intervals, Ledger, NewSandbox, Observed, Provider, ProviderKind,
    Reconciled, RepositoryError, Sandboxes, SandboxesError, Timeline,
};
use sandgate_infrastructure::sqlite::{SqliteLedger, backup, restore};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_mins(1);
const YEAR: i64 = 365 * 24 * 3_600_000;
const HOUR: i64 = 3_600_000;

async fn reconciled(rig: &Rig) -> Reconciled {
    rig.sandboxes.reconcile().await.expect("reconcile")
}

fn mortal(name: &str, intervals: Intervals) -> NewSandbox {
    let mut new = named(name);
    new.config.intervals = intervals;
    new
}

async fn create(rig: &Rig, name: &str, intervals: Intervals) {
    rig.sandboxes.create(rig.organization, mortal(name, intervals)).await.expect("create");
}

/// Gives the sandboxes that are left as name and state.
async fn state(rig: &Rig, name: &str) -> Option<Observed> {
    match rig.get(name).await {
        Ok(sandbox) => Some(sandbox.observed),
        Err(SandboxesError::NotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

/// One of each timer: idle after 15 minutes, unwanted 60 minutes after its stop, at its end of life after 90.
async fn one_of_each(rig: &Rig) {
    create(rig, "idle", Intervals::default()).await;
    create(rig, "unwanted", Intervals { auto_delete: Some(60), ..Intervals::default() }).await;
    rig.sandboxes.stop(rig.organization, "unwanted").await.expect("stop");
    create(rig, "mortal", Intervals { auto_stop: 0, ttl: 90, ..Intervals::default() }).await;
}

async fn states(rig: &Rig) -> [Option<Observed>; 3] {
    [state(rig, "idle").await, state(rig, "unwanted").await, state(rig, "mortal").await]
}

const BEGINNING: [Option<Observed>; 3] =
    [Some(Observed::Started), Some(Observed::Stopped), Some(Observed::Started)];

/// Lets the rest of each interval pass, of which `passed` minutes have, and sees each timer strike in its minute.
async fn strike_in_time(rig: &Rig, passed: u32) {
    let mut now = passed;
    let mut until = |minute: u32| {
        let by = MINUTE * (minute - now);
        now = minute;
        by
    };
    for (before, after, index) in [(14, 15, 0), (59, 60, 1), (89, 90, 2)] {
        let was = states(rig).await;
        rig.clock.advance(until(before));
        reconciled(rig).await;
        assert_eq!(states(rig).await, was, "minute {before}");
        rig.clock.advance(until(after));
        reconciled(rig).await;
        assert_ne!(states(rig).await[index], was[index], "minute {after}");
    }
    assert_eq!(states(rig).await, [Some(Observed::Stopped), None, None]);
}

#[tokio::test]
async fn each_timer_strikes_in_its_minute() {
    let rig = Rig::new().await;
    one_of_each(&rig).await;
    strike_in_time(&rig, 0).await;
    rig.finish().await;
}

#[tokio::test]
async fn a_clock_that_is_turned_ages_nothing() {
    for leap in [HOUR, -HOUR, YEAR, -YEAR] {
        let rig = Rig::new().await;
        one_of_each(&rig).await;
        rig.clock.advance(MINUTE * 5);
        reconciled(&rig).await;
        rig.clock.set(rig.clock_now().shifted(leap));
        let done = reconciled(&rig).await;
        assert_eq!(done, Reconciled { leapt: Some(leap), ..Reconciled::default() });
        assert_eq!(states(&rig).await, BEGINNING);
        strike_in_time(&rig, 5).await;
        rig.finish().await;
    }
}

/// The same while no server runs; and the time between is counted all the same.
#[tokio::test]
async fn a_clock_that_is_turned_between_two_servers_ages_nothing() {
    for leap in [0, HOUR, -HOUR, YEAR, -YEAR] {
        let mut rig = Rig::new().await;
        one_of_each(&rig).await;
        reconciled(&rig).await;
        rig.clock.advance(MINUTE * 5);
        rig.clock.set(rig.clock_now().shifted(leap));
        start_again(&mut rig).await;
        assert_eq!(states(&rig).await, BEGINNING);
        strike_in_time(&rig, 5).await;
        rig.finish().await;
    }
}

#[tokio::test]
async fn no_time_passes_while_the_host_is_off() {
    let mut rig = Rig::new().await;
    one_of_each(&rig).await;
    rig.clock.advance(MINUTE * 5);
    reconciled(&rig).await;
    rig.clock.restart_after(MINUTE * 600);
    start_again(&mut rig).await;
    assert_eq!(states(&rig).await, BEGINNING);
    strike_in_time(&rig, 5).await;
    rig.finish().await;
}

async fn start_again(rig: &mut Rig) {
    let provider = Provider::new(ProviderKind::Container, Arc::new(rig.service.clone()));
    let ledger = Ledger::new(Arc::new(rig.ledger.clone()));
    rig.sandboxes = Sandboxes::new(ledger, provider, rig.clock.clone());
    rig.sandboxes.recover().await.expect("recover");
}

#[tokio::test]
async fn the_archive_clock_strikes_once() {
    let rig = Rig::new().await;
    create(&rig, "one", Intervals { auto_archive: 30, ..Intervals::default() }).await;
    rig.sandboxes.stop(rig.organization, "one").await.expect("stop");
    rig.clock.advance(MINUTE * 30);
    assert_eq!(reconciled(&rig).await.done, 1);
    assert!(rig.get("one").await.expect("found").archive_due);
    assert_eq!((reconciled(&rig).await.done, rig.sandboxes.next_due().await.expect("next")), (0, None));
    let started = rig.sandboxes.start(rig.organization, "one").await.expect("start");
    assert!(!started.archive_due);
    rig.finish().await;
}

#[tokio::test]
async fn a_use_postpones_the_stop() {
    let rig = Rig::new().await;
    create(&rig, "one", Intervals::default()).await;
    let sandbox = rig.get("one").await.expect("found");
    rig.clock.advance(MINUTE * 14);
    rig.sandboxes.record_activity(sandbox.id).await.expect("a use");
    rig.clock.advance(MINUTE * 14);
    reconciled(&rig).await;
    assert_eq!(state(&rig, "one").await, Some(Observed::Started));
    rig.clock.advance(MINUTE);
    reconciled(&rig).await;
    assert_eq!(state(&rig, "one").await, Some(Observed::Stopped));
    rig.finish().await;
}

/// A ledger that moves its times and lets everybody wait before it says so.
struct Slow {
    ledger: SqliteLedger,
    moved: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

#[async_trait]
impl Timeline for Slow {
    async fn anchor(&self) -> Result<Option<Anchor>, RepositoryError> {
        self.ledger.anchor().await
    }

    async fn set_anchor(&self, anchor: Anchor) -> Result<(), RepositoryError> {
        self.ledger.set_anchor(anchor).await
    }

    async fn shift(&self, millis: i64, anchor: Anchor) -> Result<(), RepositoryError> {
        self.ledger.shift(millis, anchor).await?;
        self.moved.add_permits(1);
        self.go_on.acquire().await.expect("open").forget();
        Ok(())
    }
}

/// What is written between the moment at which the ledger's times are moved and the one at which ours is, would be a
/// year old at once, and deleted.
#[tokio::test]
async fn what_is_asked_for_while_a_leap_is_followed_is_not_older_for_it() {
    for leap in [YEAR, -YEAR] {
        let mut rig = Rig::new().await;
        let (moved, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slow = Slow { ledger: rig.ledger.clone(), moved: moved.clone(), go_on: go_on.clone() };
        let ledger = Ledger { timeline: Arc::new(slow), ..Ledger::new(Arc::new(rig.ledger.clone())) };
        let provider = Provider::new(ProviderKind::Container, Arc::new(rig.service.clone()));
        rig.sandboxes = Sandboxes::new(ledger, provider, rig.clock.clone());
        create(&rig, "stopped", Intervals { auto_delete: Some(60), ..Intervals::default() }).await;
        reconciled(&rig).await;
        rig.clock.set(rig.clock_now().shifted(leap));
        let (follower, client, organization) =
            (rig.sandboxes.clone(), rig.sandboxes.clone(), rig.organization);
        let follows = tokio::spawn(async move { follower.reconcile().await });
        moved.acquire().await.expect("open").forget();
        let mut asked = tokio::spawn(async move {
            let ttl = Intervals { ttl: 90, ..Intervals::default() };
            client.stop(organization, "stopped").await.expect("stop");
            client.create(organization, mortal("new", ttl)).await.expect("create");
        });
        // Whoever does not wait is done by now.
        let early = timeout(Duration::from_millis(100), &mut asked).await;
        go_on.add_permits(1);
        follows.await.expect("no panic").expect("reconcile");
        if early.is_err() {
            asked.await.expect("no panic");
        }
        rig.clock.advance(MINUTE);
        reconciled(&rig).await;
        let all = (state(&rig, "new").await, state(&rig, "stopped").await);
        assert_eq!(all, (Some(Observed::Started), Some(Observed::Stopped)), "{leap}");
        rig.clock.advance(MINUTE * 15);
        reconciled(&rig).await;
        assert_eq!(state(&rig, "new").await, Some(Observed::Stopped), "nor younger: {leap}");
        rig.finish().await;
    }
}

/// A retry after a leap is the same request still.
#[tokio::test]
async fn an_idempotency_key_outlives_a_leap() {
    let rig = Rig::new().await;
    let key = IdempotencyKey::parse("one").expect("a key");
    let idempotency = Some(Idempotency { key, request: [1; 32] });
    let wish = || NewSandbox { idempotency: idempotency.clone(), name: None, ..named("one") };
    let first = rig.sandboxes.create(rig.organization, wish()).await.expect("create");
    for leap in [YEAR, -YEAR] {
        rig.clock.set(rig.clock_now().shifted(leap));
        reconciled(&rig).await;
        rig.sandboxes.forget_expired().await.expect("forget");
        let again = rig.sandboxes.create(rig.organization, wish()).await.expect("asked again");
        assert_eq!((again.sandbox.id, again.replayed), (first.sandbox.id, true));
    }
    rig.finish().await;
}

/// Nobody knows how the sandboxes were used since the backup was made.
#[tokio::test]
async fn no_time_passes_between_a_backup_and_its_return() {
    let mut rig = Rig::new().await;
    one_of_each(&rig).await;
    rig.clock.advance(MINUTE * 5);
    reconciled(&rig).await;
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy");
    backup(rig.dir.path(), &copy).expect("backup");
    rig.clock.advance(MINUTE * 600);
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    restore(&elsewhere, &copy, false).expect("restore");
    rig.ledger = SqliteLedger::open(&elsewhere).expect("the restored ledger");
    start_again(&mut rig).await;
    assert_eq!(states(&rig).await, BEGINNING);
    strike_in_time(&rig, 5).await;
    rig.finish().await;
}

/// What was stopped because nobody used it, is started by somebody who wants to.
#[tokio::test]
async fn a_start_is_a_use() {
    let rig = Rig::new().await;
    create(&rig, "one", Intervals::default()).await;
    rig.clock.advance(MINUTE * 15);
    reconciled(&rig).await;
    assert_eq!(state(&rig, "one").await, Some(Observed::Stopped));
    rig.clock.advance(MINUTE * 60);
    rig.sandboxes.start(rig.organization, "one").await.expect("start");
    for (minutes, expected) in [(14, Observed::Started), (1, Observed::Stopped)] {
        rig.clock.advance(MINUTE * minutes);
        reconciled(&rig).await;
        assert_eq!(state(&rig, "one").await, Some(expected));
    }
    rig.finish().await;
}
