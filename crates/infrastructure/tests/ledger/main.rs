//! The ledger on a real disk: what it keeps, what it refuses, and what is left of it after a crash.

mod backup;
mod crash;
mod failing;
mod full_disk;
mod golden;
mod idle;
mod keys;
mod listing;
mod opening;
mod rig;
mod sealing;
mod torn;
mod writing;
