//! The results as a table for the terminal.

use crate::results::{Figure, Results, ScenarioResult, StepResult};

pub(super) fn print(results: &Results) {
    println!("{}", results.machine);
    println!("commit {}, seed {}, milliseconds", results.commit, results.settings.seed);
    results.scenarios.iter().for_each(scenario);
}

fn scenario(scenario: &ScenarioResult) {
    println!("\n{}: {}", scenario.name, scenario.about);
    println!(
        "{:<52} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "count", "/s", "min", "p50", "p95", "p99", "max"
    );
    scenario.steps.iter().for_each(step);
    scenario.figures.iter().for_each(figure);
    for note in scenario.repetitions.iter().take(1).flat_map(|repetition| &repetition.notes) {
        println!("absent: {note}");
    }
    println!("{}", scenario.verdict);
}

fn step(step: &StepResult) {
    let name = if step.outcome == crate::records::OK {
        step.step.clone()
    } else {
        format!("{}: {}", step.step, step.outcome)
    };
    let s = &step.summary;
    println!(
        "{name:<52} {:>6} {:>8.1} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8.2}",
        s.count, step.per_second, s.min, s.p50, s.p95, s.p99, s.max
    );
    if let Some(message) = &step.first_message {
        println!("    first: {message}");
    }
}

fn figure(figure: &Figure) {
    let goal = match (figure.goal, figure.met()) {
        (Some(goal), Some(true)) => format!("goal {goal}: met"),
        (Some(goal), _) => format!("goal {goal}: MISSED"),
        (None, _) => String::new(),
    };
    println!("{:<52} {:>15.2} {:<12} {goal}", figure.name, figure.value, figure.unit);
}
