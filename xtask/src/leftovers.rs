//! What a server could have left on this machine, looked for from outside once it has stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long the process that holds sandboxes may take to notice that nobody needs it any more.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until nothing of the server with this data directory and instance is left; an error lists what is.
pub(crate) fn none(data: &Path, instance: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = find(data, instance);
        if found.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("left behind:\n  {}", found.join("\n  "));
        }
        std::thread::sleep(PAUSE);
    }
}

fn find(data: &Path, instance: &str) -> Vec<String> {
    let data = data.to_string_lossy();
    let cgroup = format!("sandgate-{instance}");
    let mut found = processes(&data, &cgroup);
    found.extend(cgroups(Path::new("/sys/fs/cgroup"), &cgroup));
    found.extend(loops(&data));
    found.extend(lines("/proc/self/mountinfo", &data));
    found.extend(lines("/proc/net/unix", &data));
    found
}

/// Processes that name the data directory, or live in the server's control groups.
fn processes(data: &str, cgroup: &str) -> Vec<String> {
    let of_server = |process: &PathBuf| {
        let text = |name: &str| fs::read(process.join(name)).unwrap_or_default();
        let says = |bytes: Vec<u8>, word: &str| String::from_utf8_lossy(&bytes).contains(word);
        says(text("cmdline"), data) || says(text("cgroup"), cgroup)
    };
    let own = PathBuf::from(format!("/proc/{}", std::process::id()));
    let all =
        entries("/proc").into_iter().filter(|process| process.join("cmdline").exists() && *process != own);
    all.filter(of_server).map(|process| format!("process {}", process.display())).collect()
}

/// Folders of that name in any hierarchy. Ours lie near the root, so a shallow look is enough.
fn cgroups(root: &Path, name: &str) -> Vec<String> {
    let hierarchies = entries(root).into_iter().chain([root.to_owned()]);
    let ours = hierarchies.map(|hierarchy| hierarchy.join(name)).filter(|folder| folder.is_dir());
    ours.map(|folder| format!("cgroup {}", folder.display())).collect()
}

fn loops(data: &str) -> Vec<String> {
    let devices = entries("/sys/block").into_iter();
    let ours = devices.filter(|device| {
        fs::read_to_string(device.join("loop/backing_file")).is_ok_and(|file| file.starts_with(data))
    });
    ours.map(|device| format!("loop device {}", device.display())).collect()
}

/// Lines of a kernel table that name the data directory.
fn lines(table: &str, data: &str) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap_or_default();
    text.lines().filter(|line| line.contains(data)).map(|line| format!("{table}: {line}")).collect()
}

fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
