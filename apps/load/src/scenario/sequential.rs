//! One client, one sandbox at a time: what a single user sees.

use std::sync::Arc;
use std::time::Instant;

use super::Played;
use crate::results::Settings;
use crate::stage::{Stage, closed, step};

/// Commands in each sandbox after the first.
const COMMANDS: u32 = 5;

pub(super) async fn play(stage: &Arc<Stage>, settings: &Settings) -> Played {
    closed(stage, 1, settings.sandboxes, |stage, _| async move { life(&stage).await }).await;
    Played::default()
}

async fn life(stage: &Stage) {
    let Some(sandbox) = stage.ready_sandbox(Instant::now()).await else { return };
    for _ in 0..COMMANDS {
        stage.step(step::EXEC, Instant::now(), stage.api.run_true(&sandbox)).await;
    }
    stage.delete(&sandbox, Instant::now()).await;
}
