//! Making a sandbox.

use super::change::{TRIES, chain};
use super::deadline::{Deadline, bounded};
use super::policy::end_of_life;
use super::{ProviderKind, Sandboxes, SandboxesError};
use crate::admission::{Admitted, Idempotency, NotAdmitted, Rate};
use crate::config::{SandboxConfig, SandboxName};
use crate::id::{OrganizationId, SandboxId};
use crate::operation::Operation;
use crate::ports::{EventKind, Intent, RepositoryError, SandboxInfo, ServiceError};
use crate::sandbox::Sandbox;
use crate::state::{Desired, Observed};
use crate::time::Timestamp;

/// How often a sandbox is tried to be made while nobody knows what became of it.
const ATTEMPTS: u32 = 3;

/// What a caller asks for.
#[derive(Debug, Clone)]
pub struct NewSandbox {
    /// What to call it; none means its id.
    pub name: Option<SandboxName>,
    /// What it is to be.
    pub config: SandboxConfig,
    /// What the request is called, if it is to have its effect once however often it is sent.
    pub idempotency: Option<Idempotency>,
}

impl NewSandbox {
    /// The sandbox as it begins, of which nothing exists yet: asked for at `at`, by nobody in particular and for ever.
    pub fn asked_for(self, organization: OrganizationId, provider: ProviderKind, at: Timestamp) -> Sandbox {
        let id = SandboxId::random();
        let name = self.name.unwrap_or_else(|| SandboxName::of(id));
        Sandbox {
            id,
            organization,
            created_by: None,
            name,
            config: self.config,
            provider,
            attempt: 1,
            handle: None,
            desired: Desired::Started,
            observed: Observed::Pending,
            cause: None,
            operation: Some(Operation::begun(at)),
            generation: 1,
            created_at: at,
            updated_at: at,
            last_activity_at: at,
            stopped_at: None,
            archive_due: false,
            lives_until: None,
            destroy_at: None,
        }
    }
}

/// What a create was answered with.
#[derive(Debug, Clone)]
pub struct Created {
    /// The sandbox as it is now.
    pub sandbox: Sandbox,
    /// Whether an earlier request of the same idempotency key made it.
    pub replayed: bool,
    /// How many more may be asked for soon, where there is a rate.
    pub rate: Option<Rate>,
}

impl Sandboxes {
    /// Makes a sandbox and returns when it runs. After an error nothing of it is left, or what is left is deleted by the
    /// reconciler.
    ///
    /// An idempotency key that has made a sandbox already is answered with that sandbox; while its first request is
    /// under way, the caller is told to ask again ([`NotAdmitted::KeyInUse`]).
    pub async fn create(
        &self,
        organization: OrganizationId,
        new: NewSandbox,
    ) -> Result<Created, SandboxesError> {
        self.has_room()?;
        let steady = self.frame.steady().await;
        let (event, idempotency) = (self.event(EventKind::Requested, None), new.idempotency.clone());
        let intent = Intent { sandbox: self.intent(organization, new), event, idempotency };
        let _claim = self.claims.hold(intent.sandbox.id);
        let admitted = self.ledger.sandboxes.insert(&intent).await;
        drop(steady);
        match admitted {
            Ok(Admitted { rate }) => {
                let sandbox = self.make(intent.sandbox).await?;
                Ok(Created { sandbox, replayed: false, rate })
            }
            Err(RepositoryError::NameTaken) => {
                Err(SandboxesError::NameTaken(intent.sandbox.name.to_string()))
            }
            Err(RepositoryError::NotAdmitted(NotAdmitted::KeyInUse(id))) => self.replay(id).await,
            Err(other) => Err(other.into()),
        }
    }

    /// The sandbox that an earlier request made. Where that is not delivered, or deleted since this was asked, asking
    /// again tells which.
    async fn replay(&self, id: SandboxId) -> Result<Created, SandboxesError> {
        let found = self.ledger.sandboxes.living(id).await?;
        let delivered = found.filter(|s| s.desired != Desired::Deleted && s.observed != Observed::Pending);
        let sandbox = delivered.ok_or(SandboxesError::NotAdmitted(NotAdmitted::KeyInUse(id)))?;
        Ok(Created { sandbox, replayed: true, rate: None })
    }

