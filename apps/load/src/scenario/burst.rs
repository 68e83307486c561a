//! Everybody comes at the same moment, and leaves at the same moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Played;
use crate::results::{Figure, Settings};
use crate::stage::{Stage, open};

pub(super) async fn play(stage: &Arc<Stage>, settings: &Settings) -> Played {
    let start = Instant::now();
    let at_once = vec![Duration::ZERO; settings.sandboxes];
    let ready = |stage: Arc<Stage>, _, intended| async move { stage.ready_sandbox(intended).await };
    let sandboxes: Vec<_> = open(stage, at_once.clone(), ready).await.into_iter().flatten().collect();
    let all_ready = start.elapsed();
    let delete = |stage: Arc<Stage>, number: usize, intended| {
        let sandbox = sandboxes[number].clone();
        async move { stage.delete(&sandbox, intended).await }
    };
    open(stage, at_once.into_iter().take(sandboxes.len()), delete).await;
    let all_gone = start.elapsed().saturating_sub(all_ready);
    let figure = |name, took: Duration| Figure::new(name, took.as_secs_f64() * 1000.0, "ms");
    Played {
        figures: vec![
            figure("until the last one was ready", all_ready),
            figure("until the last one was gone", all_gone),
        ],
        ..Played::default()
    }
}
