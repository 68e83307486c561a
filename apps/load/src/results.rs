//! The results of a load run, as they are stored and read again. Times in milliseconds unless the name says otherwise.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::gauges::Sample;
use crate::machine::Machine;
use crate::merge;
use crate::series::{Counts, Series, Summary};
use crate::verdict::Verdict;

/// Raised when a reader of the last version would misunderstand the file.
pub(crate) const SCHEMA: u32 = 1;

/// One run of `bench load`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) schema: u32,
    /// When the run began; RFC 3339, UTC.
    pub(crate) taken: String,
    /// The commit that was built, with `-dirty` where files had been changed.
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) scenarios: Vec<ScenarioResult>,
}

/// How much load, and which seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// How often each scenario was played, every time with a new server.
    pub(crate) repeat: usize,
    /// Sandboxes of `sequential` and `burst`.
    pub(crate) sandboxes: usize,
    /// Creates a second of `sustained`.
    pub(crate) rate: f64,
    /// Seconds that `sustained` creates, and that `idle` watches.
    pub(crate) seconds: u64,
    /// Agents of `mixed`.
    pub(crate) agents: usize,
    /// Sandboxes that each agent has, one after the other.
    pub(crate) rounds: usize,
    /// Sandboxes of `idle`.
    pub(crate) idle: usize,
    /// Commands of `noisy` in each phase.
    pub(crate) phase: usize,
    /// Runs of other engines beside `sequential`.
    pub(crate) engine_samples: u32,
}

/// One scenario, played once or several times.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ScenarioResult {
    pub(crate) name: String,
    /// One sentence about what it does.
    pub(crate) about: String,
    /// The worst of its repetitions.
    pub(crate) verdict: Verdict,
    /// All repetitions together.
    pub(crate) steps: Vec<StepResult>,
    /// The median of the repetitions of each.
    pub(crate) figures: Vec<Figure>,
    pub(crate) repetitions: Vec<Repetition>,
}

/// One play of a scenario, on a server of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Repetition {
    pub(crate) verdict: Verdict,
    /// How long the scenario itself took, warm-up and clean-up aside.
    pub(crate) seconds: f64,
    pub(crate) steps: Vec<StepResult>,
    pub(crate) figures: Vec<Figure>,
    /// How late the generator was.
    pub(crate) lag: Summary,
    pub(crate) gauges: Vec<Sample>,
    /// What was left on the machine.
    pub(crate) leaks: Vec<String>,
    /// What a reader should know, such as why an engine is absent.
    pub(crate) notes: Vec<String>,
}

/// One step with one outcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StepResult {
    pub(crate) step: String,
    /// `ok`, or the class of the failure.
    pub(crate) outcome: String,
    pub(crate) per_second: f64,
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// Pairs of microseconds and how often they were seen.
    pub(crate) histogram: Counts,
    /// What the first failure of this class said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_message: Option<String>,
}

/// A number that is no duration of a step, or a goal that is set for one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    /// What it should not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<f64>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.to_owned(), goal: None }
    }

    pub(crate) fn with_goal(self, goal: f64) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// Whether the goal is met; `None` where there is none.
    pub(crate) fn met(&self) -> Option<bool> {
        self.goal.map(|goal| self.value <= goal)
    }
}

impl StepResult {
    pub(crate) fn new(step: &str, outcome: &str, series: &Series, lasted: Duration) -> Self {
        let summary = series.summary();
        Self {
            step: step.to_owned(),
            outcome: outcome.to_owned(),
            per_second: exact(summary.count) / lasted.as_secs_f64(),
            summary,
            histogram: series.counts(),
            first_message: None,
        }
    }
}

impl ScenarioResult {
    /// Puts the repetitions together.
    pub(crate) fn new(name: &str, about: &str, repetitions: Vec<Repetition>) -> Result<Self> {
        let verdict = repetitions.iter().map(|one| &one.verdict).max_by_key(|verdict| verdict.outcome);
        Ok(Self {
            name: name.to_owned(),
            about: about.to_owned(),
            verdict: verdict.context("a scenario is played at least once")?.clone(),
            steps: merge::steps(&repetitions)?,
            figures: merge::figures(&repetitions),
            repetitions,
        })
    }

    /// The numbers of one step where it succeeded.
    pub(crate) fn step(&self, name: &str) -> Option<&StepResult> {
        self.steps.iter().find(|step| step.step == name && step.outcome == crate::records::OK)
    }
}

impl Results {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let named = || format!("{} is no result of `bench load`", file.display());
        let results: Self =
            serde_json::from_slice(&fs::read(file).with_context(named)?).with_context(named)?;
        ensure!(results.schema == SCHEMA, "{}: version {} is not known", file.display(), results.schema);
        Ok(results)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string(self)? + "\n";
        fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
    }
}

/// A count as a number to divide by. Nothing that is counted here reaches the 2^53 above which that would round.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(crate) fn exact(count: u64) -> f64 {
    count as f64
}
