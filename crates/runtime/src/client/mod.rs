//! The client of the spawner: blocking calls over a few kept connections.

mod connect;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Signal, pidfd_send_signal};

use connect::open_run_dir;

use crate::protocol::{self, Received, Reply, Request};
use crate::spec::{validate_name, validate_path};
use crate::watch::Watch;
use crate::{Container, ContainerSpec, ContainerStatus, Handles, RuntimeError, rendezvous};

/// How long one call may take. Far above what any takes, so that only a broken spawner is given up.
const CALL_LIMIT: Duration = Duration::from_mins(1);

/// How often a call is made anew when the spawner dies over it.
const TRIES: usize = 4;

/// Connections kept for later calls; more are opened and closed as needed.
const IDLE_CONNECTIONS: usize = 16;

/// Where the spawner is found, and how it is started.
#[derive(Clone, Debug)]
pub struct SpawnerOptions {
    /// Existing directory that is ours alone (0700); holds `spawner.sock` and `spawner.lock`.
    pub run_dir: PathBuf,
    /// Short name, `[a-z0-9]{1,16}`. The containers' cgroups lie in `sandgate-<instance>`.
    pub instance: String,
    /// The executable that runs [`crate::spawner_main`] when its first argument is [`crate::SPAWNER_ARG`]; normally
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

fn misfit(reply: &Reply) -> RuntimeError {
    RuntimeError::Refused(format!("its answer does not fit the request: {reply:?}"))
}
