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

/// `sandgate serve` by `binary`, on a free port. Nothing of our environment reaches it, and it dies with the test.
pub(crate) fn command(binary: &OsStr, data: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(binary).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
    ]);
    command.arg(data).env_clear().env("PATH", PATH);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
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
