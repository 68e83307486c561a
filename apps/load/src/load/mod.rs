//! `sandgate-load load`: plays scenarios on real servers, judges them, and writes reports.

mod engines;
mod play;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::html;
use crate::machine::Machine;
use crate::results::{Repetition, Results, SCHEMA, ScenarioResult, Settings};
use crate::scenario::Scenario;
use crate::verdict::Outcome;

/// What `sandgate-load load` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The server's binary
    #[arg(long)]
    server: PathBuf,
    /// Only this scenario; may stand several times
    #[arg(long = "scenario", value_enum)]
    scenarios: Vec<Scenario>,
    /// A small load that says whether all works, and little about how fast
    #[arg(long)]
    quick: bool,
    /// What agents do and when follows from this
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How often each scenario is played; differences between them are the noise
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: Option<u32>,
    /// Sandboxes that live at once in `idle`
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    idle: Option<u32>,
    /// Creates a second in `sustained`
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    /// Also write everything to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also write a report with charts to this file
    #[arg(long)]
    html: Option<PathBuf>,
    /// The commit that the server was built from
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Where Docker listens
    #[arg(long, default_value = "/var/run/docker.sock")]
    docker_socket: PathBuf,
}

/// Exit code of a run in which the server failed, or left something behind.
const FAILED: u8 = 1;
/// Exit code of a run whose numbers say nothing.
const INVALID: u8 = 3;

/// Plays, prints, writes.
pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let settings = args.settings();
    let scenarios =
        if args.scenarios.is_empty() { Scenario::value_variants() } else { args.scenarios.as_slice() };
    let taken = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut played: Vec<Vec<Repetition>> = vec![Vec::new(); scenarios.len()];
    // Round by round, so that a busy minute of the machine does not fall on one scenario alone.
    for round in 1..=settings.repeat {
        for (scenario, repetitions) in scenarios.iter().zip(&mut played) {
            eprintln!("{} ({round} of {})", scenario.name(), settings.repeat);
            repetitions.push(play::once(*scenario, &settings, args).await?);
        }
    }
    let merge = |(scenario, repetitions): (&Scenario, _)| {
        ScenarioResult::new(scenario.name(), &scenario.about(&settings), repetitions)
    };
    let scenarios = scenarios.iter().zip(played).map(merge).collect::<Result<_>>()?;
    let results = Results {
        schema: SCHEMA,
        taken,
        commit: args.commit.clone(),
        machine: Machine::here(),
        settings,
        scenarios,
    };
    args.report(&results)?;
    Ok(exit_code(&results))
}

impl Args {
    fn settings(&self) -> Settings {
        let normal = Settings {
            seed: self.seed,
            repeat: 3,
            sandboxes: 100,
            rate: 20.0,
            seconds: 20,
            agents: 8,
            rounds: 3,
            idle: 1000,
            phase: 50,
            engine_samples: 20,
        };
        let quick = Settings {
            repeat: 1,
            sandboxes: 10,
            rate: 10.0,
            seconds: 2,
            agents: 2,
            rounds: 1,
            idle: 20,
            phase: 20,
            engine_samples: 3,
            ..normal.clone()
        };
        let base = if self.quick { quick } else { normal };
        let given = |value: Option<u32>, default| value.map_or(default, |value| value as usize);
        Settings {
            repeat: given(self.repeat, base.repeat),
            idle: given(self.idle, base.idle),
            rate: self.rate.map_or(base.rate, f64::from),
            ..base
        }
    }

    fn report(&self, results: &Results) -> Result<()> {
        table::print(results);
        if let Some(file) = &self.json {
            results.write(file)?;
        }
        self.html.as_deref().map_or(Ok(()), |file| html::write(results, file))
    }
}

fn exit_code(results: &Results) -> ExitCode {
    match results.scenarios.iter().map(|scenario| scenario.verdict.outcome).max() {
        None | Some(Outcome::Passed) => ExitCode::SUCCESS,
        Some(Outcome::Failed) => ExitCode::from(FAILED),
        Some(Outcome::Invalid) => ExitCode::from(INVALID),
    }
}
