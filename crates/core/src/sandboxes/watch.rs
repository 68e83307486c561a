//! Writing down what happens to sandboxes unasked, so that the state that clients see is true without their asking.

use super::deadline::bounded;
use super::sweep::agrees;
use super::{Sandboxes, SandboxesError};
use crate::id::Attempt;
use crate::ports::{Actor, Change, EventKind, Sighting};
use crate::sandbox::Sandbox;
use crate::state::{Observed, Step, next_step};

const ENDED: &str = "its first process ended without being asked to: it was killed, or the host was restarted; its files are \
                     kept, start it again";
const LOST: &str = "its disk is gone from the host; delete it and create another";

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The ledger says what was seen.
    Done,
    /// The sandbox is being changed at somebody's request. What has happened to it is to be looked at after that.
    Later,
}

impl Sandboxes {
    /// Waits until something may have happened to a sandbox.
    pub async fn changed(&self) -> Change {
        self.provider.watch.changed().await
    }

    /// Looks at what may have changed, and commits what is seen.
    pub async fn note(&self, change: Change) -> Result<Noted, SandboxesError> {
        match change {
            Change::One(attempt) => self.note_one(attempt).await,
            Change::Any => self.note_all().await,
        }
    }

    async fn note_one(&self, attempt: Attempt) -> Result<Noted, SandboxesError> {
        let Some(sandbox) = self.ledger.sandboxes.living(attempt.sandbox).await? else {
            return Ok(Noted::Done);
        };
        if sandbox.current_attempt() != attempt {
            return Ok(Noted::Done);
        }
        if next_step(sandbox.desired, sandbox.observed) != Step::Rest {
            return Ok(Noted::Later);
        }
        match self.examine(&sandbox).await {
            Err(SandboxesError::Busy) => Ok(Noted::Later),
            outcome => outcome.map(|_| Noted::Done),
        }
    }

    /// One list for all; closer looked at is only what does not agree with it.
    async fn note_all(&self) -> Result<Noted, SandboxesError> {
        let found = self.found().await?;
        let mut outcome = Noted::Done;
        for sandbox in self.ledger.sandboxes.all_living().await? {
            let attempt = sandbox.current_attempt();
            if agrees(&sandbox, found.get(&attempt).copied().unwrap_or(Observed::Absent)) {
                continue;
            }
            if self.note_one(attempt).await? == Noted::Later {
                outcome = Noted::Later;
            }
        }
        Ok(outcome)
    }

    /// Asks the provider how a sandbox is, and commits what it says, unless somebody is at work on it. `sandbox` may be
    /// what the ledger said a while ago.
    pub async fn recheck(&self, sandbox: &Sandbox) -> Result<Sandbox, SandboxesError> {
        let now = self.ledger.sandboxes.living(sandbox.id).await?;
        self.examine(&now.ok_or(SandboxesError::NotFound)?).await
    }

    async fn examine(&self, sandbox: &Sandbox) -> Result<Sandbox, SandboxesError> {
        if next_step(sandbox.desired, sandbox.observed) != Step::Rest {
            return Ok(sandbox.clone());
        }
        // Whoever had it looked at did not do what is seen.
        let seen = self.by(Actor::Provider);
        let sighting = bounded("examine", self.provider.watch.examine(&sandbox.reference())).await?;
        if !agrees(sandbox, sighting.observed) {
            return seen.believe(sandbox, sighting.explained()).await;
        }
        match sighting.cause {
            // What is wrong with it is wrong still; what was noted before stands.
            None => Ok(sandbox.clone()),
            Some(cause) if sandbox.cause.as_ref() == Some(&cause) => Ok(sandbox.clone()),
            Some(cause) => {
                seen.commit_on_top(sandbox, EventKind::Changed, |s| s.cause = Some(cause.clone())).await
            }
        }
    }
}

impl Sighting {
    /// The same with a cause, where there must be one and the provider has none.
    pub(super) fn explained(mut self) -> Self {
        let why = match self.observed {
            Observed::Started => None,
            Observed::Stopped => Some(ENDED),
            Observed::Pending | Observed::Failed | Observed::Absent => Some(LOST),
        };
        self.cause = self.cause.or_else(|| why.map(str::to_owned));
        self
    }
}
