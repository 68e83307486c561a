//! `xtask bench`: builds what is measured as it is shipped, and starts the load generator.

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

/// Measures.
pub(crate) fn run(project: &Project, bench: &Bench) -> Result<()> {
    let Bench::Micro(micro) = bench;
    setup::tools()?;
    let server = build::server(project, Profile::Release)?;
    invoke::run(&mut project.cargo(&["build", "--workspace", "--release", "--bin", "sandgate-load"]))?;
    let mut load = Command::new(project.target.join("release/sandgate-load"));
    load.arg("micro").arg("--server").arg(server).args(["--samples", &micro.samples.to_string()]);
    if let Some(file) = &micro.json {
        load.arg("--json").arg(file);
    }
    invoke::run(&mut load)
}
