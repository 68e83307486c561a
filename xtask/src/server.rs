//! A server of our own, started for one verb and stopped with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::invoke;

/// A server that runs as our child and ends with us.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, such as `http://127.0.0.1:4321`.
    pub(crate) url: String,
    /// The key of its first organization.
    pub(crate) key: String,
    // Held open: a server that writes into a closed pipe would fail.
    _stdout: BufReader<ChildStdout>,
}

/// Where and how loud a server is to be.
pub(crate) struct Settings<'a> {
    /// Address to listen on; port 0 takes a free one.
    pub(crate) listen: &'a str,
    /// What it logs.
    pub(crate) log: &'a str,
}

impl Server {
    /// Starts `binary` and returns once it answers.
    pub(crate) fn start(binary: &Path, data: &Path, settings: &Settings) -> Result<Self> {
        // Should we be killed, the server is told to stop as well.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(binary);
        command.args(["serve", "--listen", settings.listen, "--data-dir"]).arg(data);
        command.env("SANDGATE_LOG", settings.log);
        // What the caller's shell says of another server is not meant for this one.
        for name in ["SANDGATE_API_KEY", "SANDGATE_CONFIG", "SANDGATE_PUBLIC_URL"] {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.context("the server could not be started")?;
        let mut stdout = BufReader::new(child.stdout.take().context("the server has an output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("sandgate listening on ") else {
            let status = child.wait()?;
            bail!("the server ended with {status} before it was ready");
        };
        let key = std::fs::read_to_string(data.join("api-key")).context("the server left no key")?;
        Ok(Self { child, url: url.to_owned(), key: key.trim().to_owned(), _stdout: stdout })
    }

    /// Waits for it to end by itself or by a signal that the terminal sends to both of us.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(self) -> Result<()> {
        let kill = format!("kill -TERM {}", self.child.id());
        invoke::run(Command::new("sh").args(["-c", &kill]))?;
        self.wait()
    }
}
