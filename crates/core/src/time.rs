//! Moments, as the ledger keeps them.

use std::time::Duration;

/// How long the host has been up, its sleep included. No operator can turn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uptime {
    /// Which start of the host this counts from.
    pub boot: Boot,
    /// For how long.
    pub millis: i64,
}

/// One start of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot(pub uuid::Uuid);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The moment so many minutes later.
    #[must_use]
    pub fn plus_minutes(self, minutes: u32) -> Self {
        self.plus(Duration::from_secs(u64::from(minutes) * 60))
    }

    /// The moment `millis` milliseconds later, or earlier where that is negative.
    #[must_use]
    pub const fn shifted(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero where the clock was turned back in between.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}
