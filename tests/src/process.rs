//! The server's process: started, asked to stop, killed, always by its own id.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_until;

/// A start may have to make the first disk of its size.
const START: Duration = Duration::from_secs(30);

/// A server that runs and has said where.
pub(crate) struct Running {
    child: Child,
    pub(crate) url: String,
}

/// Where programs are found.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The binary under test.
pub fn binary() -> OsString {
    crate::setting("SANDGATE_BIN")
        .expect("SANDGATE_BIN names the server: run the tests with `cargo xtask test`")
}

/// In a mount namespace of its own, takes the cgroup controller `$1` out of sight and becomes the rest of its arguments.
/// That is what a host looks like that was booted without it.
const HIDE: &str = r#"set -e
point=$(awk -v name="$1" '$3 == "cgroup" && ("," $4 ",") ~ ("," name ",") { print $2 }' /proc/self/mounts)
if [ -n "$point" ]; then
    umount "$point"
else
    root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
    less=$(mktemp)
    sed "s/\b$1\b//" "$root/cgroup.controllers" > "$less"
    mount --bind "$less" "$root/cgroup.controllers"
    rm "$less"
fi
shift
exec "$@""#;

/// The binary under test, to be given its arguments. It does not see the cgroup controller `hidden`.
pub fn sandgate(hidden: Option<&str>) -> Command {
    program(&binary(), hidden)
}

/// Nothing of our environment reaches it, and it dies with the test.
fn program(binary: &OsStr, hidden: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(controller) = hidden {
        command.args(["unshare", "--mount", "sh", "-c", HIDE, "sh", controller]);
    }
    command.arg(binary).env_clear().env("PATH", PATH);
    command.stdin(Stdio::null());
    command
}

/// `sandgate serve` by `binary`, on a free port.
pub(crate) fn command(binary: &OsStr, data: &Path, hidden: Option<&str>) -> Command {
    let mut command = program(binary, hidden);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).stdout(Stdio::piped());
    command
}

/// Processes that name `folder` in their arguments: servers, and what holds their sandboxes.
pub fn processes_of(folder: &Path) -> Vec<u32> {
    let name = folder.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names_it = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&name)
    };
    pids.filter(names_it).collect()
}

impl Running {
    /// Waits for the one line that says where the server listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("the server has an output");
        let (sender, lines) = mpsc::channel();
        // Reads on until the end, so that the server never writes into a closed pipe.
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let line = lines.recv_timeout(START).unwrap_or_else(|_| {
            drop(child.kill());
            panic!("the server was not ready: {:?}", child.wait());
        });
        let url = line.strip_prefix("sandgate listening on ").unwrap_or_else(|| panic!("an address: {line}"));
        Self { child, url: url.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        kill_process(self.rustix_pid(), Signal::TERM).expect("the server can be signalled");
        let ended = wait_until(|| self.child.try_wait().expect("the server is our child").is_some());
        if !ended {
            drop(self.child.kill());
            panic!("the server did not stop when it was asked to");
        }
        self.child.wait().expect("the server is our child")
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server is our child");
    }

    fn rustix_pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).expect("a process id is not zero")
    }
}
