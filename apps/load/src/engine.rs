//! Other engines that run `true` in a container on this machine, on the host's own `/usr`: create, run and remove in one
//! command; and what they have in common.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::series::Series;

/// Whether an engine could be measured, and if not, why.
pub(crate) type Measured = Result<Series, String>;

/// The folders that a root filesystem on the host's `/usr` links into it.
const LINKS: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// `crun run` of a bundle with the engine's own defaults.
pub(crate) fn crun(samples: u32) -> Result<Measured> {
    if !installed("crun") {
        return Ok(Err("not installed".to_owned()));
    }
    let bundle = bundle()?;
    if Path::new(UNIFIED).is_dir() {
        return measure_without_unified(bundle.path(), samples);
    }
    let name = format!("sandgate-bench-{}", std::process::id());
    let mut run = Command::new("crun");
    run.arg("run").arg("--bundle").arg(bundle.path()).arg(name);
    measure(&mut run, samples)
}

/// Where a machine with both versions of control groups has the second. crun refuses to run on such a machine.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Prints the microseconds of each run. A shell does it, since only one process is to lose sight of the hierarchy.
const WITHOUT_UNIFIED: &str = r#"
umount "$1" || exit
for number in $(seq 0 "$3"); do
    start=${EPOCHREALTIME/[.,]/}
    crun run --bundle "$2" "sandgate-bench-$$-$number" </dev/null >/dev/null || exit
    echo $((${EPOCHREALTIME/[.,]/} - start))
done
"#;

/// Measures crun in a mount namespace that lacks the second hierarchy. The first run is for nothing, as elsewhere.
fn measure_without_unified(bundle: &Path, samples: u32) -> Result<Measured> {
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "bash", "-c", WITHOUT_UNIFIED, "bash", UNIFIED]);
    let ended = output(shell.arg(bundle).arg(samples.to_string()))?;
    if !ended.status.success() {
        return Ok(Err(cannot_run(&ended)));
    }
    let mut series = Series::new()?;
    for line in String::from_utf8(ended.stdout)?.lines().skip(1) {
        series.add(Duration::from_micros(line.parse()?));
    }
    Ok(Ok(series))
}

/// Runs it once for nothing and then `samples` times.
fn measure(command: &mut Command, samples: u32) -> Result<Measured> {
    let first = output(command)?;
    if !first.status.success() {
        return Ok(Err(cannot_run(&first)));
    }
    let mut series = Series::new()?;
    for _ in 0..samples {
        let start = Instant::now();
        let status = output(command)?.status;
        series.add(start.elapsed());
        ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    }
    Ok(Ok(series))
}

fn cannot_run(ended: &Output) -> String {
    format!("cannot run here: {}", String::from_utf8_lossy(&ended.stderr).trim())
}

/// A folder with a root filesystem and a configuration that crun accepts.
fn bundle() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    skeleton(&folder.path().join("rootfs"))?;
    let specified = output(Command::new("crun").arg("spec").current_dir(folder.path()))?;
    ensure!(specified.status.success(), "crun spec ended with {}", specified.status);
    let file = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
    config["process"]["args"] = json!(["/usr/bin/true"]);
    config["process"]["terminal"] = json!(false);
    let usr = json!({ "destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"] });
    config["mounts"].as_array_mut().context("crun's configuration has mounts")?.push(usr);
    fs::write(file, config.to_string())?;
    Ok(folder)
}

fn skeleton(root: &Path) -> Result<()> {
    for folder in ["usr", "proc", "dev", "sys", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for name in LINKS {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    Ok(())
}

/// The same root filesystem without a configuration, as a tar archive.
pub(crate) fn archive() -> Result<Vec<u8>> {
    let root = tempfile::tempdir()?;
    skeleton(root.path())?;
    let packed = output(Command::new("tar").arg("-C").arg(root.path()).args(["-cf", "-", "."]))?;
    ensure!(packed.status.success(), "tar ended with {}", packed.status);
    Ok(packed.stdout)
}

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    !matches!(found, Err(error) if error.kind() == ErrorKind::NotFound)
}

fn output(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output();
    output.with_context(|| format!("{} could not be started", program.display()))
}
