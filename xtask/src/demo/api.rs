//! The calls of the demo, made as anybody would make them from a shell: with curl.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::timing::Timed;
use crate::invoke;
use crate::server::Server;

/// How often the output of a command that runs in the background is fetched.
const POLL: Duration = Duration::from_millis(100);

/// A server and the right to use it.
pub(super) struct Api {
    url: String,
    /// Holds the key, so that it is in no process list.
    config: PathBuf,
}

/// A sandbox that was created.
pub(super) struct Sandbox {
    pub(super) id: String,
    toolbox: String,
}

/// How a command ended.
pub(super) struct Outcome {
    pub(super) exit_code: i64,
    pub(super) result: String,
}

impl Api {
    pub(super) fn new(server: &Server, scratch: &Path) -> Result<Self> {
        let config = scratch.join("curl.conf");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&config)?;
        writeln!(file, "header = \"Authorization: Bearer {}\"", server.key)?;
        Ok(Self { url: server.url.clone(), config })
    }

    /// The server's own name for its installation.
    pub(super) fn instance(&self) -> Result<String> {
        let health = self.json("GET", &format!("{}/health", self.url), None)?;
        text(&health.value, "instance")
    }

    pub(super) fn create(&self) -> Result<Timed<Sandbox>> {
        let body = json!({ "labels": { "made-by": "demo" } });
        let answer = self.json("POST", &format!("{}/api/sandbox", self.url), Some(&body))?;
        let (id, base) = (text(&answer.value, "id")?, text(&answer.value, "toolboxProxyUrl")?);
        let toolbox = format!("{}/{id}", base.trim_end_matches('/'));
        Ok(Timed { value: Sandbox { id, toolbox }, took: answer.took })
    }

    pub(super) fn delete(&self, sandbox: &Sandbox) -> Result<Timed<()>> {
        let answer = self.json("DELETE", &self.of(sandbox), None)?;
        Ok(Timed { value: (), took: answer.took })
    }

    pub(super) fn exists(&self, sandbox: &Sandbox) -> Result<bool> {
        let mut curl = self.curl("GET", &self.of(sandbox));
        curl.args(["--output", "/dev/null", "--write-out", "%{http_code}"]);
        Ok(invoke::text(&mut curl)?.trim() != "404")
    }

    pub(super) fn execute(&self, sandbox: &Sandbox, command: &str) -> Result<Timed<Outcome>> {
        let url = format!("{}/process/execute", sandbox.toolbox);
        let answer = self.json("POST", &url, Some(&json!({ "command": command })))?;
        let exit_code = answer.value["exitCode"].as_i64().context("the answer has no exit code")?;
        let result = text(&answer.value, "result")?;
        Ok(Timed { value: Outcome { exit_code, result }, took: answer.took })
    }

    /// Sends a file from here to `name` in the sandbox's work directory.
    pub(super) fn upload(&self, sandbox: &Sandbox, file: &Path, name: &str) -> Result<Timed<()>> {
        let mut curl = self.curl("POST", &format!("{}/files/upload-v2?path={name}", sandbox.toolbox));
        curl.arg("--form").arg(format!("file=@{}", file.display()));
        let answer = answer(curl)?;
        Ok(Timed { value: (), took: answer.took })
    }

    /// Runs `command` in the background of the sandbox and prints what it writes while it writes it: a single
    /// `execute` answers only at the end. Returns its exit code.
    pub(super) fn follow(&self, sandbox: &Sandbox, command: &str) -> Result<i64> {
        let script = format!("({command}) >output 2>&1; echo $? >status.part; mv status.part status");
        let started = self.execute(sandbox, &format!("({script}) </dev/null >/dev/null 2>&1 &"))?.value;
        if started.exit_code != 0 {
            bail!("the command could not be started: {}", started.result);
        }
        let mut printed = 0;
        loop {
            // Asked before the output is fetched: what was written before the end is printed too.
            let status = self.execute(sandbox, "cat status 2>/dev/null || true")?.value.result;
            printed += self.print_from(sandbox, printed)?;
            if let Ok(code) = status.trim().parse() {
                return Ok(code);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Prints the output from the byte `start` on; returns how many bytes that were.
    fn print_from(&self, sandbox: &Sandbox, start: usize) -> Result<usize> {
        let mut curl = self.curl("GET", &format!("{}/files/download?path=output", sandbox.toolbox));
        let output = invoke::output(curl.arg("--fail"))?;
        // The file appears a moment after the command was started.
        let new = output.stdout.get(start..).filter(|_| output.status.success()).unwrap_or_default();
        let mut terminal = std::io::stdout().lock();
        terminal.write_all(new)?;
        terminal.flush()?;
        Ok(new.len())
    }

    fn json(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Timed<Value>> {
        let mut curl = self.curl(method, url);
        if let Some(body) = body {
            curl.args(["--header", "Content-Type: application/json", "--data-binary", &body.to_string()]);
        }
        let answer = answer(curl)?;
        let value = serde_json::from_str(&answer.value).with_context(|| format!("{url} answered no JSON"))?;
        Ok(Timed { value, took: answer.took })
    }

    fn curl(&self, method: &str, url: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "120", "--config"]).arg(&self.config);
        curl.args(["--request", method, url]).stdin(Stdio::null());
        curl
    }

    fn of(&self, sandbox: &Sandbox) -> String {
        format!("{}/api/sandbox/{}", self.url, sandbox.id)
    }
}

/// Runs `curl`; the time is curl's own, without the start of its process.
fn answer(mut curl: Command) -> Result<Timed<String>> {
    curl.args(["--fail-with-body", "--write-out", "\n%{time_total}"]);
    let output = invoke::output(&mut curl)?;
    let written = String::from_utf8(output.stdout).context("the answer is no UTF-8")?;
    let (body, seconds) = written.rsplit_once('\n').context("curl wrote no time")?;
    if !output.status.success() {
        bail!("{}{body}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Timed { value: body.to_owned(), took: Duration::from_secs_f64(seconds.trim().parse()?) })
}

fn text(value: &Value, key: &str) -> Result<String> {
    Ok(value[key].as_str().with_context(|| format!("the answer has no `{key}`: {value}"))?.to_owned())
}
