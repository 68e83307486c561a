//! The ledger in `SQLite`: every sandbox, attempt, key and event of one installation.
//!
//! One thread writes and commits in groups; what lives is also kept in memory, where it is found; lists are read from
//! the database beside the writer.

mod backup;
mod ballast;
mod cursor;
mod desk;
mod error;
mod files;
mod index;
mod list;
mod migrations;
mod open;
mod readers;
mod rows;
mod seal;
mod words;
mod write;
mod writer;

pub use backup::{BackupError, backup, restore};
pub use error::OpenError;

use async_trait::async_trait;
use desk::Desk;
use index::Index;
use list::Selection;
use open::{Opened, READERS};
use readers::Readers;
use sandgate_core::{
    ApiKey, Event, InstanceId, KeyHash, KeyRepository, ListQuery, OrganizationId, Page, RepositoryError,
    Sandbox, SandboxId, SandboxRepository, Timestamp,
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
    restored_at: Option<Timestamp>,
    index: Arc<RwLock<Index>>,
    readers: Readers<READERS>,
    writer: Writer,
    _lock: File,
}

impl SqliteLedger {
    /// Opens the ledger in `dir`, or makes one: `ledger.db`, `ledger.lock` and `seal.key`. Blocking: call it before
    /// anybody is served.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let Opened { lock, instance, restored_at, seal, index, writer, readers } = open::open(dir)?;
        let index = Arc::new(RwLock::new(index));
        let context = Context { instance: instance.clone(), seal };
        let desk = Desk::new(dir, writer, context, index.clone());
        let writer = Writer::start(desk).map_err(|source| OpenError::Io {
            dir: dir.to_owned(),
            operation: "served",
            source: source.into(),
        })?;
        Ok(Self(Arc::new(Ledger {
            instance,
            restored_at,
            index,
            readers: Readers::new(readers),
            writer,
            _lock: lock,
        })))
    }

    /// The installation whose ledger this is.
    pub fn instance(&self) -> &InstanceId {
        &self.0.instance
    }

    /// When the ledger was put back from a backup, if it was. What it does not know may then be what it has forgotten.
    pub fn restored_at(&self) -> Option<Timestamp> {
        self.0.restored_at
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxRepository for SqliteLedger {
    async fn insert(&self, sandbox: &Sandbox, event: Event) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Insert(Arc::new(sandbox.clone()), event)).await
    }

    async fn update(&self, sandbox: &Sandbox, event: Event) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Update(Arc::new(sandbox.clone()), event)).await
    }

    async fn touch(&self, id: SandboxId, at: Timestamp) -> Result<(), RepositoryError> {
        self.0.writer.write(Write::Touch(id, at)).await
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
        self.0.writer.write(Write::Key(key, hash)).await
    }
}
