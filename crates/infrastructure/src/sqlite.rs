//! The ledger in `SQLite`: every sandbox, attempt, key and event of one installation.
//!
//! One thread writes and commits in groups; what lives is also kept in memory, where it is found; lists are read from
//! the database beside the writer.

mod agenda;
mod audit;
mod backup;
mod ballast;
mod cursor;
mod desk;
mod error;
mod events;
mod files;
mod idempotency;
mod index;
mod list;
mod meta;
mod migrations;
mod open;
mod purge;
mod quotas;
mod readers;
mod rows;
mod seal;
mod timeline;
mod words;
mod write;
mod writer;

pub use audit::Audit;
pub use backup::{BackupError, backup, restore};
pub use error::OpenError;
pub use purge::{Purged, Retention};

use async_trait::async_trait;
use desk::Desk;
use index::Index;
use list::Selection;
use open::{Opened, READERS};
use readers::Readers;
use sandgate_core::{
    Abandoned, Admitted, Agenda, Anchor, ApiKey, Attempt, Event, EventQuery, EventRepository, InstanceId,
    Intent, KeyHash, KeyRepository, ListQuery, OrganizationId, Page, Quotas, Recorded, RepositoryError,
    Sandbox, SandboxId, SandboxRepository, Scope, Timeline, Timestamp, UsageQuery, UsageReport,
    UsageRepository,
};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use write::{Context, Write};
use writer::Writer;

/// An open ledger. Clones are the same ledger; with the last of them it is closed, which waits for the disk.
///
/// A sandbox belongs to an organization that the ledger knows: the one of a key that was inserted before.
#[derive(Clone)]
pub struct SqliteLedger(Arc<Ledger>);

/// Fields are dropped from the first to the last: the directory is free when nobody reads or writes any more.
struct Ledger {
    instance: InstanceId,
    index: Arc<RwLock<Index>>,
    quotas: Arc<RwLock<Quotas>>,
    readers: Readers<READERS>,
    writer: Writer,
    _lock: File,
}

impl SqliteLedger {
    /// Opens the ledger in `dir`, or makes one: `ledger.db`, `ledger.lock` and `seal.key`. Blocking: call it before
    /// anybody is served.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let Opened { lock, instance, seal, index, writer, readers } = open::open(dir)?;
        let index = Arc::new(RwLock::new(index));
        let quotas = Arc::default();
        let context = Context { instance: instance.clone(), seal, quotas: Arc::clone(&quotas) };
        let desk = Desk::new(dir, writer, context, index.clone());
        let writer = Writer::start(desk).map_err(|source| OpenError::Io {
            dir: dir.to_owned(),
            operation: "served",
            source: source.into(),
        })?;
        Ok(Self(Arc::new(Ledger {
            instance,
            index,
            quotas,
            readers: Readers::new(readers),
            writer,
            _lock: lock,
        })))
    }

    /// Keeps to `quotas` from now on. Without any, everything is admitted.
    pub fn limit(&self, quotas: Quotas) {
        *self.0.quotas.write().unwrap_or_else(PoisonError::into_inner) = quotas;
    }

    fn quotas(&self) -> RwLockReadGuard<'_, Quotas> {
        self.0.quotas.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The installation whose ledger this is.
    pub fn instance(&self) -> &InstanceId {
        &self.0.instance
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxRepository for SqliteLedger {
    async fn insert(&self, intent: &Intent) -> Result<Admitted, RepositoryError> {
        self.0.writer.write(Write::Insert(Arc::new(intent.clone()))).await
    }

    async fn update(&self, sandbox: &Sandbox, event: Event) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Update(Arc::new(sandbox.clone()), event)).await.map(drop)
    }

    async fn amend(&self, sandbox: &Sandbox) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Amend(Arc::new(sandbox.clone()))).await.map(drop)
    }

    async fn touch(&self, id: SandboxId, at: Timestamp) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Touch(id, at)).await.map(drop)
    }

    async fn find(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Option<Sandbox>, RepositoryError> {
        let found = self.index().find(organization, id_or_name);
        Ok(found.map(Arc::unwrap_or_clone))
    }

    async fn list(&self, organization: OrganizationId, query: &ListQuery) -> Result<Page, RepositoryError> {
        let selection = Selection::new(organization, query)?;
        let page = self.0.readers.ask(move |connection| selection.run(connection)).await?;
        let items = self.index().get_all(&page.ids);
        Ok(Page { items: items.into_iter().map(Arc::unwrap_or_clone).collect(), next: page.next })
    }

    async fn living(&self, id: SandboxId) -> Result<Option<Sandbox>, RepositoryError> {
        let found = self.index().get_all(&[id]);
        Ok(found.into_iter().next().map(Arc::unwrap_or_clone))
    }

    async fn all_living(&self) -> Result<Vec<Sandbox>, RepositoryError> {
        let all = self.index().all();
        Ok(all.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn purge_idempotency(&self, now: Timestamp) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Purge(now)).await.map(drop)
    }
}

