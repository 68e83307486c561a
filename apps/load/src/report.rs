//! The numbers as a table for people and as JSON for programs, with the machine that they are true of.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::engine::Measured;
use crate::machine::Machine;
use crate::series::{Series, Summary};

/// One run of the micro benchmark; times in milliseconds.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// Cycles before the first one that counts.
    warm_up: u32,
    steps: Vec<Line>,
}

/// One step: its numbers, or why there are none.
#[derive(Serialize)]
pub(crate) struct Line {
    step: &'static str,
    #[serde(flatten)]
    summary: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal_p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal_p95: Option<f64>,
}

impl Line {
    pub(crate) fn plain(step: &'static str, series: &Series) -> Self {
        Self::with_goals(step, series, None, None)
    }

    /// A step that we want to be no slower than this, in milliseconds.
    pub(crate) fn with_goals(
        step: &'static str,
        series: &Series,
        goal_p50: Option<f64>,
        goal_p95: Option<f64>,
    ) -> Self {
        Self { step, summary: Some(series.summary()), absent: None, goal_p50, goal_p95 }
    }

    pub(crate) fn engine(step: &'static str, measured: Measured) -> Self {
        let (summary, absent) = match measured {
            Ok(series) => (Some(series.summary()), None),
            Err(reason) => (None, Some(reason)),
        };
        Self { step, summary, absent, goal_p50: None, goal_p95: None }
    }

    /// Whether the goals are met; empty where there is none.
    fn verdict(&self) -> &'static str {
        let Some(summary) = &self.summary else { return "" };
        let goals = [(self.goal_p50, summary.p50), (self.goal_p95, summary.p95)];
        let mut set = goals.iter().filter_map(|(goal, value)| goal.map(|goal| *value <= goal)).peekable();
        match (set.peek().is_some(), set.all(|met| met)) {
            (false, _) => "",
            (true, true) => "goal met",
            (true, false) => "goal missed",
        }
    }

    fn print(&self) {
        match (&self.summary, &self.absent) {
            (Some(s), _) => println!(
                "{:<38} {:>6} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8.2}  {}",
                self.step,
                s.count,
                s.min,
                s.p50,
                s.p95,
                s.p99,
                s.max,
                self.verdict()
            ),
            (None, reason) => println!("{:<38} {}", self.step, reason.as_deref().unwrap_or_default()),
        }
    }
}

impl Report {
    pub(crate) fn new(warm_up: u32, steps: Vec<Line>) -> Self {
        Self { machine: Machine::here(), warm_up, steps }
    }

    pub(crate) fn print(&self) {
        println!("{}", self.machine);
        println!("milliseconds; {} cycles of warm-up are not counted", self.warm_up);
        println!(
            "{:<38} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "count", "min", "p50", "p95", "p99", "max"
        );
        self.steps.iter().for_each(Line::print);
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
    }
}
