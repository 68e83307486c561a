//! What the core needs from outside: providers, the ledger, the clock. Adapters implement these.

mod clock;
mod keys;
mod repository;
mod service;
mod storage;
mod watch;

pub use clock::Clock;
pub use keys::{ApiKey, KeyHash, KeyRepository};
pub use repository::{Event, EventKind, ListQuery, Order, Page, RepositoryError, SandboxRepository, SortKey};
pub use service::{
    Command, CommandResult, Found, Inventory, SandboxInfo, SandboxRef, SandboxService, ServiceError, Source,
    StartStop, ToolboxAccess, ToolboxAddress,
};
pub use storage::Storage;
pub use watch::{Change, Sighting, Watch};

/// Mocks of the ports, to inject the failures that a real adapter will not give on demand.
#[cfg(feature = "testing")]
pub mod mocks {
    pub use super::clock::MockClock;
    pub use super::keys::MockKeyRepository;
    pub use super::repository::MockSandboxRepository;
    pub use super::service::{MockInventory, MockSandboxService, MockStartStop, MockToolboxAccess};
    pub use super::watch::MockWatch;
}
