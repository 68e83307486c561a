//! The ledger on a real disk: what it keeps, what it refuses, and what is left of it after a crash.

mod crash;
mod events;
mod idempotency;
mod keys;
mod listing;
mod opening;
mod purge;
mod quotas;
mod rig;
mod sealing;
mod writing;
