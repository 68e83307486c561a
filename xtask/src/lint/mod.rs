//! `xtask lint`: each check is a property of the repository. A new one is a function and a line in `run`.

mod edges;
mod manifests;
mod release;
mod sources;
mod text;

use anyhow::{Result, bail};

use crate::project::Project;
use crate::report::Report;
use crate::{invoke, openapi};

/// What `xtask lint` takes.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Format the code and write generated files anew instead of complaining
    #[arg(long)]
    fix: bool,
}

/// Runs every check, goes on after a failure, and fails if one failed.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let mut report = Report::default();
    report.step("format", || format(project, args.fix));
    report.step("layers", || none(&edges::offenders(project)));
    report.step("lint tables", || none(&manifests::offenders(project)?));
    report.step("sources", || none(&sources::offenders(project)?));
    report.step("text", || none(&text::offenders(project)?));
    report.step("release build", || none(&release::offenders(project)?));
    report.step("clippy", || clippy(project));
    report.step("docs", || docs(project));
    report.step("openapi", || if args.fix { openapi::write(project) } else { openapi::check(project) });
    report.finish()
}

/// A check that lists offenders passes when the list is empty.
fn none(offenders: &[String]) -> Result<()> {
    if offenders.is_empty() {
        return Ok(());
    }
    bail!("\n  {}", offenders.join("\n  "))
}

fn format(project: &Project, fix: bool) -> Result<()> {
    let mut cargo = project.cargo(&["fmt", "--all"]);
    if !fix {
        cargo.arg("--check");
    }
    invoke::run(&mut cargo)
}

fn clippy(project: &Project) -> Result<()> {
    let mut cargo = project.cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--quiet"]);
    invoke::run(cargo.args(["--", "-D", "warnings"]))
}

fn docs(project: &Project) -> Result<()> {
    let mut cargo =
        project.cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    invoke::run(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}
