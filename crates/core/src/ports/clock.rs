//! The time, as a port, so that tests can turn it.

use crate::time::{Timestamp, Uptime};

/// Tells the time.
#[cfg_attr(feature = "testing", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The time of day. May leap in either direction: operators turn clocks.
    fn now(&self) -> Timestamp;

    /// How long the host has been up. Goes forward, and leaps never.
    fn uptime(&self) -> Uptime;
}
