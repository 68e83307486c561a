//! `xtask demo`: a real package's own tests, run in a real sandbox, and nothing left behind.

mod api;
mod package;
mod timing;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::build::{self, Profile};
use crate::project::Project;
use crate::server::{Server, Settings};
use crate::{leftovers, setup};

use self::api::{Api, Sandbox};
use self::package::Package;
use self::timing::Timings;

/// Plays it from the build to the last check. Fails unless the tests inside passed and everything is gone.
pub(crate) fn run(project: &Project) -> Result<()> {
    setup::tools()?;
    let binary = build::server(project, Profile::Release)?;
    let package = package::fetch(&project.target.join("demo"))?;
    let scratch = Scratch::new()?;
    let data = scratch.0.join("data");
    let server = Server::start(&binary, &data, &Settings { listen: "127.0.0.1:0", log: "warn" })?;
    let api = Api::new(&server, &scratch.0)?;
    let instance = api.instance()?;
    let played = play(&api, &package);
    server.stop()?;
    leftovers::none(&data, &instance)?;
    scratch.remove()?;
    let exit_code = played?;
    println!("nothing is left: no process, mount, cgroup, loop device, socket or file");
    ensure!(exit_code == 0, "the tests of {} ended with {exit_code}", package.name);
    Ok(())
}

/// Creates, works, deletes; the delete happens however the work ended. Returns the tests' exit code.
fn play(api: &Api, package: &Package) -> Result<i64> {
    let mut timings = Timings::default();
    let sandbox = timings.note("create", api.create()?);
    println!("sandbox {} is started", sandbox.id);
    let worked = work(api, &sandbox, package, &mut timings);
    timings.note("delete", api.delete(&sandbox)?);
    ensure!(!api.exists(&sandbox)?, "the sandbox answers after it was deleted");
    timings.print();
    worked
}

/// Brings the package in, unpacks it, and runs its tests.
fn work(api: &Api, sandbox: &Sandbox, package: &Package, timings: &mut Timings) -> Result<i64> {
    let first = timings.note("first command", api.execute(sandbox, "true")?);
    ensure!(first.exit_code == 0, "`true` ended with {}", first.exit_code);
    let name = file_name(&package.archive)?;
    timings.note("upload", api.upload(sandbox, &package.archive, &name)?);
    let unpacked = timings.note("unpack", api.execute(sandbox, &format!("tar -xzf '{name}'"))?);
    ensure!(unpacked.exit_code == 0, "the archive could not be unpacked: {}", unpacked.result);
    println!("running the tests of {} inside", package.name);
    timings.measure("tests", || api.follow(sandbox, &format!("cd '{}' && {}", package.name, package.tests)))
}

fn file_name(path: &Path) -> Result<String> {
    Ok(path.file_name().context("the archive has a name")?.to_string_lossy().into_owned())
}

/// A folder of our own that goes when we do.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("sandgate-demo-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// Removes it; afterwards there is nothing for the drop to do.
    fn remove(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.0).with_context(|| format!("{} cannot be removed", self.0.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.exists() {
            self.remove().unwrap_or_else(|error| eprintln!("{error:#}"));
        }
    }
}
