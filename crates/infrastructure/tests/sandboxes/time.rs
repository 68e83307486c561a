//! Timers strike when the host has been up for long enough, whatever its clock says.

use crate::rig::{Rig, named};
use sandgate_core::{
    Intervals, Ledger, NewSandbox, Observed, Provider, ProviderKind, Reconciled, Sandboxes, SandboxesError,
};
use std::sync::Arc;
use std::time::Duration;

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
