//! `xtask vm-test`: the runtime's own tests on other kernels than this machine's, each in a virtual machine that has
//! version 2 of the control groups and nothing else.

mod initramfs;
mod kernels;
mod machine;
mod results;
mod root;
mod tree;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::project::Project;
use crate::report::Report;
use crate::{invoke, setup};
use machine::Machine;
use results::Results;

/// What `xtask vm-test` takes.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only the newest kernel whose version begins with this, such as 6.1
    #[arg(long)]
    kernel: Option<String>,
    /// Only the tests whose names contain this
    filter: Option<String>,
}

/// What is left out: hundreds of creates, each under `strace`, take the better part of an hour in an emulator.
const TOO_SLOW: &str = "every_call_of_a_create_may_fail";

impl Args {
    /// The arguments of the test binary.
    fn choice(&self) -> Vec<String> {
        println!("left out here, since an emulator is too slow for it: {TOO_SLOW}");
        self.filter.iter().cloned().chain([format!("--skip={TOO_SLOW}")]).collect()
    }
}

/// Runs the tests on each kernel, whatever becomes of them on the others.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::virtual_machines()?;
    let folder = project.target.join("vm");
    std::fs::create_dir_all(&folder)?;
    // Held to the end: a second run waits for the first, and whatever is in the scratch folder then is of a killed one.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let scratch = scratch(&folder)?;
    let program = test_program(project)?;
    let choice = args.choice();
    let tests = names(&program, &choice)?;
    let kernels = kernels::obtain(&folder, scratch.path(), args.kernel.as_deref())?;
    let root = root::make(&program, &choice, scratch.path())?;
    let mut report = Report::default();
    for kernel in &kernels {
        let machine =
            Machine { kernel, root: &root, console: &folder.join(format!("{}.log", kernel.version)) };
        report.step(&format!("kernel {}", kernel.version), || test(&machine, &tests, scratch.path()));
    }
    report.finish()
}

/// A place for disks, which goes with the run.
fn scratch(folder: &Path) -> Result<TempDir> {
    const NAME: &str = "scratch";
    let left = folder.join(NAME);
    if left.exists() {
        std::fs::remove_dir_all(left)?;
    }
    Ok(tempfile::Builder::new().prefix(NAME).rand_bytes(0).tempdir_in(folder)?)
}

/// Boots one kernel and judges what the tests in it have said.
fn test(machine: &Machine, tests: &[String], scratch: &Path) -> Result<()> {
    let initramfs = initramfs::make(machine.kernel, scratch)?;
    let mut results = Results::default();
    let ended = machine.run(&initramfs, |line| {
        if let Some(shown) = results.take(line) {
            println!("{shown}");
        }
    });
    println!("{}", results.summary());
    ended
        .and_then(|()| results.judge(tests))
        .with_context(|| format!("the kernel's own messages are in {}", machine.console.display()))
}

/// Builds the test binary and returns where it is.
fn test_program(project: &Project) -> Result<PathBuf> {
    let mut cargo = project.cargo(&["test", "--workspace", "--test", "container", "--no-run", "--quiet"]);
    let messages = invoke::text(cargo.arg("--message-format=json-render-diagnostics"))?;
    let mut programs = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    programs.next().context("the build left no test binary")
}

/// The tests that must come to a good end.
fn names(program: &Path, choice: &[String]) -> Result<Vec<String>> {
    let text = invoke::text(Command::new(program).arg("--names").args(choice))?;
    Ok(text.lines().map(ToOwned::to_owned).collect())
}
