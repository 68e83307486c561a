//! `sandgate-load compare`: what changed between two results, and whether it is more than noise.
//!
//! Noise is what differs between repetitions of the same scenario in the same run. A change counts when the medians of
//! the repetitions lie further apart than both runs' own spreads together, and by more than a twentieth.

use std::path::PathBuf;

use anyhow::Result;

use crate::merge::median;
use crate::records::OK;
use crate::results::{Repetition, Results, ScenarioResult, StepResult};

/// What `sandgate-load compare` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The JSON file of the run before
    before: PathBuf,
    /// The JSON file of the run after
    after: PathBuf,
}

/// What is smaller than this part of the value is of no interest, however exact it is.
const WORTH_TELLING: f64 = 0.05;

/// One value of a step, of all repetitions or of one.
struct Metric {
    name: &'static str,
    of: fn(&StepResult) -> f64,
}

const METRICS: [Metric; 4] = [
    Metric { name: "p50", of: |step| step.summary.p50 },
    Metric { name: "p95", of: |step| step.summary.p95 },
    Metric { name: "p99", of: |step| step.summary.p99 },
    Metric { name: "per second", of: |step| step.per_second },
];

/// One line: a value before and after, and what to think of the difference.
#[derive(Debug)]
struct Row {
    name: String,
    before: f64,
    after: f64,
    mark: Mark,
}

/// Whether a difference is more than noise.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    Noise,
    Change,
    /// One repetition says nothing about noise.
    Unknown,
}

/// Prints the comparison.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (before, after) = (Results::read(&args.before)?, Results::read(&args.after)?);
    for (name, results, file) in [("before", &before, &args.before), ("after", &after, &args.after)] {
        println!("{name:<6} {} of {}, commit {}", file.display(), results.taken, results.commit);
    }
    if before.machine != after.machine {
        println!("the machines differ: {} and {}", before.machine, after.machine);
    }
    for scenario in &before.scenarios {
        match after.scenarios.iter().find(|other| other.name == scenario.name) {
            Some(other) => print(scenario, other),
            None => println!("\n{}: only in the first", scenario.name),
        }
    }
    println!("\n* more than the noise between repetitions; ? one repetition, noise unknown");
    Ok(())
}

fn print(before: &ScenarioResult, after: &ScenarioResult) {
    println!("\n{:<64} {:>10} {:>10} {:>7}", before.name, "before", "after", "ratio");
    if before.about != after.about {
        println!("    not the same load: {} | {}", before.about, after.about);
    }
    for (when, verdict) in [("before", &before.verdict), ("after", &after.verdict)] {
        if !verdict.reasons.is_empty() {
            println!("    {when} {verdict}");
        }
    }
    for Row { name, before, after, mark } in rows(before, after) {
        let sign = match mark {
            Mark::Noise => ' ',
            Mark::Change => '*',
            Mark::Unknown => '?',
        };
        println!("{name:<64} {before:>10.2} {after:>10.2} {:>6.2}{sign}", after / before);
    }
}

fn rows(before: &ScenarioResult, after: &ScenarioResult) -> Vec<Row> {
    let mut rows = Vec::new();
    for step in before.steps.iter().filter(|step| step.outcome == OK) {
        let Some(other) = after.step(&step.step) else { continue };
        for Metric { name, of } in METRICS {
            let each = |repetitions| of_step(repetitions, &step.step, of);
            let mark = mark(each(&before.repetitions), each(&after.repetitions));
            rows.push(Row {
                name: format!("{} {name}", step.step),
                before: of(step),
                after: of(other),
                mark,
            });
        }
    }
    for figure in &before.figures {
        let Some(other) = after.figures.iter().find(|other| other.name == figure.name) else { continue };
        let each = |repetitions| of_figure(repetitions, &figure.name);
        let mark = mark(each(&before.repetitions), each(&after.repetitions));
        let name = format!("{} {}", figure.name, figure.unit);
        rows.push(Row { name, before: figure.value, after: other.value, mark });
    }
    rows
}

fn of_step(repetitions: &[Repetition], name: &str, of: fn(&StepResult) -> f64) -> Vec<f64> {
    let steps = repetitions.iter().flat_map(|one| &one.steps);
    steps.filter(|step| step.step == name && step.outcome == OK).map(of).collect()
}

fn of_figure(repetitions: &[Repetition], name: &str) -> Vec<f64> {
    let figures = repetitions.iter().flat_map(|one| &one.figures);
    figures.filter(|figure| figure.name == name).map(|figure| figure.value).collect()
}

fn mark(before: Vec<f64>, after: Vec<f64>) -> Mark {
    if before.len() < 2 || after.len() < 2 {
        return Mark::Unknown;
    }
    let noise = spread(&before) + spread(&after);
    let before = median(before);
    let gap = (median(after) - before).abs();
    if gap > noise && gap > before.abs() * WORTH_TELLING { Mark::Change } else { Mark::Noise }
}

fn spread(values: &[f64]) -> f64 {
    let (least, most) =
        values.iter().fold((f64::MAX, f64::MIN), |(least, most), v| (least.min(*v), most.max(*v)));
    most - least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_counts_when_it_is_beyond_both_spreads() {
        let before = vec![10.0, 10.2, 9.9];
        assert_eq!(mark(before.clone(), vec![12.0, 12.3, 12.1]), Mark::Change);
        assert_eq!(mark(before.clone(), vec![10.1, 10.6, 10.3]), Mark::Noise);
        assert_eq!(mark(before.clone(), vec![12.0, 16.0, 9.0]), Mark::Noise);
        assert_eq!(mark(before, vec![12.0]), Mark::Unknown);
    }

    #[test]
    fn what_is_exact_but_small_is_not_told() {
        assert_eq!(mark(vec![100.0, 100.0], vec![101.0, 101.0]), Mark::Noise);
    }
}
