//! Doing what is due, from rows alone: changes that were begun and timers that have run out.

use super::change::chain;
use super::{Sandboxes, SandboxesError};
use crate::agenda::Task;
use crate::operation::Operation;
use crate::ports::{Actor, EventKind, ServiceError};
use crate::sandbox::Sandbox;
use crate::state::{Desired, Step, next_step};
use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;

/// How many rows are taken up in one go, and how many of them side by side.
const BATCH: usize = 256;
const SIDE_BY_SIDE: usize = 8;

/// What one go of the reconciler did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Tasks of sandboxes that were done.
    pub done: usize,
    /// Tasks that failed, and are tried again later.
    pub failed: usize,
    /// Abandoned attempts that were looked at.
    pub abandoned: usize,
    /// By how many milliseconds the time of day has leapt.
    pub leapt: Option<i64>,
}

impl Sandboxes {
    /// Does what is due now, and returns when that is done.
    pub async fn reconcile(&self) -> Result<Reconciled, SandboxesError> {
        let leapt = self.keep_time().await?;
        let due = self.ledger.agenda.due(self.now(), BATCH).await?;
        let reconciler = self.by(Actor::Reconciler);
        let tasks = reconciler.for_each(due, |it, row| async move { it.take_up(row).await });
        // Side by side: a call that hangs keeps nobody's leftovers from being deleted.
        let (outcomes, abandoned) = tokio::join!(tasks, self.reap_abandoned());
        let abandoned = abandoned?;
        let count = |wanted| outcomes.iter().filter(|done| **done == Some(wanted)).count();
        Ok(Reconciled { done: count(true), failed: count(false), abandoned, leapt })
    }

    /// When [`Self::reconcile`] has something to do again; `None` if only a request can change that.
    pub async fn next_due(&self) -> Result<Option<Duration>, SandboxesError> {
        let next = self.ledger.agenda.next_due().await?;
        Ok(next.map(|at| at.since(self.now())))
    }

    /// Carries out `work` for each of `items`, a few side by side.
    pub(super) async fn for_each<I, T, F>(&self, items: Vec<I>, work: impl Fn(Self, I) -> F) -> Vec<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (mut waiting, mut running, mut done) = (VecDeque::from(items), JoinSet::new(), Vec::new());
        loop {
            while running.len() < SIDE_BY_SIDE
                && let Some(item) = waiting.pop_front()
            {
                running.spawn(work(self.clone(), item));
            }
            match running.join_next().await {
                // A panic has been reported already, and is nobody else's concern.
                Some(outcome) => done.extend(outcome.ok()),
                None => return done,
            }
        }
    }

    /// Does what is due for `row`, unless somebody is at work on it. Whether it was done; `None` where it was not due.
    async fn take_up(self, row: Sandbox) -> Option<bool> {
        let _claim = self.claims.hold_alone(row.id)?;
        let row = self.ledger.sandboxes.living(row.id).await.ok().flatten()?;
        let row = self.as_used(row).await.ok()?;
        let (at, task) = row.next_task()?;
        if at > self.now() {
            return None;
        }
        let outcome = match task {
            Task::Finish(step) => self.finish(&row, step).await,
            Task::Timer(timer) => self.strike(&row, timer).await,
        };
        match outcome {
            Ok(_) => Some(true),
            Err(error) => {
                self.postpone(&row, &error).await;
                Some(false)
            }
        }
    }

    /// Brings a change that was begun to its end.
    pub(super) async fn finish(&self, row: &Sandbox, step: Step) -> Result<Sandbox, SandboxesError> {
        match step {
            Step::Rest => Ok(row.clone()),
            Step::Start => self.do_start(row).await,
            Step::Stop => self.do_stop(row).await,
            Step::Delete => self.do_delete(row).await,
            Step::Settle => {
                let doomed = self.commit(row, EventKind::DeleteRequested, |s| {
                    s.desired = Desired::Deleted;
                    s.cause = Some("the server ended before the create was answered".to_owned());
                });
                self.do_delete(&doomed.await?).await
            }
        }
    }

    /// Sees to it that what failed is tried again later, and seldom. Should even this not be written down, the row stays due.
    pub(super) async fn postpone(&self, row: &Sandbox, error: &SandboxesError) {
        let (now, id) = (self.now(), row.id);
        let Ok(Some(current)) = self.ledger.sandboxes.living(id).await else { return };
        let rests = next_step(current.desired, current.observed) == Step::Rest;
        if rests && current.next_task().is_none_or(|(at, _)| at > now) {
            return;
        }
        let before = row.operation.unwrap_or_else(|| Operation::begun(now));
        // A timer that strikes in vain is never given up: nothing is under way.
        let for_good = !rests && !is_passing(error);
        let after = before.failed(id, now, for_good);
        let cause = if after.parked { parked(&current, error) } else { chain(error) };
        let postponed = |s: &mut Sandbox| {
            s.operation = Some(before.failed(id, self.now(), for_good).not_before(rests.then(|| self.now())));
            s.cause = Some(cause);
        };
        // Whoever was quicker has changed it, and with that its task.
        if let Some(kind) = told(after) {
            let _ = self.commit(&current, kind, postponed).await;
        } else {
            let _ = self.amend(&current, postponed).await;
        }
    }
}

/// What is written down of one more try in vain. One that goes on for days must not fill the log of events.
fn told(operation: Operation) -> Option<EventKind> {
    match operation {
        Operation { parked: true, .. } => Some(EventKind::Parked),
        Operation { tries, .. } => tries.is_power_of_two().then_some(EventKind::Postponed),
    }
}

/// Whether the fault lies with a provider that cannot be reached, or a ledger that cannot be written now.
fn is_passing(error: &SandboxesError) -> bool {
    match error {
        SandboxesError::Provider(error) => {
            matches!(error, ServiceError::Unreachable(_) | ServiceError::OutcomeUnknown { .. })
        }
        SandboxesError::Ledger(_) | SandboxesError::Busy => true,
        _ => false,
    }
}

fn parked(row: &Sandbox, error: &SandboxesError) -> String {
    let what = match row.desired {
        Desired::Started => "starting",
        Desired::Stopped => "stopping",
        Desired::Deleted => "deleting",
    };
    format!(
        "{what} it failed {} times and was given up ({}: {}): remove the cause and delete it again, or restart the server",
        Operation::TRIES,
        error.code(),
        chain(error)
    )
}
