//! Failpoints: places where a debug build can be told to fail, so that a test may see what is left behind.
//!
//! They are told by a line such as `provider.create.before=2*off->1*crash;container.bound=delay(50)`: at each name a chain of
//! modes, each for so many passages, or for all that follow. A release build has neither the places nor their names.

#[cfg(debug_assertions)]
mod line;
#[cfg(debug_assertions)]
mod registry;

#[cfg(debug_assertions)]
pub use line::InvalidFailpoints;
#[cfg(debug_assertions)]
pub use registry::{Failpoints, Mode, arm};

use std::io;

/// Passes the failpoint `name` of this process, which may end the process, keep it waiting, or fail as a step does.
#[cfg(debug_assertions)]
pub fn hit(name: &str) -> io::Result<()> {
    registry::hit(name)
}

/// Does nothing: this build has no failpoints.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn hit(_name: &str) -> io::Result<()> {
    Ok(())
}
