//! Sandboxes as Sandgate understands them: what they are, which steps they take, who may run them.
//!
//! This crate knows no HTTP, no SQL, no Linux and no provider. Providers implement [`SandboxService`] and the small
//! ports beside it; [`Sandboxes`] is what the HTTP layer and programs that embed Sandgate hold.

mod config;
#[cfg(feature = "testing")]
pub mod contract;
mod id;
mod ports;
mod sandbox;
mod sandboxes;
mod state;
mod time;

pub use config::{
    EnvName, Intervals, InvalidConfig, Labels, Language, Network, ResourceLimits, Resources, SandboxConfig,
    SandboxName, SnapshotName, UserName,
};
pub use id::{Attempt, ExternalName, Handle, InstanceId, KeyId, OrganizationId, SandboxId};
#[cfg(feature = "testing")]
pub use ports::mocks;
pub use ports::{
    ApiKey, Change, Clock, Command, CommandResult, Event, EventKind, Found, Inventory, KeyHash,
    KeyRepository, ListQuery, Order, Page, RepositoryError, SandboxInfo, SandboxRef, SandboxRepository,
    SandboxService, ServiceError, Sighting, SortKey, Source, StartStop, Storage, ToolboxAccess,
    ToolboxAddress, Watch,
};
pub use sandbox::Sandbox;
pub use sandboxes::{
    NewSandbox, Noted, Provider, ProviderKind, Recovery, Reserve, Sandboxes, SandboxesError,
};
pub use state::{Answer, Cause, Desired, Observed, Request, Step, answer, next_step};
pub use time::Timestamp;
