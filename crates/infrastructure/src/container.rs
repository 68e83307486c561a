//! The container provider: sandboxes on this machine, made by the embedded runtime.
//!
//! It keeps no state of its own. What exists is what the spawner holds and which disks are there; both carry the
//! attempt's external name.

mod accounts;
mod host_image;
mod image;
mod limit;
mod plan;
mod service;
mod sockets;
mod trial;
mod unpack;
mod watch;

pub use image::{ImageError, SnapshotSource};
pub use limit::Limit;
pub use trial::SelfTest;

use crate::data_dir::DataDir;
use image::Images;
use sandgate_core::{Attempt, ExternalName, InstanceId, Observed, ServiceError, SnapshotName};
use sandgate_runtime::{RuntimeError, Spawner, SpawnerOptions, Watch, sealed_executable};
use sockets::Sockets;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;

/// What the provider is told at its start.
#[derive(Debug)]
pub struct ContainerOptions<'a> {
    /// Where disks and sockets are kept.
    pub data_dir: &'a DataDir,
    /// Whose sandboxes these are.
    pub instance: InstanceId,
    /// The program that becomes the spawner when it is started with [`sandgate_runtime::SPAWNER_ARG`].
    pub program: PathBuf,
    /// The toolbox, an executable that needs no library.
    pub toolbox: &'a [u8],
    /// Filesystems that sandboxes may start from, beside the default one.
    pub snapshots: &'a BTreeMap<SnapshotName, SnapshotSource>,
    /// Whether sandboxes are made also where this host cannot hold them to a limit; see
    /// [`ContainerSandboxService::self_test`].
    pub best_effort: bool,
}

/// Why the provider cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// A snapshot cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The runtime cannot work on this host.
    #[error("the embedded runtime cannot be started")]
    Runtime(#[from] RuntimeError),
    /// A directory cannot be made.
    #[error("the provider's directories cannot be made")]
    Directory(#[from] std::io::Error),
}

/// Sandboxes on this machine.
#[derive(Clone)]
pub struct ContainerSandboxService(Arc<Shared>);

struct Shared {
    spawner: Spawner,
    toolbox: OwnedFd,
    images: Images,
    sockets: Sockets,
    disks: PathBuf,
    instance: InstanceId,
    watch: Mutex<Option<AsyncFd<Watch>>>,
    starving: std::sync::Mutex<HashMap<ExternalName, Instant>>,
    best_effort: bool,
}

impl ContainerSandboxService {
    /// Prepares the images and finds or starts the spawner. Takes a moment, and blocks for it.
    pub fn open(options: ContainerOptions<'_>) -> Result<Self, ContainerError> {
        let run_dir = options.data_dir.subdirectory("run")?;
        let images = Images::prepare(options.data_dir, options.snapshots)?;
        let sockets = Sockets::open(&options.data_dir.subdirectory("sockets")?)?;
        let toolbox = sealed_executable(options.toolbox)?;
        let instance = options.instance.as_str().to_owned();
        let spawner = Spawner::connect(SpawnerOptions { run_dir, instance, program: options.program })?;
        let disks = options.data_dir.subdirectory("disks")?;
        let (instance, best_effort, watch) = (options.instance, options.best_effort, Mutex::default());
        let starving = std::sync::Mutex::default();
        let shared =
            Shared { spawner, toolbox, images, sockets, disks, instance, watch, starving, best_effort };
        Ok(Self(Arc::new(shared)))
    }

    /// Runs blocking work on a thread that may block. The runtime's answers take a millisecond or two.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Shared) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let shared = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.unwrap_or_else(|panic| Err(ServiceError::OutcomeUnknown { operation, source: panic.into() }))
    }
}

impl Shared {
    fn name(&self, attempt: &Attempt) -> ExternalName {
        attempt.external_name(&self.instance)
    }

    fn disk(&self, name: &ExternalName) -> PathBuf {
        self.disks.join(format!("{name}.ext4"))
    }

    /// A container that runs is started; a disk without one is stopped.
    fn observe(&self, name: &ExternalName, running: bool) -> Observed {
        match (running, self.disk(name).exists()) {
            (true, _) => Observed::Started,
            (false, true) => Observed::Stopped,
            (false, false) => Observed::Absent,
        }
    }
}

/// What the runtime's errors mean to the core.
fn failed(operation: &'static str) -> impl Fn(RuntimeError) -> ServiceError {
    move |error| match error {
        RuntimeError::SpawnerLost => ServiceError::OutcomeUnknown { operation, source: error.into() },
        other => ServiceError::Failed { operation, source: other.into() },
    }
}
