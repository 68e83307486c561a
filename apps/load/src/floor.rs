//! What no sandbox can be faster than: the same shell, started by us on the host; and the kernel's part of a container.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::engine::Measured;
use crate::series::Series;

/// Starts bash, gives it `true` on its input, and waits for its end.
pub(crate) async fn bash() -> Result<Duration> {
    let start = Instant::now();
    let mut command = Command::new("/bin/bash");
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut bash = command.spawn().context("bash could not be started")?;
    let mut input = bash.stdin.take().context("bash has an input")?;
    input.write_all(b"true\n").await?;
    drop(input);
    let status = bash.wait().await?;
    ensure!(status.success(), "bash ended with {status}");
    Ok(start.elapsed())
}

/// What one `clone3` with every namespace, an exec of a small program and its end take: the server's own binary does it,
/// since only its runtime may, and prints the microseconds of each as a JSON array.
pub(crate) fn clone3(server: &Path, samples: u32) -> Result<Measured> {
    let mut command = std::process::Command::new(server);
    let ended = command.args(["__floor", &samples.to_string()]).stdin(Stdio::null()).output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Ok(Err(format!(
            "this server cannot measure it: {}",
            said.lines().next().unwrap_or_default()
        )));
    }
    let all: Vec<f64> = serde_json::from_slice(&ended.stdout).context("`__floor` prints a JSON array")?;
    let mut series = Series::new()?;
    for microseconds in all {
        series.add(Duration::from_secs_f64(microseconds / 1e6));
    }
    Ok(Ok(series))
}
