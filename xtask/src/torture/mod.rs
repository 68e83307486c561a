//! `xtask torture`: the tests that take an hour, on purpose, and what they have shown written down. Never part of `ci`.

mod record;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::build::{self, Profile, TOOLBOX_BIN};
use crate::project::{self, Project};
use crate::report::Report;
use crate::setup;

use self::record::Record;

/// What a line of numbers begins with, which a test prints for us.
const NUMBERS: &str = "torture: ";

/// What `xtask torture` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to go through; all of it takes two hours
    #[arg(value_enum, default_value = "all")]
    part: Choice,
    /// Repeats the storm of an earlier run
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    /// 1,000 times `kill -9` under load, on containers and on providers that are modelled
    Kills,
    /// An hour of whole lives of sandboxes, ten of them a second
    Soak,
    /// Each of them
    All,
}

/// One hour of it.
struct Part {
    name: &'static str,
    /// The build of the server: crashes want the one with assertions, an hour of load the one that is shipped.
    profile: Profile,
    /// The file of tests in the package `tests`, and the test in it.
    file: &'static str,
    test: &'static str,
    /// How much the test is to do.
    settings: &'static [(&'static str, &'static str)],
}

const KILLS: Part = Part {
    name: "kills",
    profile: Profile::Debug,
    file: "storm",
    test: "kills_at_any_moment_lose_nothing_and_leave_nothing",
    settings: &[("SANDGATE_STORM_KILLS", "600")],
};

const MODELLED: Part = Part {
    test: "kills_lose_nothing_of_a_provider_that_is_somewhere_else",
    settings: &[("SANDGATE_STORM_KILLS", "200")],
    ..KILLS
};

const FAULTY: Part =
    Part { test: "kills_leave_nothing_of_what_a_faulty_provider_makes_too_late", ..MODELLED };

const SOAK: Part = Part {
    name: "soak",
    profile: Profile::Release,
    file: "soak",
    test: "many_lives_leave_nothing",
    settings: &[("SANDGATE_SOAK_SECONDS", "3600"), ("SANDGATE_SOAK_RATE", "10")],
};

/// Goes through the parts; each one that was carried out is written into `docs/reliability.md`.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let parts: &[Part] = match args.part {
        Choice::Kills => &[KILLS, MODELLED, FAULTY],
        Choice::Soak => &[SOAK],
        Choice::All => &[KILLS, MODELLED, FAULTY, SOAK],
    };
    setup::tools()?;
    let mut report = Report::default();
    for part in parts {
        report.step(part.name, || part.run(project, args.seed));
    }
    report.finish()
}

impl Part {
    fn run(&self, project: &Project, seed: Option<u64>) -> Result<()> {
        let server = build::server(project, self.profile)?;
        let mut test = self.command(project, &server)?;
        if let Some(seed) = seed {
            test.env("SANDGATE_STORM_SEED", seed.to_string());
        }
        let numbers = numbers(&mut test)?;
        ensure!(!numbers.is_empty(), "the test `{}` printed no numbers", self.test);
        Record { part: self.name, numbers: &numbers }.write(project)
    }

    /// Cargo's own test runner: a test that takes an hour is not slow here, and what it prints is seen at once.
    fn command(&self, project: &Project, server: &Path) -> Result<Command> {
        let mut cargo = project.cargo(&["test", "--workspace", "--test", self.file, "--", "--nocapture"]);
        // What the environment says already stands: a shorter run is a run as well, and its numbers say how short.
        let settings = self.settings.iter().filter(|(name, _)| project::environment(name).is_none());
        cargo.args(["--exact", self.test]).envs(settings.copied());
        cargo.env(TOOLBOX_BIN, build::toolbox_path(project)?).env("SANDGATE_BIN", server);
        Ok(cargo)
    }
}

/// Runs a test, passes on what it prints, and returns its numbers.
fn numbers(test: &mut Command) -> Result<Vec<String>> {
    let mut child = test.stdout(Stdio::piped()).spawn().context("cargo could not be started")?;
    let stdout = child.stdout.take().context("cargo has an output")?;
    let mut numbers = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        numbers.extend(line.strip_prefix(NUMBERS).map(str::to_owned));
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the test ended with {status}");
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_from_what_a_test_prints_and_a_failure_has_none() {
        let mut says = Command::new("sh");
        says.args(["-c", "echo noise; echo 'torture: kills=3 seed=4'; echo noise"]);
        assert_eq!(numbers(&mut says).expect("it ends well"), ["kills=3 seed=4"]);
        let mut fails = Command::new("sh");
        assert!(numbers(fails.args(["-c", "echo 'torture: kills=3'; exit 1"])).is_err());
    }
}