#[async_trait]
impl UsageRepository for SqliteLedger {
    async fn usage(&self, query: &UsageQuery) -> Result<UsageReport, RepositoryError> {
        let mut report = UsageReport {
            organization_quota: self.quotas().of_organization(query.organization),
            key_quota: self.quotas().of_key(query.key),
            ..UsageReport::default()
        };
        let UsageQuery { organization, key, at, .. } = *query;
        let creates = self.0.readers.ask(move |connection| {
            let asked = |scope, owner: String| quotas::asked(connection, scope, &owner, at);
            Ok((asked(Scope::Organization, organization.to_string())?, asked(Scope::Key, key.to_string())?))
        });
        (report.organization_creates, report.key_creates) = creates.await?;
        self.index().each_of(organization, |sandbox| report.add(sandbox, query));
        Ok(report)
    }
}

#[async_trait]
impl Agenda for SqliteLedger {
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Sandbox>, RepositoryError> {
        let due = self.index().due(now, limit);
        Ok(due.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, RepositoryError> {
        Ok(self.index().next_due())
    }

    async fn abandoned(&self, now: Timestamp) -> Result<Vec<Abandoned>, RepositoryError> {
        self.0.readers.ask(move |connection| agenda::abandoned(connection, now)).await
    }

    async fn note_abandoned(&self, abandoned: &Abandoned) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Abandoned(*abandoned)).await.map(drop)
    }

    async fn knows(&self, attempt: Attempt) -> Result<bool, RepositoryError> {
        self.0.readers.ask(move |connection| agenda::knows(connection, attempt)).await
    }

    async fn is_doubtful(&self) -> Result<bool, RepositoryError> {
        self.0.readers.ask(agenda::is_doubtful).await
    }

    async fn trust(&self) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Trust).await.map(drop)
    }
}

#[async_trait]
impl Timeline for SqliteLedger {
    async fn anchor(&self) -> Result<Option<Anchor>, RepositoryError> {
        Ok(self.index().anchor())
    }

    async fn set_anchor(&self, anchor: Anchor) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Anchor(anchor)).await.map(drop)
    }

    async fn shift(&self, millis: i64, anchor: Anchor) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Shift(millis, anchor)).await.map(drop)
    }
}

#[async_trait]
impl KeyRepository for SqliteLedger {
    async fn find_key(&self, hash: KeyHash) -> Result<Option<ApiKey>, RepositoryError> {
        Ok(self.index().key(hash))
    }

    async fn first_organization(&self) -> Result<Option<OrganizationId>, RepositoryError> {
        Ok(self.index().first_organization())
    }

    async fn insert_key(&self, key: ApiKey, hash: KeyHash) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Key(key, hash)).await.map(drop)
    }
}

#[async_trait]
impl EventRepository for SqliteLedger {
    async fn events(
        &self,
        organization: OrganizationId,
        query: &EventQuery,
    ) -> Result<Vec<Recorded>, RepositoryError> {
        let query = query.clone();
        self.0.readers.ask(move |connection| events::page(connection, organization, &query)).await
    }
}
