//! How fast sandboxes may be asked for.

use crate::time::Timestamp;
use std::time::Duration;

/// How much of a rate is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many may be asked for within [`Rate::WINDOW`].
    pub limit: u32,
    /// How many more may be asked for now.
    pub remaining: u32,
    /// How long until there is one more.
    pub reset: Duration,
}

impl Rate {
    /// A minute.
    pub const WINDOW: Duration = Duration::from_mins(1);

    /// The rate after `asked` requests within the window before `now`. `leaving` is the one that makes room when it leaves
    /// the window. One from the future, of before the clock was turned back, leaves a window's length from now.
    pub fn after(asked: u32, limit: u32, leaving: Timestamp, now: Timestamp) -> Self {
        let reset = Self::WINDOW.saturating_sub(now.since(leaving));
        Self { limit, remaining: limit.saturating_sub(asked), reset }
    }

    /// The moment in whole seconds from now on which there is one more: at least one, so that nobody asks again at once.
    pub fn reset_seconds(&self) -> u64 {
        self.reset.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
    }

    /// The tighter of two.
    #[must_use]
    pub fn tighter(self, other: Option<Self>) -> Self {
        other.filter(|other| other.remaining < self.remaining).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_when_the_request_leaves_the_window() {
        let after = |asked, leaving, now| {
            let rate = Rate::after(asked, 10, Timestamp::from_millis(leaving), Timestamp::from_millis(now));
            (rate.remaining, rate.reset_seconds())
        };
        assert_eq!(after(1, 0, 0), (9, 60));
        assert_eq!(after(10, 0, 30_500), (0, 30));
        assert_eq!(after(12, 0, 59_999), (0, 1));
        assert_eq!(after(10, 0, 60_000), (0, 1));
        assert_eq!(after(3, 20_000, 0), (7, 60), "a clock turned back");
    }

    #[test]
    fn the_tighter_rate_is_told() {
        let rate = |remaining| Rate { limit: 10, remaining, reset: Rate::WINDOW };
        assert_eq!(rate(3).tighter(Some(rate(2))), rate(2));
        assert_eq!(rate(3).tighter(Some(rate(4))), rate(3));
        assert_eq!(rate(3).tighter(None), rate(3));
    }
}
