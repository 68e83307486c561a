//! A facade with its ledger, its provider and its clock in hand.

use crate::meddling::{Happening, Meddling, Moment};
use sandgate_core::{
    Actor, ApiKey, Clock, Desired, Event, EventKind, KeyHash, KeyId, KeyRepository, Labels, Ledger,
    NewSandbox, Observed, OrganizationId, Provider, ProviderKind, Reconciled, ResourceLimits, Sandbox,
    SandboxConfig, SandboxName, SandboxRepository, SandboxService, Sandboxes, SandboxesError, ServiceError,
    Timestamp,
};
use sandgate_infrastructure::memory::{ManualClock, MemorySandboxService};
use sandgate_infrastructure::sqlite::SqliteLedger;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) sandboxes: Sandboxes,
    pub(crate) ledger: SqliteLedger,
    pub(crate) service: MemorySandboxService,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) organization: OrganizationId,
    pub(crate) dir: TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ledger = SqliteLedger::open(dir.path()).expect("a new ledger");
        let key = ApiKey { id: KeyId::random(), organization: OrganizationId::random() };
        ledger.insert_key(key, KeyHash([1; 32])).await.expect("insert a key");
        let service = MemorySandboxService::new(ledger.instance().clone());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let provider = Provider::new(ProviderKind::Container, Arc::new(service.clone()));
        let sandboxes = Sandboxes::new(Ledger::new(Arc::new(ledger.clone())), provider, clock.clone());
        Self { sandboxes, ledger, service, clock, organization: key.organization, dir }
    }

    /// A facade over the same ledger and provider, with something happening around what the provider does.
    pub(crate) fn meddling<F>(&self, meddle: F) -> Sandboxes
    where
        F: Fn(Moment) -> Happening + Send + Sync + 'static,
    {
        let provider = Meddling { sound: self.service.clone(), meddle };
        let provider = Provider::new(ProviderKind::Container, Arc::new(provider));
        self.over_parts(Ledger::new(Arc::new(self.ledger.clone())), provider)
    }

    /// A facade over the provider in memory, but for its service.
    pub(crate) fn over_service(&self, service: impl SandboxService + 'static) -> Sandboxes {
        let sound = Provider::new(ProviderKind::Container, Arc::new(self.service.clone()));
        let provider = Provider { service: Arc::new(service), ..sound };
        self.over_parts(Ledger::new(Arc::new(self.ledger.clone())), provider)
    }

    /// A facade over the provider in memory and another ledger.
    pub(crate) fn over_ledger(&self, ledger: impl SandboxRepository + 'static) -> Sandboxes {
        let provider = Provider::new(ProviderKind::Container, Arc::new(self.service.clone()));
        let sound = Ledger::new(Arc::new(self.ledger.clone()));
        self.over_parts(Ledger { sandboxes: Arc::new(ledger), ..sound }, provider)
    }

    fn over_parts(&self, ledger: Ledger, provider: Provider) -> Sandboxes {
        Sandboxes::new(ledger, provider, self.clock.clone())
    }

    pub(crate) async fn created(&self, name: &str) -> Sandbox {
        self.sandboxes.create(self.organization, named(name)).await.expect("create").sandbox
    }

    pub(crate) async fn get(&self, id_or_name: &str) -> Result<Sandbox, SandboxesError> {
        self.sandboxes.get(self.organization, id_or_name).await
    }

    /// Every row of which something may still exist, as desired and observed.
    pub(crate) async fn rows(&self) -> Vec<(Desired, Observed)> {
        let living = self.ledger.all_living().await.expect("living");
        living.into_iter().map(|sandbox| (sandbox.desired, sandbox.observed)).collect()
    }

    /// Writes a row as a server that was killed in between leaves it.
    pub(crate) async fn left_as(&self, sandbox: &Sandbox, desired: Desired, observed: Observed) -> Sandbox {
        let generation = sandbox.generation + 1;
        let left = Sandbox { desired, observed, generation, ..sandbox.clone() };
        let event =
            Event { kind: EventKind::Changed, at: left.updated_at, actor: Actor::Server, detail: None };
        self.ledger.update(&left, event).await.expect("update");
        left
    }

    /// A facade over the same ledger, marked as one that came out of a backup.
    pub(crate) fn restored(&self) -> Sandboxes {
        let database = rusqlite::Connection::open(self.dir.path().join("ledger.db")).expect("open");
        database.execute("INSERT INTO meta VALUES ('restored_at', '1')", []).expect("mark");
        self.over_service(self.service.clone())
    }

    /// What the clock on the wall shows.
    pub(crate) fn clock_now(&self) -> Timestamp {
        Clock::now(self.clock.as_ref())
    }

    /// Lets the reconciler do what is due now.
    pub(crate) async fn reconciled(&self) -> Reconciled {
        self.sandboxes.reconcile().await.expect("reconcile")
    }

    /// Asserts that neither provider nor ledger hold anything any more.
    pub(crate) async fn nothing_left(&self) {
        assert_eq!(self.service.held(), 0, "the provider holds something");
        assert_eq!(self.rows().await, [], "the ledger holds something");
    }

    /// Deletes what there is, and asserts that nothing is left.
    pub(crate) async fn finish(self) {
        for sandbox in self.ledger.all_living().await.expect("living") {
            self.sandboxes.delete(self.organization, &sandbox.id.to_string()).await.expect("delete");
        }
        self.nothing_left().await;
    }
}

pub(crate) fn named(name: &str) -> NewSandbox {
    let config = SandboxConfig::new(ResourceLimits::default().default);
    NewSandbox { name: Some(SandboxName::parse(name).expect("a name")), config, idempotency: None }
}

pub(crate) fn failure() -> ServiceError {
    ServiceError::Failed { operation: "do it", source: "out of luck".into() }
}

pub(crate) fn unknown_outcome() -> ServiceError {
    ServiceError::OutcomeUnknown { operation: "it", source: "the line went dead".into() }
}

pub(crate) fn red() -> Labels {
    Labels::parse([("team".to_owned(), "red".to_owned())].into()).expect("labels")
}

/// Labels the sandbox called `one` at one of the moments.
pub(crate) fn set_labels_at(
    moment: Moment,
    now: Moment,
    sandboxes: &Sandboxes,
    organization: OrganizationId,
) -> Happening {
    let sandboxes = sandboxes.clone();
    Box::pin(async move {
        if now == moment {
            sandboxes.set_labels(organization, "one", red()).await.expect("set labels");
        }
        Ok(())
    })
}
