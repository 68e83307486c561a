//! The facade over the real ledger and a provider in memory, and over mocks for what neither gives on demand.

mod create;
mod events;
mod lifecycle;
mod meddling;
mod recover;
mod rig;
mod room;
mod settings;
mod sweep;
mod time;
