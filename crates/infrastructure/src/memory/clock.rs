//! A clock that stands still until it is turned.

use sandgate_core::{Boot, Clock, Timestamp, Uptime};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Tells the time that it was set to.
#[derive(Debug)]
pub struct ManualClock(Mutex<Hands>);

#[derive(Debug)]
struct Hands {
    now: Timestamp,
    uptime: Uptime,
}

impl ManualClock {
    /// A clock that shows `now`, on a host that was just started.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(Hands { now, uptime: just_started() }))
    }

    /// Shows `now` from here on, be it later or earlier: somebody turns it.
    pub fn set(&self, now: Timestamp) {
        self.hands().now = now;
    }

    /// Goes forward by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        hands.now = hands.now.plus(by);
        hands.uptime.millis += i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    }

    /// The host is off for so long.
    pub fn restart_after(&self, off: Duration) {
        let mut hands = self.hands();
        hands.now = hands.now.plus(off);
        hands.uptime = just_started();
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn just_started() -> Uptime {
    Uptime { boot: Boot(Uuid::new_v4()), millis: 0 }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    fn uptime(&self) -> Uptime {
        self.hands().uptime
    }
}
