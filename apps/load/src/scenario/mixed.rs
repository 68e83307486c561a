//! Agents at work: each thinks, runs a command, thinks again, and now and then moves a file.

use std::sync::Arc;
use std::time::Instant;

use super::Played;
use super::script::{self, Act, Kind, Script};
use crate::api::Sandbox;
use crate::results::Settings;
use crate::stage::{Stage, open, step};

/// The file that goes in and comes back, in the sandbox's work directory.
const FILE: &str = "file.bin";

pub(super) async fn play(stage: &Arc<Stage>, settings: &Settings) -> Played {
    let scripts = script::write(settings.seed, settings.agents, settings.rounds);
    let begins: Vec<_> = scripts.iter().map(|script| script.begin).collect();
    let agent = |stage: Arc<Stage>, number: usize, _| {
        let script = scripts[number].clone();
        async move { follow(&stage, &script).await }
    };
    open(stage, begins, agent).await;
    Played::default()
}

async fn follow(stage: &Stage, script: &Script) {
    for acts in &script.rounds {
        let Some(sandbox) = stage.ready_sandbox(Instant::now()).await else { continue };
        for act in acts {
            // Whoever thinks does so after the last answer; a late wake-up counts as part of the next one.
            let intended = Instant::now() + act.think;
            stage.reach(intended).await;
            perform(stage, &sandbox, act, intended).await;
        }
        stage.delete(&sandbox, Instant::now()).await;
    }
}

async fn perform(stage: &Stage, sandbox: &Sandbox, act: &Act, intended: Instant) {
    let api = &stage.api;
    match &act.kind {
        Kind::Exec(command) => stage.step(step::EXEC, intended, api.run(sandbox, command)).await,
        Kind::Upload(bytes) => {
            stage.step(step::UPLOAD, intended, api.upload(sandbox, FILE, bytes.clone())).await
        }
        Kind::Download(bytes) => {
            stage.step(step::DOWNLOAD, intended, api.download(sandbox, FILE, bytes)).await
        }
    };
}
