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
    Actor, ApiKey, Change, Clock, Command, CommandResult, Event, EventHash, EventKind, EventQuery,
    EventRepository, Found, Head, InvalidHead, Inventory, KeyHash, KeyRepository, ListQuery, Order, Page,
    Recorded, RepositoryError, SandboxInfo, SandboxRef, SandboxRepository, SandboxService, ServiceError,
    Sighting, SortKey, Source, StartStop, ToolboxAccess, ToolboxAddress, Watch,
};
pub use sandbox::Sandbox;
pub use sandboxes::{NewSandbox, Noted, Provider, ProviderKind, Recovery, Sandboxes, SandboxesError};
pub use state::{Answer, Cause, Desired, Observed, Request, Step, answer, next_step};
pub use time::Timestamp;
