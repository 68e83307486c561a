//! One play of one scenario, from a new server to the search for what it left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::{Args, engines};
use crate::api::Api;
use crate::clock::Clock;
use crate::gauges::{Probe, Sampler};
use crate::leaks::Watch;
use crate::records::Records;
use crate::results::{Repetition, Settings};
use crate::scenario::{Played, Scenario};
use crate::server::Server;
use crate::stage::{Stage, closed};
use crate::verdict::Verdict;

/// Sandboxes that are made first and not counted: the first of all makes the disk that the others are copied from.
const WARM_UP: usize = 5;
/// A task that was stopped ends at its next await.
const LET_GO: Duration = Duration::from_secs(10);
/// How often the generator checks that it is on time itself.
const PULSE: Duration = Duration::from_millis(50);

/// Plays `scenario` on a server of its own.
pub(super) async fn once(scenario: Scenario, settings: &Settings, args: &Args) -> Result<Repetition> {
    let server = Server::start(&args.server).await?;
    let installation = server.installation().await?;
    let watch = Watch::new(installation.clone());
    let stage = Stage {
        api: Api::new(&server)?,
        clock: Clock::start()?,
        records: Records::new()?,
        probe: Probe::new(installation),
    };
    let stage = warm(stage).await?;
    let sampler = Sampler::start(&stage.probe)?;
    let start = Instant::now();
    let played = perform(scenario, &stage, settings).await;
    let lasted = start.elapsed();
    let gauges = sampler.stop()?;
    let notes = match scenario {
        Scenario::Sequential => engines::beside(&stage.records, settings, args).await?,
        _ => Vec::new(),
    };
    let mut leaks = clear(&stage).await;
    let Stage { api, records, .. } = sole(stage).await?;
    // The server's side of our connections would look like something that it forgot to close.
    drop(api);
    leaks.extend(watch.of_sandboxes().await);
    let _folder = server.stop().await?;
    leaks.extend(watch.of_server().await);
    let played = played?;
    Ok(Repetition {
        verdict: Verdict::of(&records, &leaks, played.interval),
        seconds: lasted.as_secs_f64(),
        steps: records.steps(lasted),
        figures: played.figures,
        lag: records.lag(),
        gauges,
        leaks,
        notes,
    })
}

/// Some sandboxes whose times go into books that nobody reads.
async fn warm(stage: Stage) -> Result<Arc<Stage>> {
    let warming = Arc::new(stage);
    closed(&warming, 2, WARM_UP, |stage, _| async move {
        if let Some(sandbox) = stage.ready_sandbox(Instant::now()).await {
            stage.delete(&sandbox, Instant::now()).await;
        }
    })
    .await;
    let mut stage = sole(warming).await?;
    stage.records = Records::new()?;
    Ok(Arc::new(stage))
}

/// The stage for its last user, once tasks that were stopped have let go of it.
async fn sole(mut stage: Arc<Stage>) -> Result<Stage> {
    let deadline = Instant::now() + LET_GO;
    loop {
        match Arc::try_unwrap(stage) {
            Ok(stage) => return Ok(stage),
            Err(_) if Instant::now() > deadline => bail!("a task of the scenario does not end"),
            Err(shared) => stage = shared,
        }
        tokio::time::sleep(PULSE).await;
    }
}

/// Plays on the generator's own threads. A signal ends the play, and what it made is still cleared away.
async fn perform(scenario: Scenario, stage: &Arc<Stage>, settings: &Settings) -> Result<Played> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut playing = tokio::spawn(scenario.play(stage.clone(), settings.clone()));
    let pulse = pulse(stage.clone());
    let ended = tokio::select! {
        played = &mut playing => Some(played),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    stop(pulse).await;
    if let Some(played) = ended {
        return played.context("the generator has a defect");
    }
    stop(playing).await;
    bail!("interrupted; what had been made was cleared away")
}

async fn stop<T>(task: JoinHandle<T>) {
    task.abort();
    // A task that was stopped says so.
    let _ = task.await;
}

/// Wakes again and again, and writes down how late.
fn pulse(stage: Arc<Stage>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut next = Instant::now();
        loop {
            next += PULSE;
            stage.reach(next).await;
        }
    })
}

/// Deletes what the scenario has left, and says so.
async fn clear(stage: &Stage) -> Vec<String> {
    let left = match stage.api.list().await {
        Ok(left) => left,
        Err(failure) => return vec![format!("no list of what is left: {failure}")],
    };
    let mut found = Vec::new();
    for sandbox in left {
        let outcome = stage
            .api
            .delete(&sandbox)
            .await
            .map_or_else(|failure| failure.to_string(), |()| "deleted now".into());
        found.push(format!("sandbox {} ({outcome})", sandbox.id()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_scenario_left_is_named_and_deleted() {
        let server = Server::start_for_test().await;
        let stage = Stage {
            api: Api::new(&server).unwrap(),
            clock: Clock::start().unwrap(),
            records: Records::new().unwrap(),
            probe: Probe::new(server.installation().await.unwrap()),
        };
        let left = stage.api.create().await.unwrap();
        assert_eq!(clear(&stage).await, [format!("sandbox {} (deleted now)", left.id())]);
        assert_eq!(clear(&stage).await, Vec::<String>::new());
        server.stop().await.unwrap();
    }
}
