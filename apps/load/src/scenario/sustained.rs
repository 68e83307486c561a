//! A steady stream: sandboxes are asked for at a fixed rate, however long the server takes for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Played;
use crate::results::Settings;
use crate::stage::{Stage, open};

pub(super) async fn play(stage: &Arc<Stage>, settings: &Settings) -> Played {
    let interval = Duration::from_secs_f64(1.0 / settings.rate);
    let work = |stage: Arc<Stage>, _, intended| async move {
        if let Some(sandbox) = stage.ready_sandbox(intended).await {
            stage.delete(&sandbox, Instant::now()).await;
        }
    };
    open(stage, arrivals(interval, Duration::from_secs(settings.seconds)), work).await;
    Played { interval: Some(interval), ..Played::default() }
}

/// One each `interval`, from now until `end`.
fn arrivals(interval: Duration, end: Duration) -> impl Iterator<Item = Duration> {
    (0..).map(move |number| interval * number).take_while(move |at| *at < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_do_not_drift() {
        let all: Vec<_> = arrivals(Duration::from_millis(50), Duration::from_secs(2)).collect();
        assert_eq!((all.len(), all[0], all[39]), (40, Duration::ZERO, Duration::from_millis(1950)));
    }
}
