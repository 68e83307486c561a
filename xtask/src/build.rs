//! `xtask build`: the toolbox first, static and small, then the server that carries it inside.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::invoke;
use crate::project::{self, Project};

/// What `xtask build` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimised, as it is shipped
    #[arg(long)]
    release: bool,
}

/// How the server is compiled. The toolbox is always compiled as it is shipped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

/// Builds both and prints their paths.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let profile = if args.release { Profile::Release } else { Profile::Debug };
    println!("toolbox  {}", toolbox_path(project)?.display());
    println!("server   {}", server(project, profile)?.display());
    Ok(())
}

/// Builds the toolbox and the server; returns the server's path.
pub(crate) fn server(project: &Project, profile: Profile) -> Result<PathBuf> {
    let toolbox = toolbox(project)?;
    // Features are unified over the whole workspace, so that the tests' build finds all of this done.
    let mut cargo = project.cargo(&["build", "--workspace", "--bin", "sandgate"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    invoke::run(cargo.env(TOOLBOX_BIN, toolbox))?;
    let folder = if profile == Profile::Release { "release" } else { "debug" };
    present(project.target.join(folder).join("sandgate"))
}

/// The variable that tells the server's build which toolbox to embed.
pub(crate) const TOOLBOX_BIN: &str = "SANDGATE_TOOLBOX_BIN";

/// Builds the toolbox in a target folder of its own: its flags differ, and nothing else should be rebuilt for them.
fn toolbox(project: &Project) -> Result<PathBuf> {
    let folder = toolbox_folder(project);
    let triple = project.host_triple()?;
    let mut cargo = project.cargo(&["build", "-p", "sandgate-toolbox", "--profile", "toolbox"]);
    cargo.args(["--target", &triple, "--target-dir"]).arg(&folder);
    invoke::run(cargo.env("RUSTFLAGS", static_flags()))?;
    present(toolbox_path(project)?)
}

/// Where the toolbox is once it is built.
pub(crate) fn toolbox_path(project: &Project) -> Result<PathBuf> {
    let folder = toolbox_folder(project).join(project.host_triple()?);
    Ok(folder.join("toolbox/sandgate-toolbox"))
}

fn toolbox_folder(project: &Project) -> PathBuf {
    project.target.join("toolbox")
}

/// The sandbox's filesystem may hold any C library or none, so the toolbox brings its own.
fn static_flags() -> OsString {
    let mut flags = project::environment("RUSTFLAGS").unwrap_or_default();
    flags.push(" -C target-feature=+crt-static");
    flags
}

fn present(binary: PathBuf) -> Result<PathBuf> {
    ensure!(Path::new(&binary).is_file(), "the build left no {}", binary.display());
    Ok(binary)
}
