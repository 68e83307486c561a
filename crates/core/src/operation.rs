//! A change that has not come to its end: how often it was tried, and when it is tried again.

use crate::id::SandboxId;
use crate::time::Timestamp;
use std::time::Duration;

/// How a change of one sandbox is gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// How often it was tried in vain.
    pub tries: u32,
    /// When the reconciler takes it up. Until then it belongs to whoever asked for it.
    pub next_at: Timestamp,
    /// Whether it was given up until somebody asks for it again.
    pub parked: bool,
}

impl Operation {
    /// How long a request has for its change before the reconciler takes it up.
    pub const GRACE: Duration = Duration::from_mins(1);
    /// After so many tries it is parked.
    pub const TRIES: u32 = 20;
    /// A timer is tried so often before it is tried seldom.
    const SOON: u32 = 5;
    const SELDOM: Duration = Duration::from_mins(1);
    /// Between two tries at first, and at the most.
    const FIRST_PAUSE: Duration = Duration::from_millis(200);
    const LONGEST_PAUSE: Duration = Duration::from_secs(30);

    /// One that somebody asked for at `now`.
    pub fn begun(now: Timestamp) -> Self {
        Self { tries: 0, next_at: now.plus(Self::GRACE), parked: false }
    }

    /// The same after one more try that failed at `now`. What may help only later, such as a provider that cannot be
    /// reached, is tried for ever.
    #[must_use]
    pub fn failed(self, id: SandboxId, now: Timestamp, for_good: bool) -> Self {
        let tries = self.tries.saturating_add(1);
        Self { tries, next_at: now.plus(pause(id, tries)), parked: for_good && tries >= Self::TRIES }
    }

    /// The same, for a timer that strikes in vain again and again: nobody waits for it, and each time is an event.
    #[must_use]
    pub fn not_before(self, now: Option<Timestamp>) -> Self {
        match now {
            Some(now) if self.tries > Self::SOON => {
                Self { next_at: self.next_at.max(now.plus(Self::SELDOM)), ..self }
            }
            _ => self,
        }
    }
}

/// Exponential with full jitter, so that many that failed together do not come back together. The jitter is drawn from
/// the id: no two sandboxes have the same.
fn pause(id: SandboxId, tries: u32) -> Duration {
    let longest = Operation::FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(Operation::LONGEST_PAUSE);
    let whole = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(id.draw(tries) % whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn the_pauses_grow_differ_and_have_a_bound() {
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let id = SandboxId::random();
            for tries in 1..40 {
                let pause = pause(id, tries);
                assert!(
                    pause < Operation::LONGEST_PAUSE && pause < Operation::FIRST_PAUSE * (1 << tries.min(16))
                );
                longest = longest.max(pause);
            }
        }
        assert!(longest > Duration::from_secs(25), "the whole width is used: {longest:?}");
        let pauses: std::collections::HashSet<_> = (0..50).map(|_| pause(SandboxId::random(), 9)).collect();
        assert!(pauses.len() > 45, "they come back one by one");
    }

    #[test]
    fn it_is_parked_after_many_tries_unless_the_provider_was_only_away() {
        let id = SandboxId::random();
        let after = |for_good| {
            (0..Operation::TRIES).fold(Operation::begun(NOW), |it, _| it.failed(id, NOW, for_good))
        };
        assert!(after(true).parked);
        assert!(!after(false).parked);
        assert!(!Operation::begun(NOW).failed(id, NOW, true).parked);
    }
}
