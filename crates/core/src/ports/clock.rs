//! The time of day, as a port, so that tests can turn it.

use crate::time::Timestamp;

/// Tells the time.
#[cfg_attr(feature = "testing", mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now. May jump in either direction: operators turn clocks.
    fn now(&self) -> Timestamp;
}
