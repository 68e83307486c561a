//! The facade over sandboxes: ledger, provider and lifecycle behind a few verbs.
//!
//! Intent is committed first, then comes the effect, then the outcome is committed. A caller who goes away in
//! between loses the answer and nothing else: run these verbs on a task that outlives the request.

mod change;
mod create;
mod error;
mod lifecycle;
mod provider;
mod recover;
mod room;
mod settings;
mod timers;
mod watch;

pub use create::NewSandbox;
pub use error::SandboxesError;
pub use provider::{Provider, ProviderKind};
pub use recover::Recovery;
pub use room::Reserve;
pub use watch::Noted;

use crate::id::{OrganizationId, SandboxId};
use crate::ports::{
    Clock, Command, CommandResult, Event, EventKind, ListQuery, Page, SandboxRepository, ServiceError,
    ToolboxAddress,
};
use crate::sandbox::Sandbox;
use crate::state::Observed;
use std::sync::Arc;
use std::time::Duration;

/// A use is written down at most this often: a ledger is no place for every request.
const ACTIVITY_RESOLUTION: Duration = Duration::from_secs(45);

/// All sandboxes of this instance. Cheap to clone.
#[derive(Clone)]
pub struct Sandboxes {
    ledger: Arc<dyn SandboxRepository>,
    provider: Provider,
    clock: Arc<dyn Clock>,
    reserve: Option<Reserve>,
}

impl Sandboxes {
    /// A facade over `ledger` and `provider`.
    pub fn new(ledger: Arc<dyn SandboxRepository>, provider: Provider, clock: Arc<dyn Clock>) -> Self {
        Self { ledger, provider, clock, reserve: None }
    }

    /// A sandbox by id or name.
    pub async fn get(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Sandbox, SandboxesError> {
        let found = self.ledger.find(organization, id_or_name).await?;
        found.filter(Sandbox::is_visible).ok_or(SandboxesError::NotFound)
    }

    /// One page of an organization's sandboxes.
    pub async fn list(
        &self,
        organization: OrganizationId,
        query: &ListQuery,
    ) -> Result<Page, SandboxesError> {
        Ok(self.ledger.list(organization, query).await?)
    }

    /// Runs a shell command in a sandbox.
    pub async fn execute(
        &self,
        sandbox: &Sandbox,
        command: &Command,
    ) -> Result<CommandResult, SandboxesError> {
        // On a full disk a use cannot be noted; commands, such as one that makes room, must run all the same.
        let _ = self.touch(sandbox).await;
        Ok(self.provider.service.execute_command(&sandbox.reference(), command).await?)
    }

    /// The way into a running sandbox's toolbox.
    pub async fn toolbox(&self, sandbox: &Sandbox) -> Result<ToolboxAddress, SandboxesError> {
        if sandbox.observed != Observed::Started {
            return Err(SandboxesError::Provider(ServiceError::NotRunning));
        }
        Ok(self.provider.toolbox.toolbox(&sandbox.reference()).await?)
    }

    /// Notes that a sandbox was used, unless that was noted a moment ago.
    pub async fn touch(&self, sandbox: &Sandbox) -> Result<(), SandboxesError> {
        let now = self.clock.now();
        if now.since(sandbox.last_activity_at) >= ACTIVITY_RESOLUTION {
            self.ledger.touch(sandbox.id, now).await?;
        }
        Ok(())
    }

    /// Notes that a sandbox is used now.
    pub async fn record_activity(&self, id: SandboxId) -> Result<(), SandboxesError> {
        Ok(self.ledger.touch(id, self.clock.now()).await?)
    }

    /// Whether sandboxes can be made: the ledger can be written, and the provider answers.
    pub async fn check(&self) -> Result<(), SandboxesError> {
        // A use of a sandbox that does not exist changes nothing, and goes the way of every write.
        self.ledger.touch(SandboxId::random(), self.clock.now()).await?;
        self.provider.inventory.list().await?;
        Ok(())
    }

    fn event(&self, kind: EventKind, detail: Option<String>) -> Event {
        Event { kind, at: self.clock.now(), detail }
    }
}