    /// Makes what is intended, by as many attempts as it takes and its caller's time allows. Exactly one is delivered:
    /// the others are abandoned in the ledger before the next one begins.
    async fn make(&self, mut intent: Sandbox) -> Result<Sandbox, SandboxesError> {
        let deadline = Deadline::of_a_call();
        loop {
            match self.attempt(&intent, deadline).await {
                Ok(info) => return self.deliver(&intent, info).await,
                Err(ServiceError::OutcomeUnknown { .. })
                    if intent.attempt < ATTEMPTS && !deadline.left().is_zero() =>
                {
                    intent = self.next_attempt(&intent).await?;
                }
                Err(error) => return Err(self.give_up(&intent, error).await),
            }
        }
    }

    fn intent(&self, organization: OrganizationId, new: NewSandbox) -> Sandbox {
        let now = self.now();
        let lives_until = self.policy.lives_until(now);
        let destroy_at = end_of_life(now, new.config.intervals.ttl, lives_until);
        let created_by = self.actor.key();
        Sandbox {
            created_by,
            lives_until,
            destroy_at,
            ..new.asked_for(organization, self.provider.kind, now)
        }
    }

    async fn deliver(&self, intent: &Sandbox, info: SandboxInfo) -> Result<Sandbox, SandboxesError> {
        let delivered = self
            .commit_on_top(intent, EventKind::Started, |s| {
                s.handle = Some(info.handle.clone());
                s.config.user = info.user.clone().or(s.config.user.take());
                s.observed = Observed::Started;
            })
            .await;
        match delivered {
            Err(error) => self.withdraw(intent, error).await,
            delivered => delivered,
        }
    }

    /// What cannot be written down must not run. A write that has failed may have reached the disk all the same: then it
    /// is delivered. If this fails too, the intent is still in the ledger, and the reconciler deletes by its name.
    async fn withdraw(&self, intent: &Sandbox, error: SandboxesError) -> Result<Sandbox, SandboxesError> {
        for _ in 0..TRIES {
            let Ok(Some(row)) = self.ledger.sandboxes.living(intent.id).await else { break };
            if (row.attempt, row.desired, row.observed)
                == (intent.attempt, Desired::Started, Observed::Started)
            {
                return Ok(row);
            }
            match self.doom(&row, chain(&error)).await {
                Ok(doomed) => {
                    let _ = self.do_delete(&doomed).await;
                    return Err(error);
                }
                Err(SandboxesError::Busy) => {}
                Err(_) => break,
            }
        }
        let _ = bounded("delete", self.provider.service.delete(&intent.reference())).await;
        Err(error)
    }

    async fn doom(&self, row: &Sandbox, cause: String) -> Result<Sandbox, SandboxesError> {
        let doomed = self.commit(row, EventKind::Failed, |s| {
            s.desired = Desired::Deleted;
            s.cause = Some(cause);
        });
        doomed.await
    }

    /// The caller will hear of an error, so nothing may be left that it would have to pay for.
    async fn give_up(&self, intent: &Sandbox, error: ServiceError) -> SandboxesError {
        let cause = Some(chain(&error));
        let is_unknown = matches!(error, ServiceError::OutcomeUnknown { .. });
        let doomed = self.commit_on_top(intent, EventKind::Failed, |s| {
            s.desired = Desired::Deleted;
            // What may yet appear stays pending: its attempt is an abandoned one then.
            s.observed = if is_unknown { Observed::Pending } else { Observed::Failed };
            s.cause.clone_from(&cause);
        });
        if let Ok(doomed) = doomed.await
            && bounded("delete", self.provider.service.delete(&doomed.reference())).await.is_ok()
        {
            // Should this commit be lost, the reconciler deletes what is gone already, and commits then.
            let _ = self.settle(&doomed, EventKind::Deleted, Observed::Absent).await;
        }
        error.into()
    }
}
