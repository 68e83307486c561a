//! `cargo xtask`: builds, checks, tests, demonstrates and measures the project. One file per verb.

mod bench;
mod build;
mod ci;
mod demo;
mod invoke;
mod leftovers;
mod lint;
mod openapi;
mod project;
mod report;
mod serve;
mod server;
mod setup;
mod test;
mod torture;
mod vm_test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::project::Project;

/// What can be asked of the project from the command line.
#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, checks, tests, demonstrates and measures the project")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build the toolbox and the server that carries it; print where they are
    Build(build::Args),
    /// Check formatting, lints, layers, docs and generated files
    Lint(lint::Args),
    /// Run every test, after installing what the tests need
    Test(test::Args),
    /// Run the runtime's tests on Debian's kernels, in virtual machines
    VmTest(vm_test::Args),
    /// Create a sandbox, run a real package's own tests in it, clean up
    Demo,
    /// Run the server in the foreground and say how to point an SDK at it
    Serve(serve::Args),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Go through the tests that take hours, and write down what they have shown
    Torture(torture::Args),
    /// Write the generated `OpenAPI` contract
    Openapi,
    /// What CI runs: lint, test, test --ci
    Ci,
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    let project = Project::discover()?;
    match verb {
        Verb::Build(args) => build::run(&project, &args),
        Verb::Lint(args) => lint::run(&project, &args),
        Verb::Test(args) => test::run(&project, &args),
        Verb::VmTest(args) => vm_test::run(&project, &args),
        Verb::Demo => demo::run(&project),
        Verb::Serve(args) => serve::run(&project, &args),
        Verb::Bench(bench) => bench::run(&project, &bench),
        Verb::Torture(args) => torture::run(&project, &args),
        Verb::Openapi => openapi::write(&project),
        Verb::Ci => ci::run(&project),
    }
}
