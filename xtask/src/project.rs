//! Where the project is, where its build products go, and what Cargo knows of its packages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::invoke;

/// This checkout, as Cargo sees it.
pub(crate) struct Project {
    /// The workspace's folder.
    pub(crate) root: PathBuf,
    /// Where Cargo puts what it builds; `CARGO_TARGET_DIR` moves it.
    pub(crate) target: PathBuf,
    /// The workspace's own packages, as `cargo metadata` describes them.
    pub(crate) packages: Vec<Value>,
}

impl Project {
    /// Asks Cargo.
    pub(crate) fn discover() -> Result<Self> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let mut metadata = Command::new(cargo());
        metadata.args(["metadata", "--format-version=1", "--no-deps", "--manifest-path", manifest]);
        let answer: Value = serde_json::from_str(&invoke::text(&mut metadata)?)?;
        Ok(Self {
            root: path(&answer["workspace_root"])?,
            target: path(&answer["target_directory"])?,
            packages: answer["packages"].as_array().context("cargo metadata lists no packages")?.clone(),
        })
    }

    /// A Cargo command that runs in the workspace's folder.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(args).current_dir(&self.root);
        command
    }

    /// Every file that git tracks or would track, relative to the root.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&self.root);
        let listed = invoke::text(&mut git)?;
        let files = listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
        // A file that is deleted but not yet committed is still listed.
        Ok(files.filter(|file| self.root.join(file).is_file()).collect())
    }

    /// The target triple of this machine, such as `x86_64-unknown-linux-gnu`.
    pub(crate) fn host_triple(&self) -> Result<String> {
        let mut rustc = Command::new("rustc");
        rustc.arg("-vV").current_dir(&self.root);
        let version = invoke::text(&mut rustc)?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(host.context("rustc -vV names no host")?.to_owned())
    }
}

/// The Cargo that started us, so that a `+toolchain` on the command line is kept.
fn cargo() -> OsString {
    environment("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A variable of the environment.
pub(crate) fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn path(value: &Value) -> Result<PathBuf> {
    Ok(Path::new(value.as_str().context("cargo metadata lacks a path")?).to_owned())
}
