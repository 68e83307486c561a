//! Reaching the spawner: the one that lives, or a new one; and making sure that it is the program that we would start.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::{CALL_LIMIT, Spawner, is_loss, misfit};
use crate::protocol::{self, Reply, Request};
use crate::{RuntimeError, SPAWNER_ARG, rendezvous};

/// How long a started spawner may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// After so long a silence it is asked whether the spawner runs at all.
const SILENCE: Duration = Duration::from_millis(300);

impl Spawner {
    /// A connection that has been greeted, to a spawner that is started if need be.
    pub(super) fn open(&self) -> Result<OwnedFd, RuntimeError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.dial() {
                Err(RuntimeError::SpawnerLost) => {}
                other => return other,
            }
            if Instant::now() > deadline {
                return Err(RuntimeError::SpawnerLost);
            }
            // Only one of several starters gets the lock; the others find its socket in the next round.
            if !self.start()? {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// A greeted connection to the spawner that lives now; `SpawnerLost` if there is none, or it is just leaving.
    fn dial(&self) -> Result<OwnedFd, RuntimeError> {
        let connection = match rendezvous::connect(self.run_dir.as_fd()) {
            Ok(connection) => connection,
            Err(error) if is_loss(&error) => return Err(RuntimeError::SpawnerLost),
            Err(error) => return Err(RuntimeError::io("connect to the spawner")(error)),
        };
        for (direction, limit) in [(Timeout::Recv, SILENCE), (Timeout::Send, CALL_LIMIT)] {
            set_socket_timeout(&connection, direction, Some(limit))
                .map_err(RuntimeError::io("limit the time of calls to the spawner"))?;
        }
        self.greet(connection)
    }

    /// Makes sure that both speak the same version, and that the spawner is the program that we would start: an older one
    /// goes on as ours.
    fn greet(&self, connection: OwnedFd) -> Result<OwnedFd, RuntimeError> {
        let (connection, version, build) = self.hello(connection)?;
        let ours = rendezvous::build_of(&self.options.program)
            .map_err(RuntimeError::io("examine the spawner's program"))?;
        if version > protocol::VERSION {
            return Err(newer(version));
        }
        if version == protocol::VERSION && build == ours {
            return Ok(connection);
        }
        let connection = self.hand_over(connection, version)?;
        match self.hello(connection)? {
            (connection, protocol::VERSION, _) => Ok(connection),
            (_, version, _) => Err(newer(version)),
        }
    }

    fn hello(&self, connection: OwnedFd) -> Result<(OwnedFd, u32, String), RuntimeError> {
        let hello = Request::Hello { version: protocol::VERSION };
        let (connection, received) = self.exchange(connection, &hello, &[])?;
        match received.message {
            Reply::Hello { version, build } => Ok((connection, version, build)),
            Reply::Failed(error) => Err(error),
            other => Err(misfit(&other)),
        }
    }

    /// Has the spawner go on as our program. If it cannot and speaks our version, it is as good as it is.
    fn hand_over(&self, connection: OwnedFd, version: u32) -> Result<OwnedFd, RuntimeError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let program = rustix::fs::open(&self.options.program, flags, Mode::empty())
            .map_err(RuntimeError::io("open the spawner's program"))?;
        let (connection, received) = self.exchange(connection, &Request::TakeOver, &[program.as_fd()])?;
        match received.message {
            Reply::Done => Ok(connection),
            Reply::Failed(_) if version == protocol::VERSION => Ok(connection),
            Reply::Failed(error) => Err(error),
            other => Err(misfit(&other)),
        }
    }

    /// Starts a spawner and waits until it serves. `false` if it is worth another try: another one holds the lock of
    /// the run directory, or somebody has killed this one.
    fn start(&self) -> Result<bool, RuntimeError> {
        let output = Command::new(&self.options.program)
            .arg0("sandgate")
            .arg(SPAWNER_ARG)
            .arg(&self.options.run_dir)
            .arg(&self.options.instance)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(RuntimeError::io("start the spawner"))?;
        match output.status.code() {
            Some(0) => Ok(true),
            // Without a code somebody has killed it, which says nothing about the next one.
            Some(rendezvous::EXIT_BUSY) | None => Ok(false),
            Some(_) => Err(start_failure(&output)),
        }
    }
}

/// Opens the run directory and checks that nobody else can put a socket there.
pub(super) fn open_run_dir(path: &Path) -> Result<OwnedFd, RuntimeError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir =
        rustix::fs::open(path, flags, Mode::empty()).map_err(RuntimeError::io("open the run directory"))?;
    let stat = rustix::fs::fstat(&dir).map_err(RuntimeError::io("examine the run directory"))?;
    let ours = stat.st_uid == rustix::process::geteuid().as_raw();
    let private = !Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO);
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && ours && private {
        return Ok(dir);
    }
    Err(RuntimeError::InvalidSpec(format!(
        "the run directory {} must be ours with mode 0700",
        path.display()
    )))
}

fn newer(version: u32) -> RuntimeError {
    let ours = protocol::VERSION;
    RuntimeError::Refused(format!(
        "it is of a newer version ({version}, and this program speaks {ours}): use the newer program, or delete all \
         sandboxes with it first"
    ))
}

/// A spawner that cannot start writes its error to its standard error, as the protocol would carry it.
fn start_failure(output: &Output) -> RuntimeError {
    serde_json::from_slice(&output.stderr).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&output.stderr);
        let why = if text.trim().is_empty() { "it did not say why" } else { text.trim() };
        RuntimeError::Refused(format!("it did not start ({}): {why}", output.status))
    })
}
