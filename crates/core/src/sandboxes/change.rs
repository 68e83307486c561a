//! The one way in which a sandbox's row changes: from the generation that was read, with an event.

use super::{Sandboxes, SandboxesError};
use crate::ports::{EventKind, Sighting};
use crate::sandbox::Sandbox;
use crate::state::{Desired, Observed};

/// How often a change is made anew on top of others: more often than callers come at once.
pub(super) const TRIES: usize = 64;

impl Sandboxes {
    /// Commits `change` to `sandbox`. The change is lost, and said to be, where somebody else was quicker.
    pub(super) async fn commit(
        &self,
        sandbox: &Sandbox,
        kind: EventKind,
        change: impl FnOnce(&mut Sandbox),
    ) -> Result<Sandbox, SandboxesError> {
        let _steady = self.frame.steady().await;
        let changed = sandbox.changed(self.now(), change);
        let event = self.event(kind, changed.cause.clone());
        self.ledger.sandboxes.update(&changed, event).await?;
        Ok(changed)
    }

    /// As [`Self::commit`], of what nobody would want to read about once more.
    pub(super) async fn amend(
        &self,
        sandbox: &Sandbox,
        change: impl FnOnce(&mut Sandbox),
    ) -> Result<(), SandboxesError> {
        let _steady = self.frame.steady().await;
        Ok(self.ledger.sandboxes.amend(&sandbox.changed(self.now(), change)).await?)
    }

    /// Commits a `change` that holds whatever setting was changed since `sandbox` was read. Where its state has changed, by
    /// a request or by what was seen of it, somebody else is at work on it, and the change is lost.
    pub(super) async fn commit_on_top(
        &self,
        sandbox: &Sandbox,
        kind: EventKind,
        change: impl Fn(&mut Sandbox) + Send + Sync,
    ) -> Result<Sandbox, SandboxesError> {
        let mut current = sandbox.clone();
        for _ in 0..TRIES {
            match self.commit(&current, kind, &change).await {
                Err(SandboxesError::Busy) => {}
                outcome => return outcome,
            }
            current = self.ledger.sandboxes.living(sandbox.id).await?.ok_or(SandboxesError::NotFound)?;
            if (current.desired, current.observed) != (sandbox.desired, sandbox.observed) {
                break;
            }
        }
        Err(SandboxesError::Busy)
    }

    /// Commits what was seen of `sandbox` though something else was wanted. What is wanted follows what is seen: the
    /// next request must be free to ask for another change.
    pub(super) async fn believe(&self, sandbox: &Sandbox, seen: Sighting) -> Result<Sandbox, SandboxesError> {
        let (kind, desired, observed) = match seen.observed {
            Observed::Started => (EventKind::Started, Desired::Started, seen.observed),
            Observed::Stopped => (EventKind::Stopped, Desired::Stopped, seen.observed),
            Observed::Pending | Observed::Failed | Observed::Absent => {
                (EventKind::Failed, sandbox.desired, Observed::Failed)
            }
        };
        self.commit_on_top(sandbox, kind, |s| {
            s.desired = desired;
            s.observed = observed;
            s.cause.clone_from(&seen.cause);
        })
        .await
    }

    /// Commits that `sandbox` has come to be as it was wanted.
    pub(super) async fn settle(
        &self,
        sandbox: &Sandbox,
        kind: EventKind,
        observed: Observed,
    ) -> Result<Sandbox, SandboxesError> {
        self.commit_on_top(sandbox, kind, |s| {
            s.observed = observed;
            s.cause = None;
        })
        .await
    }
}

/// An error and what lies beneath it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
