//! A ledger in a directory of its own, and sandboxes to put into it.

use rusqlite::Connection;
use sandgate_core::{
    Actor, ApiKey, Desired, EnvName, Event, EventKind, Head, Intent, KeyHash, KeyId, KeyRepository, Labels,
    NewSandbox, Observed, OrganizationId, ProviderKind, RepositoryError, ResourceLimits, Sandbox,
    SandboxConfig, SandboxName, SandboxRepository, Timestamp,
};
use sandgate_infrastructure::chain::{Damage, Sound};
use sandgate_infrastructure::sqlite::{Audit, SqliteLedger};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The moment at which everything here begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Asks until `reached` is true, and panics when that takes too long.
pub(crate) async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached().await {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A ledger that knows one organization. Its directory goes with it.
pub(crate) struct Rig {
    pub(crate) ledger: SqliteLedger,
    pub(crate) organization: OrganizationId,
    dir: TempDir,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::new_in(tempfile::tempdir().expect("temporary directory")).await
    }

    pub(crate) async fn new_in(dir: TempDir) -> Self {
        let ledger = SqliteLedger::open(dir.path()).expect("a new ledger");
        let organization = OrganizationId::random();
        let key = ApiKey { id: KeyId::random(), organization };
        ledger.insert_key(key, KeyHash([1; 32])).await.expect("insert a key");
        Self { ledger, organization, dir }
    }

    /// Closes the ledger and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { ledger, organization, dir } = self;
        drop(ledger);
        let ledger = SqliteLedger::open(dir.path()).expect("the same ledger");
        Self { ledger, organization, dir }
    }

    /// Closes the ledger, lets somebody at its files, and opens it again.
    pub(crate) fn reopen_after(self, meddle: impl FnOnce(&Connection)) -> Self {
        let Self { ledger, organization, dir } = self;
        drop(ledger);
        let other = Connection::open(dir.path().join("ledger.db")).expect("open");
        meddle(&other);
        drop(other);
        let ledger = SqliteLedger::open(dir.path()).expect("the same ledger");
        Self { ledger, organization, dir }
    }

    /// A copy of the database as it is now, in a directory of its own.
    pub(crate) fn copy(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("ledger.db");
        self.look().execute("VACUUM INTO ?", [path.to_str().expect("a path in UTF-8")]).expect("copy");
        dir
    }

    /// Checks the log of events as an auditor does.
    pub(crate) fn verify(&self, known: Option<Head>) -> Result<Sound, Damage> {
        Audit::open(self.path()).expect("open for reading").verify(known)
    }

    /// Closes the ledger and leaves its files.
    pub(crate) fn close(self) -> TempDir {
        self.dir
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    /// A second pair of eyes on the rows.
    pub(crate) fn look(&self) -> rusqlite::Connection {
        let read_only = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        rusqlite::Connection::open_with_flags(self.database(), read_only).expect("look")
    }

    /// The answer to a question that has one number for an answer.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        self.look().query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    /// A sandbox that was asked for and is not written yet.
    pub(crate) fn sandbox(&self, name: &str) -> Sandbox {
        sandbox_of(self.organization, name)
    }

    pub(crate) async fn insert(&self, sandbox: &Sandbox) -> Result<(), RepositoryError> {
        self.ledger.insert(&intent(sandbox)).await.map(drop)
    }

    /// Writes a new sandbox of this name.
    pub(crate) async fn inserted(&self, name: &str) -> Sandbox {
        let sandbox = self.sandbox(name);
        self.insert(&sandbox).await.expect("insert");
        sandbox
    }

    /// Commits a change to `sandbox`.
    pub(crate) async fn changed(&self, sandbox: &Sandbox, change: impl FnOnce(&mut Sandbox)) -> Sandbox {
        let changed = next(sandbox, change);
        self.ledger.update(&changed, event(EventKind::Changed)).await.expect("update");
        changed
    }

    /// Brings `sandbox` to its end.
    pub(crate) async fn deleted(&self, sandbox: &Sandbox) -> Sandbox {
        self.changed(sandbox, |s| (s.desired, s.observed) = (Desired::Deleted, Observed::Absent)).await
    }

    pub(crate) async fn find(&self, id_or_name: &str) -> Option<Sandbox> {
        self.ledger.find(self.organization, id_or_name).await.expect("find")
    }
}

/// A sandbox that was asked for.
pub(crate) fn sandbox_of(organization: OrganizationId, name: &str) -> Sandbox {
    let name = Some(SandboxName::parse(name).expect("a name"));
    let config = SandboxConfig::new(ResourceLimits::default().default);
    NewSandbox { name, config, idempotency: None }.asked_for(organization, ProviderKind::Container, START)
}

/// That `sandbox` is asked for.
pub(crate) fn intent(sandbox: &Sandbox) -> Intent {
    Intent { sandbox: sandbox.clone(), event: event(EventKind::Requested), idempotency: None }
}

/// `sandbox` after a change, one generation on.
pub(crate) fn next(sandbox: &Sandbox, change: impl FnOnce(&mut Sandbox)) -> Sandbox {
    let mut changed = sandbox.clone();
    change(&mut changed);
    changed.generation += 1;
    changed
}

pub(crate) fn event(kind: EventKind) -> Event {
    Event { kind, at: START, actor: Actor::Server, detail: Some("a detail".to_owned()) }
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}

pub(crate) fn labels<const N: usize>(labels: [(&str, &str); N]) -> Labels {
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Labels::parse(labels.into()).expect("labels")
}

pub(crate) fn env(name: &str, value: &str) -> (EnvName, String) {
    (EnvName::parse(name).expect("a name"), value.to_owned())
}
