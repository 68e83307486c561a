//! The host's clocks.

use rustix::time::{ClockId, clock_gettime};
use sandgate_core::{Boot, Clock, Timestamp, Uptime};
use uuid::Uuid;

/// Tells the host's time of day, and how long it has been up.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    boot: Boot,
}

impl SystemClock {
    /// The clocks since this start of the host. Without a `/proc` each server counts as a start of the host: nothing ages
    /// between two of them.
    pub fn new() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let id = text.ok().and_then(|text| Uuid::try_parse(text.trim()).ok());
        Self { boot: Boot(id.unwrap_or_else(Uuid::new_v4)) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    fn uptime(&self) -> Uptime {
        let since = clock_gettime(ClockId::Boottime);
        Uptime { boot: self.boot, millis: since.tv_sec * 1000 + since.tv_nsec / 1_000_000 }
    }
}
