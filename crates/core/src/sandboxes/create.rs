//! Making a sandbox.

use super::change::chain;
use super::{Sandboxes, SandboxesError};
use crate::config::{SandboxConfig, SandboxName};
use crate::id::{OrganizationId, SandboxId};
use crate::ports::{EventKind, RepositoryError, SandboxInfo, ServiceError};
use crate::sandbox::Sandbox;
use crate::state::{Desired, Observed};

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct NewSandbox {
    /// What to call it; none means its id.
    pub name: Option<SandboxName>,
    /// What it is to be.
    pub config: SandboxConfig,
}

impl Sandboxes {
    /// Makes a sandbox and returns when it runs. After an error nothing of it is left, or what is left is deleted
    /// by the next recovery.
    pub async fn create(
        &self,
        organization: OrganizationId,
        new: NewSandbox,
    ) -> Result<Sandbox, SandboxesError> {
        self.has_room()?;
        let intent = self.intent(organization, new)?;
        match self.ledger.insert(&intent, self.event(EventKind::Requested, None)).await {
            Err(RepositoryError::NameTaken) => {
                return Err(SandboxesError::NameTaken(intent.name.to_string()));
            }
            other => other?,
        }
        match self.provider.service.create(&intent.current_attempt(), &intent.config).await {
            Ok(info) => self.deliver(&intent, info).await,
            Err(error) => Err(self.give_up(&intent, error).await),
        }
    }

    fn intent(&self, organization: OrganizationId, new: NewSandbox) -> Result<Sandbox, SandboxesError> {
        let id = SandboxId::random();
        let now = self.clock.now();
        let name = new.name.map_or_else(|| SandboxName::parse(id.to_string()), Ok)?;
        Ok(Sandbox {
            id,
            organization,
            name,
            config: new.config,
            provider: self.provider.kind,
            attempt: 1,
            handle: None,
            desired: Desired::Started,
            observed: Observed::Pending,
            cause: None,
            generation: 1,
            created_at: now,
            updated_at: now,
            last_activity_at: now,
        })
    }

    async fn deliver(&self, intent: &Sandbox, info: SandboxInfo) -> Result<Sandbox, SandboxesError> {
        let delivered = self
            .commit_on_top(intent, EventKind::Started, |s| {
                s.handle = Some(info.handle.clone());
                s.config.user = info.user.clone().or(s.config.user.take());
                s.observed = Observed::Started;
            })
            .await;
        if delivered.is_err() {
            // What cannot be written down must not run. If this fails too, the intent is still in the ledger, and
            // recovery deletes by its name.
            let _ = self.provider.service.delete(&intent.reference()).await;
        }
        delivered
    }

    /// The caller will hear of an error, so nothing may be left that it would have to pay for.
    async fn give_up(&self, intent: &Sandbox, error: ServiceError) -> SandboxesError {
        let cause = Some(chain(&error));
        let doomed = self.commit_on_top(intent, EventKind::Failed, |s| {
            s.desired = Desired::Deleted;
            s.cause.clone_from(&cause);
        });
        if let Ok(doomed) = doomed.await
            && self.provider.service.delete(&doomed.reference()).await.is_ok()
        {
            // Should this commit be lost, recovery deletes what is gone already, and commits then.
            let _ = self.settle(&doomed, EventKind::Deleted, Observed::Absent).await;
        }
        error.into()
    }
}
