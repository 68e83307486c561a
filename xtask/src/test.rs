//! `xtask test`: installs what the tests need, builds the server they talk to, runs them all.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build::{self, Profile, TOOLBOX_BIN};
use crate::project::Project;
use crate::report::Report;
use crate::{invoke, setup, vm_test};

/// What `xtask test` takes.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Also the checks that take long, such as a file of 1 GiB
    #[arg(long)]
    ci: bool,
    /// A provider that must be reachable: its tests fail where they would be skipped
    #[arg(long)]
    live: Option<String>,
    /// Only the tests whose names contain this
    filter: Option<String>,
}

impl Args {
    /// Everything, as CI runs it.
    pub(crate) fn ci() -> Self {
        Self { ci: true, ..Self::default() }
    }
}

/// Runs the tests. The test runner's own summary comes last but for the table.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    refuse_absent_provider(args)?;
    let mut report = Report::default();
    let mut run = None;
    report.step("set-up", setup::tools);
    report.step("build", || prepare(project, args).map(|ready| run = Some(ready)));
    if let Some(run) = run {
        if args.filter.is_none() {
            report.step("doctests", || run.doctests());
            report.step("downstream crate", || run.downstream());
        }
        report.step("tests", || run.tests());
        run.print_skipped()?;
        if args.ci && args.filter.is_none() {
            report.step("vm-test", || vm_test::run(project, &vm_test::Args::default()));
        }
    }
    report.finish()
}

/// Asking for a provider that this build does not have must not look like a pass.
fn refuse_absent_provider(args: &Args) -> Result<()> {
    match args.live.as_deref() {
        None | Some("container") => Ok(()),
        Some(name) => bail!("provider `{name}` is not available: this build has `container` only"),
    }
}

fn prepare<'a>(project: &'a Project, args: &'a Args) -> Result<Run<'a>> {
    let venv = setup::venv(project)?;
    let server = build::server(project, Profile::Debug)?;
    let skipped = project.target.join("skipped-tests.txt");
    std::fs::write(&skipped, "")?;
    Ok(Run { project, args, venv, server, skipped })
}

/// One run, with all that it needs made ready.
struct Run<'a> {
    project: &'a Project,
    args: &'a Args,
    venv: PathBuf,
    server: PathBuf,
    /// Tests that cannot run here add a line with their reason.
    skipped: PathBuf,
}

impl Run<'_> {
    fn tests(&self) -> Result<()> {
        let mut cargo = if invoke::exists("cargo-nextest") {
            self.project.cargo(&["nextest", "run", "--workspace", "--config-file", "tests/nextest.toml"])
        } else {
            self.project.cargo(&["test", "--workspace", "--lib", "--bins", "--tests"])
        };
        cargo.args(&self.args.filter);
        invoke::run(self.environment(&mut cargo)?)
    }

    fn doctests(&self) -> Result<()> {
        invoke::run(self.environment(&mut self.project.cargo(&[
            "test",
            "--workspace",
            "--doc",
            "--quiet",
        ]))?)
    }

    /// A crate outside the workspace, built as a downstream project would be.
    fn downstream(&self) -> Result<()> {
        let mut cargo = self.project.cargo(&["test", "--quiet", "--manifest-path"]);
        cargo.arg(self.project.root.join("tests/fixtures/downstream/Cargo.toml"));
        invoke::run(cargo.env("CARGO_TARGET_DIR", self.project.target.join("fixtures")))
    }

    /// What the tests read; the toolbox is named so that Cargo finds the server built already.
    fn environment<'c>(&self, cargo: &'c mut Command) -> Result<&'c mut Command> {
        cargo.env(TOOLBOX_BIN, build::toolbox_path(self.project)?);
        cargo.env("SANDGATE_BIN", &self.server).env("SANDGATE_TEST_VENV", &self.venv);
        cargo.env("SANDGATE_TEST_SKIPPED", &self.skipped);
        if self.args.ci {
            cargo.env("SANDGATE_TEST_LONG", "1");
        }
        if let Some(provider) = &self.args.live {
            cargo.env("SANDGATE_LIVE", provider);
        }
        Ok(cargo)
    }

    fn print_skipped(&self) -> Result<()> {
        let skipped = std::fs::read_to_string(&self.skipped)?;
        let mut lines: Vec<_> = skipped.lines().collect();
        lines.sort_unstable();
        for line in lines {
            println!("skipped: {line}");
        }
        Ok(())
    }
}
