//! A provider whose sandboxes are entries in a world.

use super::shell;
use super::world::{Held, World};
use async_trait::async_trait;
use sandgate_core::{
    Attempt, Change, Command, CommandResult, ExternalName, Found, InstanceId, Inventory, Observed,
    SandboxConfig, SandboxInfo, SandboxRef, SandboxService, ServiceError, Sighting, SnapshotName, StartStop,
    ToolboxAccess, ToolboxAddress, Watch,
};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Keeps every promise of [`SandboxService`], and runs nothing. Clones share their sandboxes.
#[derive(Debug, Clone)]
pub struct MemorySandboxService {
    instance: InstanceId,
    snapshots: BTreeSet<SnapshotName>,
    world: Arc<World>,
    changed: Arc<Notify>,
}

impl MemorySandboxService {
    /// A provider on a host of its own, without snapshots: only the default one is known.
    pub fn new(instance: InstanceId) -> Self {
        Self::in_world(instance, World::default())
    }

    /// The same, on a host that holds this.
    pub fn in_world(instance: InstanceId, world: World) -> Self {
        Self { instance, snapshots: BTreeSet::new(), world: Arc::new(world), changed: Arc::default() }
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

    /// What the host holds.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// How many sandboxes the host holds, of every installation: what a test must not leave behind.
    ///
    /// # Panics
    /// Where its folder cannot be read, as all that turn the world by hand.
    pub fn held(&self) -> usize {
        self.world.all().expect(READABLE).len()
    }

    /// Every sandbox of this installation that the host really holds, whatever its provider tells.
    ///
    /// # Panics
    /// Where its folder cannot be read.
    pub fn attempts(&self) -> Vec<Attempt> {
        let all = self.world.all().expect(READABLE);
        all.keys().filter_map(|name| ExternalName::parse(name, &self.instance)).collect()
    }

    /// Ends a sandbox's processes behind everybody's back, as a crash does. Its files stay.
    ///
    /// # Panics
    /// Where the world's folder cannot be written.
    pub fn crash(&self, attempt: &Attempt) {
        self.world.turn(self.name(attempt).as_str(), false).expect(READABLE);
        self.changed.notify_one();
    }

    /// Loses a sandbox behind everybody's back.
    ///
    /// # Panics
    /// Where the world's folder cannot be written.
    pub fn lose(&self, attempt: &Attempt) {
        self.world.remove(self.name(attempt).as_str(), Duration::ZERO).expect(READABLE);
        self.changed.notify_one();
    }

    /// Loses them all, of every installation, as a wiped disk does.
    ///
    /// # Panics
    /// Where the world's folder cannot be written.
    pub fn lose_all(&self) {
        for name in self.world.all().expect(READABLE).keys() {
            self.world.remove(name, Duration::ZERO).expect(READABLE);
        }
    }

    pub(super) fn name(&self, attempt: &Attempt) -> ExternalName {
        attempt.external_name(&self.instance)
    }

    /// As [`SandboxService::create`]. The provider does not tell of the sandbox for as long as it is hidden.
    pub(super) fn make(
        &self,
        attempt: &Attempt,
        config: &SandboxConfig,
        hidden: Duration,
    ) -> Result<SandboxInfo, ServiceError> {
        self.check(config)?;
        self.world.make(self.name(attempt).as_str(), hidden).map(info).map_err(unreachable)
    }

    /// As [`SandboxService::create`], but nothing of it is there before the delay is over, not even after a restart.
    pub(super) fn make_later(
        &self,
        attempt: &Attempt,
        config: &SandboxConfig,
        delay: Duration,
    ) -> Result<(), ServiceError> {
        self.check(config)?;
        self.world.make_later(self.name(attempt).as_str(), delay).map_err(unreachable)
    }

    /// As [`SandboxService::delete`]. Lists tell of the sandbox for a while longer.
    pub(super) fn remove(&self, at: &SandboxRef, listed: Duration) -> Result<(), ServiceError> {
        match self.meant(at)? {
            Some(_) => self.world.remove(self.name(&at.attempt).as_str(), listed).map_err(unreachable),
            None => Ok(()),
        }
    }

    fn check(&self, config: &SandboxConfig) -> Result<(), ServiceError> {
        match &config.snapshot {
            Some(unknown) if !self.snapshots.contains(unknown) => {
                Err(ServiceError::UnknownSnapshot(unknown.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The sandbox of that name, unless the caller means another by its handle.
    fn meant(&self, at: &SandboxRef) -> Result<Option<Held>, ServiceError> {
        let held = self.world.get(self.name(&at.attempt).as_str()).map_err(unreachable)?;
        Ok(held.filter(|held| at.handle.as_ref().is_none_or(|handle| *handle == held.handle)))
    }

    fn observed(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        let told = self.meant(at)?.filter(|held| !self.world.is_hidden(held));
        Ok(told.as_ref().map_or(Observed::Absent, Held::observed))
    }
}

const READABLE: &str = "the world's folder is there";

impl Held {
    const fn observed(&self) -> Observed {
        if self.running { Observed::Started } else { Observed::Stopped }
    }
}

fn info(held: Held) -> SandboxInfo {
    SandboxInfo { handle: held.handle, user: None }
}

fn unreachable(error: io::Error) -> ServiceError {
    ServiceError::Unreachable(error.into())
}

#[async_trait]
impl SandboxService for MemorySandboxService {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        self.make(attempt, config, Duration::ZERO)
    }

    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError> {
        match self.meant(at)? {
            Some(held) if held.running => shell::run(command).await,
            _ => Err(ServiceError::NotRunning),
        }
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        self.observed(at)
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        self.remove(at, Duration::ZERO)
    }
}

#[async_trait]
impl StartStop for MemorySandboxService {
    async fn start(&self, at: &SandboxRef, _config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let held = self.meant(at)?.ok_or_else(|| ServiceError::Failed {
            operation: "start",
            source: "there is no sandbox of that name".into(),
        })?;
        self.world.turn(self.name(&at.attempt).as_str(), true).map_err(unreachable)?;
        Ok(info(held))
    }

    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        match self.meant(at)? {
            Some(_) => self.world.turn(self.name(&at.attempt).as_str(), false).map_err(unreachable),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Inventory for MemorySandboxService {
    async fn list(&self) -> Result<Vec<Found>, ServiceError> {
        let told = self.world.told().map_err(unreachable)?;
        let ours = told.iter().filter_map(|(name, held)| {
            let attempt = ExternalName::parse(name, &self.instance)?;
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
        Ok(Sighting { observed: self.observed(at)?, cause: None })
    }
}
