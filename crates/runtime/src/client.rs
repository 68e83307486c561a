//! The client of the spawner: blocking calls over a few kept connections, and the start of a spawner when none lives.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::{Signal, pidfd_send_signal};

use crate::protocol::{self, Received, Reply, Request};
use crate::spec::{validate_name, validate_path};
use crate::watch::Watch;
use crate::{Container, ContainerSpec, ContainerStatus, Handles, RuntimeError, SPAWNER_ARG, rendezvous};

/// How long a started spawner may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long one call may take. Far above what any takes, so that only a broken spawner is given up.
const CALL_LIMIT: Duration = Duration::from_mins(1);

/// How often a call is made anew when the spawner dies over it.
const TRIES: usize = 4;

/// After so long a silence it is asked whether the spawner runs at all.
const SILENCE: Duration = Duration::from_millis(300);

/// Connections kept for later calls; more are opened and closed as needed.
const IDLE_CONNECTIONS: usize = 16;

/// Where the spawner is found, and how it is started.
#[derive(Clone, Debug)]
pub struct SpawnerOptions {
    /// Existing directory that is ours alone (0700); holds `spawner.sock` and `spawner.lock`.
    pub run_dir: PathBuf,
    /// Short name, `[a-z0-9]{1,16}`. The containers' cgroups lie in `sandgate-<instance>`.
    pub instance: String,
    /// The executable that runs [`crate::spawner_main`] when its first argument is [`SPAWNER_ARG`]; normally
    /// `/proc/self/exe`.
    pub program: PathBuf,
}

/// The client side of a spawner. Calls block, may come from many threads, and may all be repeated.
///
/// While one of these exists, the spawner stays.
#[derive(Debug)]
pub struct Spawner {
    options: SpawnerOptions,
    run_dir: OwnedFd,
    idle: Mutex<Vec<OwnedFd>>,
}

impl Spawner {
    /// Connects to the spawner of this run directory, and starts one if none answers.
    pub fn connect(options: SpawnerOptions) -> Result<Self, RuntimeError> {
        let run_dir = open_run_dir(&options.run_dir)?;
        rendezvous::validate_instance(&options.instance)?;
        let spawner = Self { options, run_dir, idle: Mutex::default() };
        let first = spawner.open()?;
        spawner.keep(first);
        Ok(spawner)
    }

    /// Makes the container and returns when its process 1 runs the toolbox. A living container of the same name is
    /// returned as it is, see [`Container::existing`]; a dead one is replaced.
    pub fn create(&self, spec: &ContainerSpec, handles: Handles<'_>) -> Result<Container, RuntimeError> {
        spec.validate()?;
        let request = Request::Create(Box::new(spec.clone()));
        let mut received = self.call(&request, &[handles.listener, handles.toolbox])?;
        match (received.message, received.handles.pop()) {
            (Reply::Created { pid, existing, laps }, Some(pidfd)) => {
                Ok(Container { pid, pidfd, existing, laps })
            }
            (other, _) => Err(misfit(&other)),
        }
    }

    /// Ends every process of the container and releases all it held but its disk file; `Ok` when it is gone, also if
    /// it never was. Returns once the disk can be used again.
    pub fn kill(&self, name: &str) -> Result<(), RuntimeError> {
        validate_name(name)?;
        self.done(&Request::Kill { name: name.to_owned() })
    }

    /// Does what [`Spawner::kill`] does and then removes the disk file; `Ok` when both are gone.
    pub fn delete(&self, name: &str, disk: &Path) -> Result<(), RuntimeError> {
        validate_name(name)?;
        validate_path(disk, "disk")?;
        self.done(&Request::Delete { name: name.to_owned(), disk: disk.to_owned() })
    }

    /// What the spawner knows about one container; `None` if nothing.
    pub fn status(&self, name: &str) -> Result<Option<ContainerStatus>, RuntimeError> {
        validate_name(name)?;
        match self.call(&Request::Status { name: name.to_owned() }, &[])?.message {
            Reply::Status(status) => Ok(status),
            other => Err(misfit(&other)),
        }
    }

    /// Returns when the spawner has answered. One that is stopped by a signal is replaced meanwhile, as by every call.
    pub fn ping(&self) -> Result<(), RuntimeError> {
        self.done(&Request::Ping)
    }

