//! A provider whose sandboxes are entries in a map.

use super::shell;
use async_trait::async_trait;
use sandgate_core::{
    Attempt, Change, Command, CommandResult, ExternalName, Found, Handle, InstanceId, Inventory, Observed,
    SandboxConfig, SandboxInfo, SandboxRef, SandboxService, ServiceError, Sighting, SnapshotName, StartStop,
    ToolboxAccess, ToolboxAddress, Watch,
};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Keeps every promise of [`SandboxService`], and runs nothing. Clones share their sandboxes.
#[derive(Debug, Clone)]
pub struct MemorySandboxService {
    instance: InstanceId,
    snapshots: BTreeSet<SnapshotName>,
    host: Arc<Mutex<Host>>,
    changed: Arc<Notify>,
}

/// What all instances of a host hold, by external name.
#[derive(Debug, Default)]
struct Host {
    sandboxes: HashMap<ExternalName, Held>,
    made: u64,
}

#[derive(Debug)]
struct Held {
    handle: Handle,
    running: bool,
}

impl MemorySandboxService {
    /// A provider on a host of its own, without snapshots: only the default one is known.
    pub fn new(instance: InstanceId) -> Self {
        Self { instance, snapshots: BTreeSet::new(), host: Arc::default(), changed: Arc::default() }
    }

    /// The same, with these snapshots.
    #[must_use]
    pub fn with_snapshots(self, snapshots: impl IntoIterator<Item = SnapshotName>) -> Self {
        Self { snapshots: snapshots.into_iter().collect(), ..self }
    }

    /// Another installation on the same host.
    #[must_use]
    pub fn beside(&self, instance: InstanceId) -> Self {
        Self { instance, ..self.clone() }
    }

    /// How many sandboxes the host holds, of every installation: what a test must not leave behind.
    pub fn held(&self) -> usize {
        self.host().sandboxes.len()
    }

    /// Ends a sandbox's processes behind everybody's back, as a crash does. Its files stay.
    pub fn crash(&self, attempt: &Attempt) {
        if let Some(held) = self.host().sandboxes.get_mut(&self.name(attempt)) {
            held.running = false;
        }
        self.changed.notify_one();
    }

    /// Loses a sandbox behind everybody's back.
    pub fn lose(&self, attempt: &Attempt) {
        self.host().sandboxes.remove(&self.name(attempt));
        self.changed.notify_one();
    }

    /// Loses them all, of every installation, as a wiped disk does.
    pub fn lose_all(&self) {
        self.host().sandboxes.clear();
    }

    fn name(&self, attempt: &Attempt) -> ExternalName {
        attempt.external_name(&self.instance)
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observed(&self, at: &SandboxRef) -> Observed {
        match self.host().get(&self.name(&at.attempt), at) {
            None => Observed::Absent,
            Some(held) => held.observed(),
        }
    }
}

impl Host {
    /// The sandbox of that name, unless the caller means another by its handle.
    fn get(&mut self, name: &ExternalName, at: &SandboxRef) -> Option<&mut Held> {
        let held = self.sandboxes.get_mut(name)?;
        at.handle.as_ref().is_none_or(|handle| *handle == held.handle).then_some(held)
    }

    fn make(&mut self, name: ExternalName) -> SandboxInfo {
        self.made += 1;
        let new = Held { handle: Handle(format!("memory-{}", self.made)), running: true };
        SandboxInfo { handle: self.sandboxes.entry(name).or_insert(new).handle.clone(), user: None }
    }
}

impl Held {
    const fn observed(&self) -> Observed {
        if self.running { Observed::Started } else { Observed::Stopped }
    }
}

#[async_trait]
impl SandboxService for MemorySandboxService {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        match &config.snapshot {
            Some(unknown) if !self.snapshots.contains(unknown) => {
                Err(ServiceError::UnknownSnapshot(unknown.to_string()))
            }
            _ => Ok(self.host().make(self.name(attempt))),
        }
    }

    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError> {
        match self.observed(at) {
            Observed::Started => shell::run(command).await,
            _ => Err(ServiceError::NotRunning),
        }
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        Ok(self.observed(at))
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        let name = self.name(&at.attempt);
        let mut host = self.host();
        if host.get(&name, at).is_some() {
            host.sandboxes.remove(&name);
        }
        Ok(())
    }
}

#[async_trait]
impl StartStop for MemorySandboxService {
    async fn start(&self, at: &SandboxRef, _config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let mut host = self.host();
        let held = host.get(&self.name(&at.attempt), at);
        let held = held.ok_or_else(|| ServiceError::Failed {
            operation: "start",
            source: "there is no sandbox of that name".into(),
        })?;
        held.running = true;
        Ok(SandboxInfo { handle: held.handle.clone(), user: None })
    }

    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        if let Some(held) = self.host().get(&self.name(&at.attempt), at) {
            held.running = false;
        }
        Ok(())
    }
}

#[async_trait]
impl Inventory for MemorySandboxService {
    async fn list(&self) -> Result<Vec<Found>, ServiceError> {
        let host = self.host();
        let ours = host.sandboxes.iter().filter_map(|(name, held)| {
            let attempt = ExternalName::parse(name.as_str(), &self.instance)?;
            Some(Found { attempt, observed: held.observed() })
        });
        Ok(ours.collect())
    }
}

#[async_trait]
impl ToolboxAccess for MemorySandboxService {
    async fn toolbox(&self, _at: &SandboxRef) -> Result<ToolboxAddress, ServiceError> {
        Err(ServiceError::Unsupported("a sandbox in memory has no toolbox".to_owned()))
    }
}

#[async_trait]
impl Watch for MemorySandboxService {
    async fn changed(&self) -> Change {
        self.changed.notified().await;
        Change::Any
    }

    async fn examine(&self, at: &SandboxRef) -> Result<Sighting, ServiceError> {
        Ok(Sighting { observed: self.observed(at), cause: None })
    }
}
