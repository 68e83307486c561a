//! Waking at an instant, exactly: tokio's timer rounds up to a millisecond, which is half of what an exec takes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::oneshot;

use crate::priority;

/// Above any time that somebody waits for; a thread with no alarm looks up so often.
const IDLE: Duration = Duration::from_mins(1);

/// A thread that wakes tasks. It ends when the last of its handles is dropped.
#[derive(Clone)]
pub(crate) struct Clock(Sender<Alarm>);

struct Alarm {
    at: Instant,
    wake: oneshot::Sender<()>,
}

impl Clock {
    pub(crate) fn start() -> Result<Self> {
        let (sender, alarms) = mpsc::channel();
        thread::Builder::new().name("clock".to_owned()).spawn(move || {
            priority::raise();
            ring(&alarms);
        })?;
        Ok(Self(sender))
    }

    /// Returns at `at`, or at once if that is over.
    pub(crate) async fn reach(&self, at: Instant) {
        if at <= Instant::now() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        self.0.send(Alarm { at, wake }).expect("the thread lives as long as we do");
        woken.await.expect("an alarm rings before it is dropped");
    }
}

/// Rings each alarm when its time has come, until nobody can set one any more.
fn ring(alarms: &Receiver<Alarm>) {
    let mut waiting = BinaryHeap::new();
    loop {
        while waiting.peek().is_some_and(|Reverse(next): &Reverse<Alarm>| next.at <= Instant::now()) {
            let Reverse(due) = waiting.pop().expect("it was just seen");
            // Whoever waited may have given up.
            let _ = due.wake.send(());
        }
        let pause =
            waiting.peek().map_or(IDLE, |Reverse(next)| next.at.saturating_duration_since(Instant::now()));
        match alarms.recv_timeout(pause) {
            Ok(alarm) => waiting.push(Reverse(alarm)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if waiting.is_empty() => return,
            // Nothing new will come: what is left is waited for one by one.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(pause),
        }
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Alarm {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn alarms_ring_in_the_order_of_their_times_and_never_early() {
        let clock = Clock::start().unwrap();
        let start = Instant::now();
        let wait = |milliseconds| {
            let (clock, at) = (clock.clone(), start + Duration::from_millis(milliseconds));
            async move {
                clock.reach(at).await;
                assert!(Instant::now() >= at);
                Instant::now()
            }
        };
        let (late, soon, past) = tokio::join!(wait(30), wait(10), clock.reach(start));
        let () = past;
        assert!(soon < late);
    }
}
