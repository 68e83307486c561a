//! What the operator has decided about all sandboxes.

use crate::time::Timestamp;
use std::time::Duration;

/// Rules for all sandboxes of this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The longest that a sandbox may live, in minutes; `None` is for ever.
    pub max_lifetime: Option<u32>,
    /// How long a thing of ours that the ledger does not know is left alone before it is deleted.
    pub orphan_grace: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_lifetime: None, orphan_grace: Duration::from_secs(30) }
    }
}

impl Policy {
    /// How long a sandbox that is made at `now` may live at the most.
    pub(super) fn lives_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.max_lifetime.map(|minutes| now.plus_minutes(minutes))
    }
}

/// When a sandbox is deleted whatever it is doing, if it may live for `ttl` minutes from `now`, and not beyond `lives_until`;
/// 0 is for as long as that.
pub(super) fn end_of_life(now: Timestamp, ttl: u32, lives_until: Option<Timestamp>) -> Option<Timestamp> {
    let asked_for = (ttl > 0).then(|| now.plus_minutes(ttl));
    asked_for.into_iter().chain(lives_until).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_life_is_what_was_asked_for_within_what_is_allowed() {
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let end = |max_lifetime, ttl| {
            let policy = Policy { max_lifetime, ..Policy::default() };
            end_of_life(at(100), ttl, policy.lives_until(at(0)))
        };
        assert_eq!(end(None, 0), None);
        assert_eq!(end(None, 5), Some(at(105)));
        assert_eq!(end(Some(200), 0), Some(at(200)));
        assert_eq!(end(Some(200), 5), Some(at(105)));
        assert_eq!(end(Some(50), 5), Some(at(50)));
        assert_eq!(end(None, u32::MAX), Some(at(100 + i64::from(u32::MAX))));
    }
}
