//! Sandboxes as Sandgate understands them: what they are, which steps they take, who may run them.
//!
//! This crate knows no HTTP, no SQL, no Linux and no provider. Providers implement [`SandboxService`] and the small
//! ports beside it; [`Sandboxes`] is what the HTTP layer and programs that embed Sandgate hold.

mod admission;
mod agenda;
mod config;
#[cfg(feature = "testing")]
pub mod contract;
mod id;
mod operation;
mod ports;
mod sandbox;
mod sandboxes;
mod state;
mod time;

pub use admission::{
    Admitted, Excess, Idempotency, IdempotencyKey, Measure, NotAdmitted, Quota, Quotas, Rate, Reserved, Scope,
};
pub use agenda::{Task, Timer};
pub use config::{
    EnvName, Intervals, InvalidConfig, Labels, Language, Network, ResourceLimits, Resources, SandboxConfig,
    SandboxName, SnapshotName, UserName,
};
pub use id::{Attempt, ExternalName, Handle, InstanceId, KeyId, OrganizationId, SandboxId};
pub use operation::Operation;
#[cfg(feature = "testing")]
pub use ports::mocks;
pub use ports::{
    Abandoned, Actor, Agenda, Anchor, ApiKey, Change, Clock, Command, CommandResult, Event, EventHash,
    EventKind, EventQuery, EventRepository, Found, Head, Intent, InvalidHead, Inventory, KeyHash,
    KeyRepository, ListQuery, Order, Page, Recorded, RepositoryError, SandboxInfo, SandboxRef,
    SandboxRepository, SandboxService, ServiceError, Sighting, SortKey, Source, Stance, StartStop, Storage,
    Timeline, ToolboxAccess, ToolboxAddress, UsageQuery, UsageReport, UsageRepository, Used, Watch,
};
pub use sandbox::Sandbox;
pub use sandboxes::{
    Created, Ledger, NewSandbox, Noted, Policy, Provider, ProviderKind, Reconciled, Recovery, Reserve,
    Sandboxes, SandboxesError, Swept,
};
pub use state::{Answer, Cause, Desired, Observed, Request, Step, answer, next_step};
pub use time::{Boot, Timestamp, Uptime};
