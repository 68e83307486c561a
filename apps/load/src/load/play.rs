//! One play of one scenario, from a new server to the search for what it left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::{Args, engines};
use crate::api::{Api, Sandbox};
use crate::clock::Clock;
use crate::gauges::{Probe, Sample, Sampler};
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

/// A server with nothing on it, and what is needed to load it and to see what that leaves.
struct Ground {
    server: Server,
    watch: Watch,
    stage: Arc<Stage>,
}

/// What was seen while the scenario was played.
struct Seen {
    played: Played,
    lasted: Duration,
    gauges: Vec<Sample>,
    notes: Vec<String>,
}

/// Plays `scenario` on a server of its own.
pub(super) async fn once(scenario: Scenario, settings: &Settings, args: &Args) -> Result<Repetition> {
    let ground = Ground::prepare(args).await?;
    let seen = ground.play(scenario, settings, args).await;
    // Whatever has become of the play, nothing of it is to stay.
    let (records, cleared, leaks) = ground.leave().await?;
    let Seen { played, lasted, gauges, notes } =
        seen.with_context(|| format!("left in the end: {leaks:?}"))?;
    let leaks = [cleared, leaks].concat();
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

impl Ground {
    async fn prepare(args: &Args) -> Result<Self> {
        let server = Server::start(&args.server).await?;
        let installation = server.installation().await?;
        let watch = Watch::new(installation.clone());
        let stage = Stage {
            api: Api::new(&server)?,
            clock: Clock::start()?,
            records: Records::new()?,
            probe: Probe::new(installation),
        };
        Ok(Self { server, watch, stage: warm(stage).await? })
    }

    async fn play(&self, scenario: Scenario, settings: &Settings, args: &Args) -> Result<Seen> {
        let sampler = Sampler::start(&self.stage.probe)?;
        let start = Instant::now();
        let played = perform(scenario, &self.stage, settings).await;
        let lasted = start.elapsed();
        let (gauges, played) = (sampler.stop()?, played?);
        let notes = match scenario {
            Scenario::Sequential => engines::beside(&self.stage.records, settings, args).await?,
            _ => Vec::new(),
        };
        Ok(Seen { played, lasted, gauges, notes })
    }

    /// Clears the ground; returns the books, what had to be cleared away, and what is left even so.
    async fn leave(self) -> Result<(Records, Vec<String>, Vec<String>)> {
        let cleared = clear(&self.stage).await;
        let Stage { api, records, .. } = sole(self.stage).await?;
        // The server's side of our connections would look like something that it forgot to close.
        drop(api);
        let mut leaks = self.watch.of_sandboxes().await;
        let _folder = self.server.stop().await?;
        leaks.extend(self.watch.of_server().await);
        Ok((records, cleared, leaks))
    }
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
    bail!("interrupted")
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

/// Deletes what the scenario has left, and says so. A create goes on in the server when its client is gone, so one look
/// is not enough.
async fn clear(stage: &Stage) -> Vec<String> {
    let (deadline, mut found) = (Instant::now() + LET_GO, BTreeMap::new());
    loop {
        match stage.api.list().await {
            Ok(left) if left.is_empty() => break,
            Ok(left) => found.extend(delete(stage, left).await),
            Err(failure) => _ = found.insert("a list of what is left".to_owned(), failure.to_string()),
        }
        if Instant::now() > deadline {
            break;
        }
        tokio::time::sleep(PULSE).await;
    }
    found.into_iter().map(|(what, outcome)| format!("{what} ({outcome})")).collect()
}

/// What came of the delete of each.
async fn delete(stage: &Stage, sandboxes: Vec<Sandbox>) -> Vec<(String, String)> {
    let mut outcomes = Vec::new();
    for sandbox in sandboxes {
        let deleted = stage.api.delete(&sandbox).await;
        let outcome = deleted.map_or_else(|failure| failure.to_string(), |()| "deleted now".to_owned());
        outcomes.push((format!("sandbox {}", sandbox.id()), outcome));
    }
    outcomes
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
