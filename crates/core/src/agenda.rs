//! What is to be done with a sandbox without anybody asking, and when. From its row alone, so that a restart loses nothing.

use crate::operation::Operation;
use crate::sandbox::Sandbox;
use crate::state::{Desired, Observed, Step, next_step};
use crate::time::Timestamp;

/// Something that is due for a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A change that was begun is to be brought to its end.
    Finish(Step),
    /// A timer has run out.
    Timer(Timer),
}

/// A timer of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// It was not used for as long as its auto-stop interval.
    Idle,
    /// It was stopped for as long as its auto-archive interval.
    Archive,
    /// It was stopped for as long as its auto-delete interval.
    Unwanted,
    /// Its time to live is over.
    EndOfLife,
}

impl Sandbox {
    /// What is to be done next, and when; `None` if nothing ever is.
    pub fn next_task(&self) -> Option<(Timestamp, Task)> {
        match next_step(self.desired, self.observed) {
            Step::Rest => self.next_timer().map(|(at, timer)| (self.not_before(at), Task::Timer(timer))),
            step => match self.operation {
                Some(Operation { parked: true, .. }) => {
                    self.end_of_life().map(|(at, timer)| (at, Task::Timer(timer)))
                }
                Some(operation) => Some((operation.next_at, Task::Finish(step))),
                None => Some((self.updated_at.plus(Operation::GRACE), Task::Finish(step))),
            },
        }
    }

    /// Moves every time that a task counts from. It is a change: what was read before it is stale.
    pub fn shift(&mut self, millis: i64) {
        self.generation += 1;
        self.last_activity_at = self.last_activity_at.shifted(millis);
        self.stopped_at = self.stopped_at.map(|at| at.shifted(millis));
        self.lives_until = self.lives_until.map(|at| at.shifted(millis));
        self.destroy_at = self.destroy_at.map(|at| at.shifted(millis));
        if let Some(operation) = &mut self.operation {
            operation.next_at = operation.next_at.shifted(millis);
        }
    }

    /// A timer whose action failed waits for its next try.
    fn not_before(&self, at: Timestamp) -> Timestamp {
        self.operation.map_or(at, |operation| operation.next_at.max(at))
    }

