//! The facade over sandboxes: ledger, provider and lifecycle behind a few verbs.
//!
//! Intent is committed first, then comes the effect, then the outcome is committed. A caller who goes away in
//! between loses the answer and nothing else: run these verbs on a task that outlives the request.

mod abandoned;
mod attempt;
mod change;
mod claims;
mod create;
mod deadline;
mod error;
mod frame;
mod ledger;
mod lifecycle;
mod orphans;
mod policy;
mod provider;
mod reconcile;
mod recover;
mod room;
mod settings;
mod sweep;
mod timers;
mod watch;

pub use create::{Created, NewSandbox};
pub use error::SandboxesError;
pub use ledger::Ledger;
pub use policy::Policy;
pub use provider::{Provider, ProviderKind};
pub use reconcile::Reconciled;
pub use recover::Recovery;
pub use room::Reserve;
pub use sweep::Swept;
pub use watch::Noted;

use crate::id::{OrganizationId, SandboxId};
use crate::ports::{
    Actor, Clock, Command, CommandResult, Event, EventKind, ListQuery, Page, ServiceError, ToolboxAddress,
};
use crate::sandbox::Sandbox;
use crate::state::Observed;
use crate::time::Timestamp;
use claims::Claims;
use frame::Frame;
use orphans::Orphans;
use std::sync::Arc;
use std::time::Duration;

/// A use is written down at most this often: a ledger is no place for every request.
const ACTIVITY_RESOLUTION: Duration = Duration::from_secs(45);

/// All sandboxes of this instance. Cheap to clone.
#[derive(Clone)]
pub struct Sandboxes {
    ledger: Ledger,
    provider: Provider,
    policy: Policy,
    frame: Frame,
    claims: Claims,
    orphans: Orphans,
    reserve: Option<Reserve>,
    actor: Actor,
}

impl Sandboxes {
    /// A facade over `ledger` and `provider`.
    pub fn new(ledger: Ledger, provider: Provider, clock: Arc<dyn Clock>) -> Self {
        let (policy, claims, orphans) = (Policy::default(), Claims::default(), Orphans::default());
        let (frame, actor) = (Frame::new(clock), Actor::Server);
        Self { ledger, provider, policy, frame, claims, orphans, reserve: None, actor }
    }

    /// The same sandboxes, for somebody: what is done through it is recorded as this actor's doing.
    #[must_use]
    pub fn by(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The same under `policy`.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// A sandbox by id or name.
    pub async fn get(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Sandbox, SandboxesError> {
        let found = self.ledger.sandboxes.find(organization, id_or_name).await?;
        found.filter(Sandbox::is_visible).ok_or(SandboxesError::NotFound)
    }

    /// One page of an organization's sandboxes.
    pub async fn list(
        &self,
        organization: OrganizationId,
        query: &ListQuery,
    ) -> Result<Page, SandboxesError> {
        Ok(self.ledger.sandboxes.list(organization, query).await?)
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
        let _steady = self.frame.steady().await;
        let now = self.now();
        if now.since(sandbox.last_activity_at) >= ACTIVITY_RESOLUTION {
            self.ledger.sandboxes.touch(sandbox.id, now).await?;
        }
        Ok(())
    }

    /// Notes that a sandbox is used now.
    pub async fn record_activity(&self, id: SandboxId) -> Result<(), SandboxesError> {
        let _steady = self.frame.steady().await;
        Ok(self.ledger.sandboxes.touch(id, self.now()).await?)
    }

    /// Whether sandboxes can be made: the ledger can be written, and the provider answers.
    pub async fn check(&self) -> Result<(), SandboxesError> {
        // A use of a sandbox that does not exist changes nothing, and goes the way of every write.
        self.ledger.sandboxes.touch(SandboxId::random(), self.now()).await?;
        self.provider.inventory.list().await?;
        Ok(())
    }

    /// Forgets the idempotency keys that have expired.
    pub async fn forget_expired(&self) -> Result<(), SandboxesError> {
        Ok(self.ledger.sandboxes.purge_idempotency(self.now()).await?)
    }

    /// The time by which sandboxes age.
    fn now(&self) -> Timestamp {
        self.frame.now()
    }

    fn event(&self, kind: EventKind, detail: Option<String>) -> Event {
        Event { kind, at: self.now(), actor: self.actor, detail }
    }
}
