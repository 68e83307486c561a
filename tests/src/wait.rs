//! Waiting for a state with a deadline, never for a time.

use std::time::{Duration, Instant};

/// Machines are shared: what takes a second on a quiet one may take half a minute.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until `reached` is true; panics with `what` when that takes too long.
pub async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`until`], where nothing can be awaited. Returns whether the state was reached.
#[must_use]
pub fn wait_until(mut reached: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}
