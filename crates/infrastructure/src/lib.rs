//! Every adapter of the core's ports, one folder each.

pub mod chain;
pub mod clock;
pub mod container;
pub mod data_dir;
pub mod disk;
#[cfg(debug_assertions)]
pub mod failpoints;
pub mod memory;
pub mod sqlite;
