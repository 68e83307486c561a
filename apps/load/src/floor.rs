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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// What a server that answers `__floor` with this script is measured as.
    fn floor(script: &str) -> Measured {
        let folder = tempfile::tempdir().unwrap();
        let server = folder.path().join("server");
        std::fs::write(&server, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&server, std::fs::Permissions::from_mode(0o700)).unwrap();
        clone3(&server, 3).unwrap()
    }

    #[test]
    fn the_floor_is_what_the_server_prints_and_absent_where_it_cannot() {
        let measured = floor("test \"$1 $2\" = '__floor 3' && echo '[700, 710.5, 2000]'").unwrap();
        assert!((measured.summary().p50 - 0.71).abs() < 0.01, "{:?}", measured.summary());
        let refused = floor("echo 'no such thing' >&2; exit 2").err().unwrap();
        assert!(refused.contains("no such thing"), "{refused}");
    }
}
