//! Fakes that keep state: a provider without containers, what can be wrong with one, and a clock that tests turn.

mod clock;
mod dice;
mod folder;
mod map;
mod model;
mod modelled;
mod operation;
mod service;
mod shell;
mod switch;
mod world;

pub use clock::ManualClock;
pub use model::{InvalidModel, Model};
pub use modelled::ModelledSandboxService;
pub use operation::Operation;
pub use service::MemorySandboxService;
pub use switch::Switch;
pub use world::World;