    /// Begins to hear of what happens to containers unasked. What has happened before is not told: see [`Self::list`].
    pub fn watch(&self) -> Result<Watch, RuntimeError> {
        let (connection, received) = self.exchange(self.open()?, &Request::Watch, &[])?;
        match received.message {
            Reply::Done => Watch::new(connection),
            other => Err(misfit(&other)),
        }
    }

    /// All containers, ordered by name: the living ones, and the dead ones that nobody has killed or deleted since.
    pub fn list(&self) -> Result<Vec<ContainerStatus>, RuntimeError> {
        let mut all: Vec<ContainerStatus> = Vec::new();
        loop {
            let after = all.last().map(|last| last.name.clone());
            let (containers, more) = match self.call(&Request::List { after }, &[])?.message {
                Reply::Listed { containers, more } => (containers, more),
                other => return Err(misfit(&other)),
            };
            all.extend(containers);
            if !more {
                return Ok(all);
            }
        }
    }

    fn done(&self, request: &Request) -> Result<(), RuntimeError> {
        match self.call(request, &[])?.message {
            Reply::Done => Ok(()),
            other => Err(misfit(&other)),
        }
    }

    /// One call. If the connection turns out to be dead, it is made again with a fresh one: every request may be repeated.
    fn call(&self, request: &Request, handles: &[BorrowedFd<'_>]) -> Result<Received<Reply>, RuntimeError> {
        let kept = self.idle().pop();
        let mut outcome = match kept {
            Some(kept) => self.exchange(kept, request, handles),
            None => self.exchange(self.open()?, request, handles),
        };
        for _ in 1..TRIES {
            if !matches!(outcome, Err(RuntimeError::SpawnerLost)) {
                break;
            }
            self.idle().clear();
            outcome = self.exchange(self.open()?, request, handles);
        }
        let (connection, received) = outcome?;
        self.keep(connection);
        match received.message {
            Reply::Failed(error) => Err(error),
            _ => Ok(received),
        }
    }

    /// Sends the request and waits for its reply. The connection comes back only if it can be used again.
    fn exchange(
        &self,
        connection: OwnedFd,
        request: &Request,
        handles: &[BorrowedFd<'_>],
    ) -> Result<(OwnedFd, Received<Reply>), RuntimeError> {
        protocol::send(connection.as_fd(), request, handles).map_err(call_failure)?;
        let deadline = Instant::now() + CALL_LIMIT;
        loop {
            match protocol::receive(connection.as_fd(), &mut Vec::new()) {
                Ok(Some(received)) => return Ok((connection, received)),
                Ok(None) => return Err(RuntimeError::SpawnerLost),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                    self.end_if_frozen();
                }
                Err(error) => return Err(call_failure(error)),
            }
        }
    }

    /// A spawner that is stopped would keep everybody waiting for ever. Its sandboxes do not need it; the next one adopts
    /// them.
    fn end_if_frozen(&self) {
        if let Some(process) = rendezvous::frozen_spawner(self.run_dir.as_fd()) {
            // It may have ended by itself.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }

    /// A connection that has been greeted, to a spawner that is started if need be.
    fn open(&self) -> Result<OwnedFd, RuntimeError> {
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

    fn keep(&self, connection: OwnedFd) {
        let mut idle = self.idle();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the run directory and checks that nobody else can put a socket there.
fn open_run_dir(path: &Path) -> Result<OwnedFd, RuntimeError> {
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

fn call_failure(error: io::Error) -> RuntimeError {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => {
            RuntimeError::InvalidSpec("arguments and environment are too long together".into())
        }
        _ if is_loss(&error) => RuntimeError::SpawnerLost,
        _ => RuntimeError::io("speak with the spawner")(error),
    }
}

/// Whether the error says that no spawner is at the other end (any more).
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected, NotFound};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotConnected | NotFound)
}

/// A spawner that cannot start writes its error to its standard error, as the protocol would carry it.
fn start_failure(output: &Output) -> RuntimeError {
    serde_json::from_slice(&output.stderr).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&output.stderr);
        let why = if text.trim().is_empty() { "it did not say why" } else { text.trim() };
        RuntimeError::Refused(format!("it did not start ({}): {why}", output.status))
    })
}

fn misfit(reply: &Reply) -> RuntimeError {
    RuntimeError::Refused(format!("its answer does not fit the request: {reply:?}"))
}
