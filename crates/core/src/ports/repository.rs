//! The ledger of sandboxes, as the core sees it.

use super::events::Actor;
use crate::admission::{Admitted, Idempotency, NotAdmitted};
use crate::id::{OrganizationId, SandboxId};
use crate::sandbox::Sandbox;
use crate::state::{Desired, Observed};
use crate::time::Timestamp;
use async_trait::async_trait;
use sandgate_shared::ErrorCode;
use std::collections::BTreeMap;

/// Keeps sandboxes. What a call returned `Ok` for is on disk.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait SandboxRepository: Send + Sync {
    /// Writes a new sandbox, its attempt and its event in one transaction, before any effect. In the same transaction it
    /// is admitted: however many come at once, no quota and no rate is exceeded, and no request has its effect twice.
    async fn insert(&self, intent: &Intent) -> Result<Admitted, RepositoryError>;

    /// Writes `sandbox` and `event` in one transaction, if the ledger still holds the generation before it, and where a
    /// start was asked for, if the quotas admit it.
    async fn update(&self, sandbox: &Sandbox, event: Event) -> Result<(), RepositoryError>;

    /// As [`Self::update`], of what nobody would want to read about once more: no event.
    async fn amend(&self, sandbox: &Sandbox) -> Result<(), RepositoryError>;

    /// Notes that a sandbox was used. Not a change: no event, no new generation.
    async fn touch(&self, id: SandboxId, at: Timestamp) -> Result<(), RepositoryError>;

    /// A sandbox by id or by name. What has been deleted is not found.
    async fn find(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Option<Sandbox>, RepositoryError>;

    /// One page of an organization's sandboxes.
    async fn list(&self, organization: OrganizationId, query: &ListQuery) -> Result<Page, RepositoryError>;

    /// The sandbox of this id, whoever it belongs to, if something of it may still exist; for the reconciler.
    async fn living(&self, id: SandboxId) -> Result<Option<Sandbox>, RepositoryError>;

    /// Every sandbox of which something may still exist, for the reconciler.
    async fn all_living(&self) -> Result<Vec<Sandbox>, RepositoryError>;

    /// Forgets the idempotency keys that have expired at `now`.
    async fn purge_idempotency(&self, now: Timestamp) -> Result<(), RepositoryError>;
}

/// A sandbox that is asked for, with what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// What is to be.
    pub sandbox: Sandbox,
    /// What is noted of the request.
    pub event: Event,
    /// The request's name, where it is to have its effect once.
    pub idempotency: Option<Idempotency>,
}

/// How a sandbox stands, as far as clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stance {
    /// What is wanted.
    pub desired: Desired,
    /// What was seen last.
    pub observed: Observed,
    /// Whether a change of it was given up and waits for somebody.
    pub parked: bool,
}

impl Stance {
    /// How `sandbox` stands.
    pub fn of(sandbox: &Sandbox) -> Self {
        Self { desired: sandbox.desired, observed: sandbox.observed, parked: sandbox.is_parked() }
    }

    /// Every one there may be.
    pub fn all() -> impl Iterator<Item = Self> {
        Desired::ALL.into_iter().flat_map(|desired| {
            Observed::ALL
                .into_iter()
                .flat_map(move |observed| [false, true].map(|parked| Self { desired, observed, parked }))
        })
    }
}

/// What happened, for the log of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// One clause more, such as a cause. Never a secret, never output.
    pub detail: Option<String>,
}

/// The kinds of events. Their texts are kept in the ledger and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Somebody asked for a sandbox.
    Requested,
    /// It runs.
    Started,
    /// Somebody asked for it to be started again.
    StartRequested,
    /// Somebody asked for it to be stopped.
    StopRequested,
    /// It does not run any more.
    Stopped,
    /// It does not work.
    Failed,
    /// Somebody asked for its end.
    DeleteRequested,
    /// It is gone.
    Deleted,
    /// Labels or intervals were changed.
    Changed,
    /// Nobody knows what became of an attempt to make it; another one follows.
    Abandoned,
    /// A change failed and is tried again later.
    Postponed,
    /// A change failed too often, and waits for somebody.
    Parked,
    /// It has been stopped for as long as its auto-archive interval.
    ArchiveDue,
}

impl EventKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Requested,
        Self::Started,
        Self::StartRequested,
        Self::StopRequested,
        Self::Stopped,
        Self::Failed,
        Self::DeleteRequested,
        Self::Deleted,
        Self::Changed,
        Self::Abandoned,
        Self::Postponed,
        Self::Parked,
        Self::ArchiveDue,
    ];

    /// The text in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "sandbox.requested",
            Self::Started => "sandbox.started",
            Self::StartRequested => "sandbox.start-requested",
            Self::StopRequested => "sandbox.stop-requested",
            Self::Stopped => "sandbox.stopped",
            Self::Failed => "sandbox.failed",
            Self::DeleteRequested => "sandbox.delete-requested",
            Self::Deleted => "sandbox.deleted",
            Self::Changed => "sandbox.changed",
            Self::Abandoned => "sandbox.attempt-abandoned",
            Self::Postponed => "sandbox.postponed",
            Self::Parked => "sandbox.parked",
            Self::ArchiveDue => "sandbox.archive-due",
        }
    }
}

/// Which sandboxes, in which order, from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// At most so many.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Every one of these labels.
    pub labels: BTreeMap<String, String>,
    /// Names that begin with this.
    pub name_prefix: Option<String>,
    /// Ids that begin with this.
    pub id_prefix: Option<String>,
    /// Any of these; empty means every one.
    pub states: Vec<Stance>,
    /// By what to sort.
    pub sort: SortKey,
    /// Which way.
    pub order: Order,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            limit: 100,
            cursor: None,
            labels: BTreeMap::new(),
            name_prefix: None,
            id_prefix: None,
            states: Vec::new(),
            sort: SortKey::LastActivityAt,
            order: Order::Descending,
        }
    }
}

/// By what a list is sorted; ties are broken by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// The name.
    Name,
    /// Cores.
    Cpu,
    /// Memory.
    Memory,
    /// Disk.
    Disk,
    /// The last use.
    LastActivityAt,
    /// The request.
    CreatedAt,
}

/// Which way a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The sandboxes.
    pub items: Vec<Sandbox>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Why the ledger did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A living sandbox of the organization has this name.
    #[error("the name is taken")]
    NameTaken,
    /// A quota, a rate or an idempotency key is against it.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// Somebody else changed the sandbox in between.
    #[error("the sandbox was changed in between")]
    Stale,
    /// A cursor that this ledger did not give.
    #[error("the cursor is not one that this server gave")]
    BadCursor,
    /// No room for another row.
    #[error(
        "the disk of the ledger is full: no sandbox can be made until there is room on it; sandboxes run on, and can be \
         stopped and deleted"
    )]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The disk refuses, or has failed. What was acknowledged before is not touched by that.
    #[error(
        "the disk of the ledger cannot be used at the moment, it may be read-only or broken: look at the server's log and \
         try again"
    )]
    Disk(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The ledger cannot be read or written.
    #[error("the ledger cannot be used")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl RepositoryError {
    /// The code for machines.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NameTaken | Self::Stale => ErrorCode::Conflict,
            Self::NotAdmitted(reason) => reason.code(),
            Self::BadCursor => ErrorCode::BadRequest,
            Self::Full(_) => ErrorCode::InsufficientStorage,
            Self::Disk(_) => ErrorCode::ServiceUnavailable,
            Self::Broken(_) => ErrorCode::Internal,
        }
    }
}
