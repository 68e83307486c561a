//! A server of the benchmark's own, on a free port, with a data directory that goes with it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::api::Api;
use crate::installation::Installation;

const START: Duration = Duration::from_secs(30);

/// A server that runs. It is killed if it is dropped before it was stopped.
pub(crate) struct Server {
    child: Child,
    /// `HOST:PORT`
    pub(crate) authority: String,
    pub(crate) key: String,
    // Held open, so that the server never writes into a closed pipe.
    _stdout: BufReader<ChildStdout>,
    folder: TempDir,
}

impl Server {
    /// Starts `binary` and returns once it listens.
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sandgate-bench-").tempdir()?;
        let data = folder.path().join("data");
        let spawned = command(binary, &data).spawn();
        let mut child = spawned.with_context(|| format!("{} could not be started", binary.display()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("the server has an output")?);
        let mut line = String::new();
        tokio::time::timeout(START, stdout.read_line(&mut line))
            .await
            .context("the server is not ready")??;
        let authority = line.trim().strip_prefix("sandgate listening on http://");
        let authority = authority.with_context(|| format!("the server said `{line}`"))?.to_owned();
        let key = std::fs::read_to_string(data.join("api-key"))?.trim().to_owned();
        Ok(Self { child, authority, key, _stdout: stdout, folder })
    }

    /// Where its things are.
    pub(crate) async fn installation(&self) -> Result<Installation> {
        let instance = Api::new(self)?.instance().await?;
        Ok(Installation::new(&self.folder.path().join("data"), &instance, self.pid()?))
    }

    /// Asks it to stop and waits until it has. Its data directory stays for as long as what is returned.
    pub(crate) async fn stop(mut self) -> Result<TempDir> {
        let pid = Pid::from_raw(self.pid()?.cast_signed()).context("a process id is not zero")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait().await?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(self.folder)
    }

    /// The server that `cargo xtask test` has built.
    #[cfg(test)]
    pub(crate) async fn start_for_test() -> Self {
        let binary = std::env::var_os("SANDGATE_BIN");
        let binary = binary.expect("SANDGATE_BIN names the server: run the tests with `cargo xtask test`");
        Self::start(Path::new(&binary)).await.expect("a server")
    }

    fn pid(&self) -> Result<u32> {
        self.child.id().context("the server has ended by itself")
    }
}

fn command(binary: &Path, data: &Path) -> Command {
    // Should we be killed, the server is told to stop. It is we who are interrupted from a terminal: the server is still
    // needed to clear away what there is.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(binary).process_group(0);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    command.env("SANDGATE_LOG", "warn");
    // What the caller's shell says of another server is not meant for this one.
    for name in ["SANDGATE_API_KEY", "SANDGATE_CONFIG", "SANDGATE_PUBLIC_URL"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}
