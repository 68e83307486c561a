//! A server's inside on a modelled provider, in a time that goes as fast as the ledger can write.

use sandgate_core::{
    Agenda, ApiKey, Attempt, Boot, Clock, Idempotency, IdempotencyKey, KeyHash, KeyId, KeyRepository, Ledger,
    NewSandbox, OrganizationId, Provider, ProviderKind, ResourceLimits, Sandbox, SandboxConfig, SandboxId,
    SandboxName, SandboxRepository, Sandboxes, SandboxesError, Timestamp, Uptime,
};
use sandgate_infrastructure::memory::{MemorySandboxService, Model, ModelledSandboxService, World};
use sandgate_infrastructure::sqlite::SqliteLedger;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// What each write to the ledger takes, and each look at it.
const STEP: Duration = Duration::from_millis(40);

/// Tells tokio's time.
struct FastClock {
    start: Instant,
    boot: Boot,
}

impl FastClock {
    fn elapsed(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).expect("a test is short")
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.elapsed())
    }

    fn uptime(&self) -> Uptime {
        Uptime { boot: self.boot, millis: self.elapsed() }
    }
}

pub(crate) struct Rig {
    pub(crate) sandboxes: Sandboxes,
    pub(crate) ledger: SqliteLedger,
    pub(crate) service: ModelledSandboxService,
    pub(crate) organization: OrganizationId,
    pub(crate) dir: TempDir,
    tasks: Vec<AbortHandle>,
    _hold: mpsc::Sender<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Rig {
    /// A server on such a provider, and its time and upkeep under way. To be made where tokio's time is paused.
    pub(crate) async fn new(model: &str) -> Self {
        let model: Model = model.parse().expect("a model");
        // In memory: a thousand creates are many flushes, which are tested elsewhere.
        let dir = tempfile::tempdir_in("/dev/shm").expect("a temporary folder");
        let ledger = SqliteLedger::open(dir.path()).expect("a new ledger");
        let key = ApiKey { id: KeyId::random(), organization: OrganizationId::random() };
        ledger.insert_key(key, KeyHash([1; 32])).await.expect("a key");
        let sound = MemorySandboxService::in_world(ledger.instance().clone(), World::default());
        let late = model.late;
        let service = ModelledSandboxService::new(sound, model);
        let provider = Provider::new(ProviderKind::Container, Arc::new(service.clone()));
        // A call is answered within a minute or never: what is late is late by that, too.
        let provider = Provider { late: late + Duration::from_mins(1), ..provider };
        let clock = FastClock { start: Instant::now(), boot: Boot(uuid::Uuid::new_v4()) };
        let sandboxes = Sandboxes::new(Ledger::new(Arc::new(ledger.clone())), provider, Arc::new(clock));
        let tasks = vec![
            tokio::spawn(pass(ledger.clone())).abort_handle(),
            tokio::spawn(reconcile(sandboxes.clone())).abort_handle(),
            tokio::spawn(sweep(sandboxes.clone())).abort_handle(),
        ];
        // While a thread blocks, tokio lets time pass only where it is told to.
        let (hold, end) = mpsc::channel();
        tokio::task::spawn_blocking(move || end.recv());
        Self { sandboxes, ledger, service, organization: key.organization, dir, tasks, _hold: hold }
    }

    /// Asks for a sandbox until it is there, as a client does that wants one; gives up what is refused after so many tries.
    /// Returns it with the number of answers that were errors.
    pub(crate) async fn insist(&self, client: usize, tries: usize) -> (Option<Sandbox>, usize) {
        for failed in 0..tries {
            match self.sandboxes.create(self.organization, wish(client)).await {
                Ok(created) => return (Some(created.sandbox), failed),
                Err(
                    SandboxesError::Provider(_)
                    | SandboxesError::NotAdmitted(_)
                    | SandboxesError::NameTaken(_)
                    | SandboxesError::Busy,
                ) => sleep(Duration::from_secs(10)).await,
                Err(error) => panic!("client {client}: {error}"),
            }
        }
        (None, tries)
    }

    pub(crate) async fn living(&self) -> Vec<Sandbox> {
        self.ledger.all_living().await.expect("living")
    }

    /// What the database answers to a question that counts.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        let connection = rusqlite::Connection::open(self.dir.path().join("ledger.db")).expect("the ledger");
        connection.query_row(sql, [], |row| row.get(0)).expect("a number")
    }
}

/// The same whenever a client sends it.
fn wish(client: usize) -> NewSandbox {
    let key = IdempotencyKey::parse(format!("create-{client}")).expect("a key");
    NewSandbox {
        name: Some(SandboxName::parse(format!("s-{client}")).expect("a name")),
        config: SandboxConfig::new(ResourceLimits::default().default),
        idempotency: Some(Idempotency { key, request: [7; 32] }),
    }
}

/// Lets time pass, one step for each write and each look at the ledger, so that it takes no part in how fast this machine is.
/// Tokio's own would leap over the ledger's threads.
async fn pass(ledger: SqliteLedger) {
    loop {
        let nobody = SandboxId::random();
        ledger.touch(nobody, Timestamp::from_millis(0)).await.expect("a write");
        ledger.knows(Attempt::first(nobody)).await.expect("a look");
        tokio::time::advance(STEP).await;
    }
}

async fn reconcile(sandboxes: Sandboxes) {
    loop {
        sandboxes.reconcile().await.expect("reconcile");
        let due = sandboxes.next_due().await.expect("next").unwrap_or(Duration::MAX);
        sleep(due.clamp(Duration::from_millis(200), Duration::from_secs(5))).await;
    }
}

async fn sweep(sandboxes: Sandboxes) {
    loop {
        sleep(Duration::from_secs(15)).await;
        // A provider that is away is swept later.
        let _ = sandboxes.sweep().await;
    }
}

/// Has so many clients at work at once, each beginning a little later than the one before; gives what each was given.
pub(crate) async fn clients(
    rig: &Arc<Rig>,
    count: usize,
    tries: usize,
    between: Duration,
) -> Vec<(Option<Sandbox>, usize)> {
    let mut running = JoinSet::new();
    for client in 0..count {
        let rig = rig.clone();
        running.spawn(async move {
            sleep(between * u32::try_from(client).expect("few")).await;
            rig.insist(client, tries).await
        });
    }
    running.join_all().await
}
