//! The scenarios: what is done to a server, and what is said of it beside the durations of the steps.

mod burst;
mod idle;
mod mixed;
mod noisy;
mod script;
mod sequential;
mod sustained;

use std::sync::Arc;
use std::time::Duration;

use crate::results::{Figure, Settings};
use crate::stage::Stage;

/// One of them, as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Sandboxes one after the other, and other engines beside them
    Sequential,
    /// All sandboxes at once
    Burst,
    /// Creates at a fixed rate, whatever the server does
    Sustained,
    /// Agents that think, run commands and move files
    Mixed,
    /// Many sandboxes that do nothing
    Idle,
    /// One sandbox that takes all it can, and another that works
    Noisy,
}

/// What a scenario says beside what is in the records.
#[derive(Default)]
pub(crate) struct Played {
    pub(crate) figures: Vec<Figure>,
    /// The time between two requests, where they came at a fixed rate.
    pub(crate) interval: Option<Duration>,
}

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Burst => "burst",
            Self::Sustained => "sustained",
            Self::Mixed => "mixed",
            Self::Idle => "idle",
            Self::Noisy => "noisy",
        }
    }

    /// One sentence for readers of a report.
    pub(crate) fn about(self, settings: &Settings) -> String {
        let Settings { sandboxes, rate, seconds, agents, rounds, idle, phase, .. } = settings;
        match self {
            Self::Sequential => format!("{sandboxes} sandboxes one after the other, six commands in each."),
            Self::Burst => format!("{sandboxes} sandboxes asked for at once, and deleted at once."),
            Self::Sustained => {
                format!(
                    "{rate} creates a second for {seconds} s, each with a command and a delete; open loop."
                )
            }
            Self::Mixed => format!(
                "{agents} agents with {rounds} sandboxes each: 20 commands, files up and down, time to think."
            ),
            Self::Idle => {
                format!("{idle} sandboxes live at once and idle for {seconds} s; then each runs a command.")
            }
            Self::Noisy => format!(
                "A sandbox runs {phase} commands before, during and after each attack of its neighbour; open loop."
            ),
        }
    }

    pub(crate) async fn play(self, stage: Arc<Stage>, settings: Settings) -> Played {
        match self {
            Self::Sequential => sequential::play(&stage, &settings).await,
            Self::Burst => burst::play(&stage, &settings).await,
            Self::Sustained => sustained::play(&stage, &settings).await,
            Self::Mixed => mixed::play(&stage, &settings).await,
            Self::Idle => idle::play(&stage, &settings).await,
            Self::Noisy => noisy::play(&stage, &settings).await,
        }
    }
}