    fn next_timer(&self) -> Option<(Timestamp, Timer)> {
        let timers = [self.idle_at(), self.archive_at(), self.unwanted_at(), self.end_of_life()];
        timers.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn idle_at(&self) -> Option<(Timestamp, Timer)> {
        let minutes = self.config.intervals.auto_stop;
        let runs = self.observed == Observed::Started && minutes > 0;
        runs.then(|| (self.last_activity_at.plus_minutes(minutes), Timer::Idle))
    }

    fn archive_at(&self) -> Option<(Timestamp, Timer)> {
        let since = self.stopped_at.filter(|_| !self.archive_due)?;
        Some((since.plus_minutes(self.config.intervals.auto_archive), Timer::Archive))
    }

    fn unwanted_at(&self) -> Option<(Timestamp, Timer)> {
        Some((self.stopped_at?.plus_minutes(self.config.intervals.auto_delete?), Timer::Unwanted))
    }

    fn end_of_life(&self) -> Option<(Timestamp, Timer)> {
        Some((self.destroy_at?, Timer::EndOfLife)).filter(|_| self.desired != Desired::Deleted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Intervals, ResourceLimits, SandboxConfig, SandboxName};
    use crate::id::OrganizationId;
    use crate::sandboxes::{NewSandbox, ProviderKind};

    const MINUTE: i64 = 60_000;

    fn sandbox(desired: Desired, observed: Observed, intervals: Intervals) -> Sandbox {
        let start = Timestamp::from_millis(0);
        let config = SandboxConfig { intervals, ..SandboxConfig::new(ResourceLimits::default().default) };
        let name = Some(SandboxName::parse("a").expect("name"));
        let new = NewSandbox { name, config, idempotency: None };
        let asked_for = new.asked_for(OrganizationId::random(), ProviderKind::Container, start);
        asked_for.changed(start, |s| {
            s.desired = desired;
            s.observed = observed;
        })
    }

    fn due(sandbox: &Sandbox) -> Option<(i64, Task)> {
        sandbox.next_task().map(|(at, task)| (at.as_millis() / MINUTE, task))
    }

    fn rests(desired: Desired, observed: Observed) -> bool {
        next_step(desired, observed) == Step::Rest
    }

    #[test]
    fn an_unused_sandbox_is_stopped_when_its_interval_is_over_and_not_before() {
        let running = |auto_stop| {
            sandbox(Desired::Started, Observed::Started, Intervals { auto_stop, ..Intervals::default() })
        };
        assert_eq!(due(&running(15)), Some((15, Task::Timer(Timer::Idle))));
        assert_eq!(due(&running(0)), None);
        let used = Sandbox { last_activity_at: Timestamp::from_millis(5 * MINUTE), ..running(15) };
        assert_eq!(due(&used), Some((20, Task::Timer(Timer::Idle))));
    }

    #[test]
    fn a_stopped_sandbox_is_deleted_only_where_that_was_asked_for() {
        let week = i64::from(Intervals::default().auto_archive);
        let stopped = |auto_delete| {
            sandbox(Desired::Stopped, Observed::Stopped, Intervals { auto_delete, ..Intervals::default() })
        };
        assert_eq!(due(&stopped(None)), Some((week, Task::Timer(Timer::Archive))));
        assert_eq!(due(&stopped(Some(60))), Some((60, Task::Timer(Timer::Unwanted))));
        let noted = Sandbox { archive_due: true, ..stopped(None) };
        assert_eq!(due(&noted), None, "the archive clock strikes once");
    }

    /// What happens to its labels does not make a stopped sandbox live longer, and a start takes back its clocks.
    #[test]
    fn the_clocks_of_a_stopped_sandbox_count_from_its_stop() {
        let intervals = Intervals { auto_delete: Some(60), ..Intervals::default() };
        let stopped = sandbox(Desired::Stopped, Observed::Stopped, intervals);
        let labelled = stopped.changed(Timestamp::from_millis(30 * MINUTE), |_| {});
        assert_eq!(due(&labelled), Some((60, Task::Timer(Timer::Unwanted))));
        let started = labelled.changed(Timestamp::from_millis(31 * MINUTE), |s| {
            s.desired = Desired::Started;
            s.observed = Observed::Started;
        });
        assert_eq!((started.stopped_at, due(&started)), (None, Some((15, Task::Timer(Timer::Idle)))));
    }

    #[test]
    fn the_end_of_life_comes_in_every_state_but_once() {
        let end = Some(Timestamp::from_millis(MINUTE));
        for (desired, observed) in [
            (Desired::Started, Observed::Started),
            (Desired::Stopped, Observed::Stopped),
            (Desired::Started, Observed::Failed),
            (Desired::Started, Observed::Absent),
        ] {
            let mortal = Sandbox { destroy_at: end, ..sandbox(desired, observed, Intervals::default()) };
            assert_eq!(due(&mortal), Some((1, Task::Timer(Timer::EndOfLife))), "{desired:?} {observed:?}");
        }
        let gone =
            Sandbox { destroy_at: end, ..sandbox(Desired::Deleted, Observed::Absent, Intervals::default()) };
        assert_eq!(due(&gone), None);
    }

    #[test]
    fn a_change_under_way_is_left_to_whoever_asked_for_it_until_its_grace_is_over() {
        for desired in [Desired::Started, Desired::Stopped, Desired::Deleted] {
            for observed in [Observed::Pending, Observed::Started, Observed::Stopped, Observed::Failed] {
                if rests(desired, observed) {
                    continue;
                }
                let step = next_step(desired, observed);
                let begun = sandbox(desired, observed, Intervals::default());
                assert_eq!(due(&begun), Some((1, Task::Finish(step))), "{desired:?} {observed:?}");
                let parked = Operation { tries: 20, next_at: begun.updated_at, parked: true };
                let given_up = Sandbox { operation: Some(parked), ..begun };
                assert_eq!(due(&given_up), None);
                let mortal = Sandbox { destroy_at: Some(Timestamp::from_millis(3 * MINUTE)), ..given_up };
                let end = (desired != Desired::Deleted).then_some((3, Task::Timer(Timer::EndOfLife)));
                assert_eq!(due(&mortal), end, "what was given up does not live for ever");
            }
        }
    }

    #[test]
    fn a_timer_whose_action_failed_waits_for_its_next_try() {
        let running = sandbox(Desired::Started, Observed::Started, Intervals::default());
        let later = Operation { tries: 1, next_at: Timestamp::from_millis(17 * MINUTE), parked: false };
        assert_eq!(due(&Sandbox { operation: Some(later), ..running }), Some((17, Task::Timer(Timer::Idle))));
    }
}
