//! What outlives a server, and a server on it that can be dropped at any step.

use sandgate_core::{
    ApiKey, Clock, KeyHash, KeyId, KeyRepository, Ledger, OrganizationId, Provider, ProviderKind, Sandboxes,
    Timestamp,
};
use sandgate_infrastructure::failpoints::Steps;
use sandgate_infrastructure::memory::{ManualClock, MemorySandboxService};
use sandgate_infrastructure::sqlite::SqliteLedger;
use sandgate_shared::failpoint::Failpoints;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// So often is looked whether the last server has let go of its ledger.
const TRIES: usize = 1000;

/// No power fails here, so that a disk in memory is as good as any, and much faster.
const MEMORY: &str = "/dev/shm";

/// The disk, the provider and the clock.
pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) service: MemorySandboxService,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) key: ApiKey,
}

/// A server in a house.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) sandboxes: Sandboxes,
    pub(crate) ledger: SqliteLedger,
    pub(crate) failpoints: Failpoints,
    pub(crate) service: MemorySandboxService,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) organization: OrganizationId,
    steps: Steps,
}

impl House {
    pub(crate) async fn new() -> Self {
        let memory = Path::new(MEMORY);
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(parent).expect("temporary directory");
        let ledger = SqliteLedger::open(dir.path()).expect("a new ledger");
        let key = ApiKey { id: KeyId::random(), organization: OrganizationId::random() };
        ledger.insert_key(key, KeyHash([1; 32])).await.expect("insert a key");
        let service = MemorySandboxService::new(ledger.instance().clone());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        Self { dir, service, clock, key }
    }

    /// Starts a server, which has recovered nothing yet. The one before must be gone.
    pub(crate) async fn server(&self) -> Server {
        let ledger = self.ledger().await;
        let failpoints = Failpoints::default();
        let steps = Steps::new(failpoints.clone());
        let provider = Provider::new(ProviderKind::Container, Arc::new(self.service.clone()));
        let sandboxes = Sandboxes::new(
            steps.around_ledger(Ledger::new(Arc::new(ledger.clone()))),
            steps.around_provider(provider),
            self.clock.clone(),
        );
        let (service, clock, organization) =
            (self.service.clone(), self.clock.clone(), self.key.organization);
        Server { sandboxes, ledger, failpoints, service, clock, organization, steps }
    }

    /// Tasks that were dropped at a crash may hold the last one for a moment more.
    async fn ledger(&self) -> SqliteLedger {
        for _ in 0..TRIES {
            if let Ok(ledger) = SqliteLedger::open(self.dir.path()) {
                return ledger;
            }
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(1));
        }
        SqliteLedger::open(self.dir.path()).expect("the same ledger")
    }
}

impl Server {
    /// Carries out `work`; `None` where a step hangs and everything at work is dropped there.
    pub(crate) async fn until_crash<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.steps.hung() => None,
            done = work => Some(done),
        }
    }

    /// Lets time pass on every clock.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        tokio::time::advance(time).await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        Clock::now(self.clock.as_ref())
    }
}
