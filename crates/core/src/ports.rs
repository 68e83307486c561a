//! What the core needs from outside: providers, the ledger, the clock. Adapters implement these.

mod agenda;
mod clock;
mod events;
mod keys;
mod repository;
mod service;
mod storage;
mod timeline;
mod usage;
mod watch;

pub use agenda::{Abandoned, Agenda};
pub use clock::Clock;
pub use events::{Actor, EventHash, EventQuery, EventRepository, Head, InvalidHead, Recorded};
pub use keys::{ApiKey, KeyHash, KeyRepository};
pub use repository::{
    Event, EventKind, Intent, ListQuery, Order, Page, RepositoryError, SandboxRepository, SortKey, Stance,
};
pub use service::{
    Command, CommandResult, Found, Inventory, SandboxInfo, SandboxRef, SandboxService, ServiceError, Source,
    StartStop, ToolboxAccess, ToolboxAddress,
};
pub use storage::Storage;
pub use timeline::{Anchor, Timeline};
pub use usage::{UsageQuery, UsageReport, UsageRepository, Used};
pub use watch::{Change, Sighting, Watch};

/// Mocks of the ports, to inject the failures that a real adapter will not give on demand.
#[cfg(feature = "testing")]
pub mod mocks {
    pub use super::agenda::MockAgenda;
    pub use super::clock::MockClock;
    pub use super::events::MockEventRepository;
    pub use super::keys::MockKeyRepository;
    pub use super::repository::MockSandboxRepository;
    pub use super::service::{MockInventory, MockSandboxService, MockStartStop, MockToolboxAccess};
    pub use super::timeline::MockTimeline;
    pub use super::usage::MockUsageRepository;
    pub use super::watch::MockWatch;
}
