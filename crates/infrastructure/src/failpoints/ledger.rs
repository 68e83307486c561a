//! A ledger with failpoints around each of its writes. What is read comes as it is.

use super::names::update;
use super::{Fault, Side, Steps};
use async_trait::async_trait;
use sandgate_core::{
    Abandoned, Admitted, Agenda, Anchor, Attempt, Event, Intent, Ledger, ListQuery, OrganizationId, Page,
    RepositoryError, Sandbox, SandboxId, SandboxRepository, Timeline, Timestamp,
};

/// See [`Steps::around_ledger`].
pub struct FailingLedger {
    pub(super) sound: Ledger,
    pub(super) steps: Steps,
}

/// A write that has failed may have reached the disk all the same, so that there is one error for both.
fn fault(_: Fault, _: Side) -> RepositoryError {
    RepositoryError::Disk("a failpoint".into())
}

#[async_trait]
impl SandboxRepository for FailingLedger {
    async fn insert(&self, intent: &Intent) -> Result<Admitted, RepositoryError> {
        self.steps.take("ledger.insert", fault, || self.sound.sandboxes.insert(intent)).await
    }

    async fn update(&self, sandbox: &Sandbox, event: Event) -> Result<(), RepositoryError> {
        let write = || self.sound.sandboxes.update(sandbox, event.clone());
        self.steps.take(&update(event.kind), fault, write).await
    }

    async fn amend(&self, sandbox: &Sandbox) -> Result<(), RepositoryError> {
        self.steps.take("ledger.amend", fault, || self.sound.sandboxes.amend(sandbox)).await
    }

    async fn touch(&self, id: SandboxId, at: Timestamp) -> Result<(), RepositoryError> {
        self.steps.take("ledger.touch", fault, || self.sound.sandboxes.touch(id, at)).await
    }

    async fn find(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Option<Sandbox>, RepositoryError> {
        self.sound.sandboxes.find(organization, id_or_name).await
    }

    async fn list(&self, organization: OrganizationId, query: &ListQuery) -> Result<Page, RepositoryError> {
        self.sound.sandboxes.list(organization, query).await
    }

    async fn living(&self, id: SandboxId) -> Result<Option<Sandbox>, RepositoryError> {
        self.sound.sandboxes.living(id).await
    }

    async fn all_living(&self) -> Result<Vec<Sandbox>, RepositoryError> {
        self.sound.sandboxes.all_living().await
    }

    async fn purge_idempotency(&self, now: Timestamp) -> Result<(), RepositoryError> {
        let purge = || self.sound.sandboxes.purge_idempotency(now);
        self.steps.take("ledger.purge-idempotency", fault, purge).await
    }
}

#[async_trait]
impl Agenda for FailingLedger {
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Sandbox>, RepositoryError> {
        self.sound.agenda.due(now, limit).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, RepositoryError> {
        self.sound.agenda.next_due().await
    }

    async fn abandoned(&self, now: Timestamp) -> Result<Vec<Abandoned>, RepositoryError> {
        self.sound.agenda.abandoned(now).await
    }

    async fn note_abandoned(&self, abandoned: &Abandoned) -> Result<(), RepositoryError> {
        let note = || self.sound.agenda.note_abandoned(abandoned);
        self.steps.take("ledger.note-abandoned", fault, note).await
    }

    async fn knows(&self, attempt: Attempt) -> Result<bool, RepositoryError> {
        self.sound.agenda.knows(attempt).await
    }

    async fn is_doubtful(&self) -> Result<bool, RepositoryError> {
        self.sound.agenda.is_doubtful().await
    }

    async fn trust(&self) -> Result<(), RepositoryError> {
        self.steps.take("ledger.trust", fault, || self.sound.agenda.trust()).await
    }
}

#[async_trait]
impl Timeline for FailingLedger {
    async fn anchor(&self) -> Result<Option<Anchor>, RepositoryError> {
        self.sound.timeline.anchor().await
    }

    async fn set_anchor(&self, anchor: Anchor) -> Result<(), RepositoryError> {
        self.steps.take("ledger.set-anchor", fault, || self.sound.timeline.set_anchor(anchor)).await
    }

    async fn shift(&self, millis: i64, anchor: Anchor) -> Result<(), RepositoryError> {
        self.steps.take("ledger.shift", fault, || self.sound.timeline.shift(millis, anchor)).await
    }
}
