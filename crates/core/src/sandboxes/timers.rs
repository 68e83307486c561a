//! Ending sandboxes whose interval has run out, from rows alone: nothing is kept in memory that a restart would lose.

use super::{Sandboxes, SandboxesError};
use crate::ports::Actor;
use crate::sandbox::Sandbox;
use crate::state::{Observed, Request, Step, next_step};
use crate::time::Timestamp;
use std::time::Duration;

impl Sandboxes {
    /// Stops what has not been used, and deletes what has been stopped, for longer than its intervals say. Returns
    /// how many were ended; one that cannot be ended now is tried again by the next call.
    pub async fn enforce_intervals(&self) -> Result<usize, SandboxesError> {
        let (timer, now) = (self.by(Actor::Timer), self.clock.now());
        let mut ended = 0;
        for sandbox in self.ledger.all_living().await? {
            let id = sandbox.id.to_string();
            let outcome = match due(&sandbox, now) {
                Some(Request::Stop) => timer.stop(sandbox.organization, &id).await,
                Some(Request::Delete) => timer.delete(sandbox.organization, &id).await,
                Some(Request::Start) | None => continue,
            };
            ended += usize::from(outcome.is_ok());
        }
        Ok(ended)
    }
}

/// What a sandbox's intervals ask for at `now`.
fn due(sandbox: &Sandbox, now: Timestamp) -> Option<Request> {
    if next_step(sandbox.desired, sandbox.observed) != Step::Rest {
        return None;
    }
    let intervals = &sandbox.config.intervals;
    match sandbox.observed {
        Observed::Started if intervals.auto_stop > 0 => {
            has_passed(intervals.auto_stop, sandbox.last_activity_at, now).then_some(Request::Stop)
        }
        Observed::Stopped => {
            has_passed(intervals.auto_delete?, sandbox.updated_at, now).then_some(Request::Delete)
        }
        _ => None,
    }
}

fn has_passed(minutes: u32, since: Timestamp, now: Timestamp) -> bool {
    now.since(since) >= Duration::from_secs(u64::from(minutes) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Intervals, ResourceLimits, SandboxConfig, SandboxName};
    use crate::id::{OrganizationId, SandboxId};
    use crate::sandboxes::ProviderKind;
    use crate::state::Desired;

    const MINUTE: i64 = 60_000;

    fn sandbox(desired: Desired, observed: Observed, intervals: Intervals) -> Sandbox {
        let start = Timestamp::from_millis(0);
        let config = SandboxConfig { intervals, ..SandboxConfig::new(ResourceLimits::default().default) };
        Sandbox {
            id: SandboxId::random(),
            organization: OrganizationId::random(),
            name: SandboxName::parse("a").expect("name"),
            config,
            provider: ProviderKind::Container,
            attempt: 1,
            handle: None,
            desired,
            observed,
            cause: None,
            generation: 1,
            created_at: start,
            updated_at: start,
            last_activity_at: start,
        }
    }

    fn due_after(minutes: i64, sandbox: &Sandbox) -> Option<Request> {
        due(sandbox, Timestamp::from_millis(minutes * MINUTE))
    }

    #[test]
    fn an_unused_sandbox_is_stopped_when_its_interval_is_over_and_not_before() {
        let running = sandbox(Desired::Started, Observed::Started, Intervals::default());
        assert_eq!(due_after(14, &running), None);
        assert_eq!(due_after(15, &running), Some(Request::Stop));
        let for_ever = Intervals { auto_stop: 0, ..Intervals::default() };
        assert_eq!(due_after(1_000_000, &sandbox(Desired::Started, Observed::Started, for_ever)), None);
    }

    #[test]
    fn a_stopped_sandbox_is_deleted_only_where_that_was_asked_for() {
        let kept = sandbox(Desired::Stopped, Observed::Stopped, Intervals::default());
        assert_eq!(due_after(1_000_000, &kept), None);
        let doomed = Intervals { auto_delete: Some(60), ..Intervals::default() };
        let doomed = sandbox(Desired::Stopped, Observed::Stopped, doomed);
        assert_eq!((due_after(59, &doomed), due_after(60, &doomed)), (None, Some(Request::Delete)));
    }

    #[test]
    fn a_change_under_way_and_a_clock_turned_back_are_left_alone() {
        let starting = sandbox(Desired::Started, Observed::Stopped, Intervals::default());
        assert_eq!(due_after(1_000_000, &starting), None);
        let running = sandbox(Desired::Started, Observed::Started, Intervals::default());
        assert_eq!(due_after(-1_000_000, &running), None);
    }
}
