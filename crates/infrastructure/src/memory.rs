//! Fakes that keep state: a provider without containers, and a clock that tests turn.

mod clock;
mod service;
mod shell;

pub use clock::ManualClock;
pub use service::MemorySandboxService;
