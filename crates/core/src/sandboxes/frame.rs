//! The time by which sandboxes age: it goes on evenly while the host's time of day leaps, and follows it afterwards.
//!
//! All times of the ledger are times of day. When the time of day leaps, by an operator, by a correction after the
//! start of the host, or because the host was off, what timers count from is moved by the same leap. So no sandbox is
//! stopped or deleted before the host has been up for as long as its interval says.

use super::{Sandboxes, SandboxesError};
use crate::ports::{Anchor, Clock};
use crate::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{RwLock, RwLockReadGuard};

/// A smaller difference is a clock that is being corrected, and is followed without more ado.
const LEAP: i64 = 10_000;
/// How old an anchor may become: as much may be forgotten of the time before the host was switched off.
const ANCHOR_AGE: Duration = Duration::from_mins(1);

/// The host's uptime, shown as a time of day.
#[derive(Clone)]
pub(super) struct Frame {
    clock: Arc<dyn Clock>,
    /// The time of day when the host was started.
    start: Arc<AtomicI64>,
    /// Held for writing while the ledger's times are moved.
    turning: Arc<RwLock<()>>,
}

impl Frame {
    /// The host's own time of day.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let start = AtomicI64::new(clock.now().as_millis() - clock.uptime().millis);
        Self { clock, start: Arc::new(start), turning: Arc::default() }
    }

    /// Keeps the times of the ledger where they are until it is dropped. What is written with a time of ours must be written
    /// before they are moved or after, never between: it would be as old as the leap is long.
    pub(super) async fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.turning.read().await
    }

    /// The time by which sandboxes age.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.start.load(Ordering::SeqCst) + self.clock.uptime().millis)
    }

    /// Goes on from where the ledger stood. While the host was off no time passed.
    fn resume(&self, anchor: Anchor) {
        let uptime = self.clock.uptime();
        let before = if anchor.uptime.boot == uptime.boot { anchor.uptime } else { uptime };
        self.start.store(anchor.at.as_millis() - before.millis, Ordering::SeqCst);
    }

    /// How far the time of day has run away from ours.
    fn behind(&self) -> i64 {
        self.clock.now().as_millis() - self.now().as_millis()
    }

    /// What is to be written down once it is followed by `millis`.
    fn anchor(&self, millis: i64) -> Anchor {
        Anchor { at: self.now().shifted(millis), uptime: self.clock.uptime() }
    }

    fn follow(&self, millis: i64) {
        self.start.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Sandboxes {
    /// Goes on with the time of the ledger. Called once, before anything is due.
    pub(super) async fn resume_time(&self) -> Result<(), SandboxesError> {
        if let Some(anchor) = self.ledger.timeline.anchor().await? {
            self.frame.resume(anchor);
        }
        self.keep_time().await.map(drop)
    }

    /// Follows the time of day; gives the milliseconds by which it has leapt, if it has.
    pub(super) async fn keep_time(&self) -> Result<Option<i64>, SandboxesError> {
        let behind = self.frame.behind();
        let anchor = self.frame.anchor(behind);
        if behind.abs() >= LEAP {
            return self.leap().await.map(Some);
        }
        self.frame.follow(behind);
        if self.anchored_since().await?.is_none_or(|since| since >= ANCHOR_AGE) {
            self.ledger.timeline.set_anchor(anchor).await?;
        }
        Ok(None)
    }

    async fn leap(&self) -> Result<i64, SandboxesError> {
        let _turning = self.frame.turning.write().await;
        let behind = self.frame.behind();
        self.ledger.timeline.shift(behind, self.frame.anchor(behind)).await?;
        self.frame.follow(behind);
        Ok(behind)
    }

    /// How old the anchor is; `None` where there is none of this start of the host.
    async fn anchored_since(&self) -> Result<Option<Duration>, SandboxesError> {
        let (anchor, now) = (self.ledger.timeline.anchor().await?, self.frame.clock.uptime());
        let of_this_boot = anchor.filter(|anchor| anchor.uptime.boot == now.boot);
        Ok(of_this_boot.map(|anchor| {
            Duration::from_millis(u64::try_from(now.millis - anchor.uptime.millis).unwrap_or_default())
        }))
    }
}
