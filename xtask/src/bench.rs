//! `xtask bench`: builds what is measured as it is shipped, and starts the load generator.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::build::{self, Profile};
use crate::project::Project;
use crate::{invoke, setup};

/// What can be measured.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// One client, one sandbox at a time: how long does each step take?
    Micro(Micro),
    /// Many sandboxes in several ways; `bench load --help` tells of its flags
    Load(Load),
    /// What changed between two JSON files of `load`
    Compare(Compare),
    /// The ledger alone, on the disk of the current directory
    Ledger,
}

/// What `xtask bench micro` takes.
#[derive(clap::Args)]
pub(crate) struct Micro {
    /// Sandboxes to create and delete
    #[arg(long, default_value_t = 200)]
    samples: u32,
    /// Also write the numbers to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What `xtask bench load` takes: the flags of `sandgate-load load`, which knows what they mean.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Load {
    /// `--scenario NAME`…, `--quick`, `--seed N`, `--repeat N`, `--idle N`, `--json FILE`, `--html FILE` and others
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
}

/// What `xtask bench compare` takes.
#[derive(clap::Args)]
pub(crate) struct Compare {
    /// The run before
    before: PathBuf,
    /// The run after
    after: PathBuf,
}

/// Measures.
pub(crate) fn run(project: &Project, bench: &Bench) -> Result<()> {
    invoke::run(&mut match bench {
        Bench::Micro(asked) => micro(project, asked)?,
        Bench::Load(asked) => load(project, asked)?,
        Bench::Compare(files) => compare(project, files)?,
        Bench::Ledger => ledger(project),
    })
}

fn micro(project: &Project, asked: &Micro) -> Result<Command> {
    let mut micro = measured(project, "micro")?;
    micro.args(["--samples", &asked.samples.to_string()]);
    if let Some(file) = &asked.json {
        micro.arg("--json").arg(file);
    }
    Ok(micro)
}

fn load(project: &Project, asked: &Load) -> Result<Command> {
    let mut load = measured(project, "load")?;
    load.args(["--commit", &commit(project)?]).args(&asked.flags);
    Ok(load)
}

fn compare(project: &Project, files: &Compare) -> Result<Command> {
    let mut compare = generator(project)?;
    compare.arg("compare").arg(&files.before).arg(&files.after);
    Ok(compare)
}

fn ledger(project: &Project) -> Command {
    project.cargo(&["run", "--release", "-p", "sandgate-infrastructure", "--example", "bench_ledger"])
}

/// The generator with a verb that needs a server to measure.
fn measured(project: &Project, verb: &str) -> Result<Command> {
    setup::tools()?;
    let server = build::server(project, Profile::Release)?;
    let mut load = generator(project)?;
    load.arg(verb).arg("--server").arg(server);
    Ok(load)
}

fn generator(project: &Project) -> Result<Command> {
    invoke::run(&mut project.cargo(&["build", "--workspace", "--release", "--bin", "sandgate-load"]))?;
    Ok(Command::new(project.target.join("release/sandgate-load")))
}

/// The commit that is built, and whether files differ from it.
pub(crate) fn commit(project: &Project) -> Result<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--exclude", "*"]).current_dir(&project.root);
    let said = invoke::output(&mut git)?;
    // A copy of the files without their history can be measured as well.
    let known = said.status.success();
    Ok(if known { String::from_utf8(said.stdout)?.trim().to_owned() } else { "unknown".to_owned() })
}
