//! `xtask openapi`: the contract that the server generates from its own routes, kept in `specs/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::{self, Profile};
use crate::invoke;
use crate::project::Project;

const CONTRACT: &str = "specs/001-sandbox-service/contracts/sandbox-service.openapi.yaml";

/// Writes the contract.
pub(crate) fn write(project: &Project) -> Result<()> {
    let file = file(project);
    std::fs::create_dir_all(file.parent().context("the contract has a folder")?)?;
    std::fs::write(&file, generated(project)?)?;
    println!("wrote {CONTRACT}");
    Ok(())
}

/// Fails if the kept contract is not what the server generates today.
pub(crate) fn check(project: &Project) -> Result<()> {
    let kept =
        std::fs::read_to_string(file(project)).with_context(|| format!("{CONTRACT} cannot be read"))?;
    let current = kept == generated(project)?;
    ensure!(current, "{CONTRACT} is out of date; `cargo xtask openapi` writes it anew");
    Ok(())
}

fn generated(project: &Project) -> Result<String> {
    let server = build::server(project, Profile::Debug)?;
    invoke::text(Command::new(server).arg("openapi"))
}

fn file(project: &Project) -> PathBuf {
    project.root.join(CONTRACT)
}
