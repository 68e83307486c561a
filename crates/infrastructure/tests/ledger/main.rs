//! The ledger on a real disk: what it keeps, what it refuses, and what is left of it after a crash.

mod backup;
mod crash;
mod events;
mod failing;
mod full_disk;
mod golden;
mod idempotency;
mod idle;
mod keys;
mod listing;
mod opening;
mod purge;
mod quotas;
mod rig;
mod sealing;
mod torn;
mod writing;
