//! A neighbour that takes all it can: how long does a command take in another sandbox meanwhile?

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Played;
use crate::api::Sandbox;
use crate::results::{Figure, Settings};
use crate::stage::{Stage, open, step};

/// The time between two commands of the sandbox that works: many times what one takes, so that it is not itself too much.
const INTERVAL: Duration = Duration::from_millis(100);
/// After this time an attack is at its full height.
const RISE: Duration = Duration::from_millis(500);
/// The median may be so many times what it was a moment before.
const GOAL: f64 = 2.0;

/// What is done, with the command that does it again and again until its sandbox is deleted.
const ATTACKS: [(&str, &[&str]); 5] = [
    ("fork bomb", &[FORK_BOMB]),
    ("memory hog", &[MEMORY_HOG]),
    ("disk filler", &[DISK_FILLER]),
    ("log flood", &[LOG_FLOOD]),
    ("all four", &[FORK_BOMB, MEMORY_HOG, DISK_FILLER, LOG_FLOOD]),
];
const FORK_BOMB: &str = "bomb() { bomb | bomb & }; while :; do bomb; done 2> /dev/null";
/// `tail` keeps what has no line end, until it is killed.
const MEMORY_HOG: &str = "while :; do tail < /dev/zero; done 2> /dev/null";
const DISK_FILLER: &str = "while :; do cat /dev/zero > fill; sync; rm fill; done 2> /dev/null";
/// More would be cut off by the toolbox; the client asks for it again.
const LOG_FLOOD: &str = "yes 'a line of a log that nobody reads' | head -c 100000000";

pub(super) async fn play(stage: &Arc<Stage>, settings: &Settings) -> Played {
    let mut played = Played { interval: Some(INTERVAL), ..Played::default() };
    let Some(worker) = stage.ready_sandbox(Instant::now()).await else { return played };
    for (name, commands) in ATTACKS {
        let phase = |when: &str| work(stage, &worker, settings.phase, format!("exec {when} {name}"));
        phase("before").await;
        let Some(neighbour) = stage.ready_sandbox(Instant::now()).await else { continue };
        let attack = begin(stage, &neighbour, commands);
        stage.clock.reach(Instant::now() + RISE).await;
        phase("during").await;
        drop(attack);
        stage.step("delete under attack", Instant::now(), stage.api.delete(&neighbour)).await;
        phase("after").await;
        played.figures.extend(ratios(stage, name));
    }
    stage.delete(&worker, Instant::now()).await;
    played
}

/// Runs the commands until what is returned is dropped.
fn begin(stage: &Arc<Stage>, neighbour: &Sandbox, commands: &[&'static str]) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for &command in commands {
        let (api, neighbour) = (stage.api.clone(), neighbour.clone());
        running.spawn(async move {
            // An attack that is refused or killed is what the sandbox's limits are for: it begins anew.
            loop {
                if api.run_and_forget(&neighbour, command).await.is_err() {
                    tokio::time::sleep(INTERVAL).await;
                }
            }
        });
    }
    running
}

/// Runs a command each [`INTERVAL`], whether or not the one before has been answered.
async fn work(stage: &Arc<Stage>, worker: &Sandbox, count: usize, name: String) {
    let arrivals = (0..).map(|number| INTERVAL * number).take(count);
    let run = |stage: Arc<Stage>, _, intended| {
        let (worker, name) = (worker.clone(), name.clone());
        async move { _ = stage.step(&name, intended, stage.api.run_true(&worker)).await }
    };
    open(stage, arrivals, run).await;
}

fn ratios(stage: &Stage, attack: &str) -> Vec<Figure> {
    let p50 = |when: &str| stage.records.of(&format!("{} {when} {attack}", step::EXEC)).at(0.5);
    let before = p50("before");
    if before <= 0.0 {
        // Not one command was answered: the failures are in the records, and there is nothing to divide by.
        return Vec::new();
    }
    let ratio = |when| Figure::new(format!("exec p50 {when} {attack}, to before"), p50(when) / before, "×");
    vec![ratio("during").with_goal(GOAL), ratio("after")]
}
