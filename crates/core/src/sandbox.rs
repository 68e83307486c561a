//! A sandbox as the ledger keeps it.

use crate::config::{SandboxConfig, SandboxName};
use crate::id::{Attempt, Handle, KeyId, OrganizationId, SandboxId};
use crate::operation::Operation;
use crate::ports::SandboxRef;
use crate::sandboxes::ProviderKind;
use crate::state::{Cause, Desired, Observed, Step, next_step};
use crate::time::Timestamp;

/// One sandbox: what was asked for, what is wanted now, and what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id, for ever.
    pub id: SandboxId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The key that asked for it, where that was noted: its quota counts it.
    pub created_by: Option<KeyId>,
    /// What people call it.
    pub name: SandboxName,
    /// What was asked for, with what was changed since (labels, intervals).
    pub config: SandboxConfig,
    /// Who runs it.
    pub provider: ProviderKind,
    /// The number of the attempt that is, or is to be, this sandbox.
    pub attempt: u32,
    /// The provider's name for it, once known.
    pub handle: Option<Handle>,
    /// What is wanted.
    pub desired: Desired,
    /// What was seen last.
    pub observed: Observed,
    /// Why it failed or stopped, if nobody asked for that.
    pub cause: Option<Cause>,
    /// The change that is under way; at rest, a timer whose action failed.
    pub operation: Option<Operation>,
    /// Counts the changes; a change made from an older one is refused.
    pub generation: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When anything of it changed last.
    pub updated_at: Timestamp,
    /// When it was last used.
    pub last_activity_at: Timestamp,
    /// When it stopped, while it is stopped.
    pub stopped_at: Option<Timestamp>,
    /// Whether it has been stopped for as long as its auto-archive interval.
    pub archive_due: bool,
    /// The longest that the operator let it live, when it was made.
    pub lives_until: Option<Timestamp>,
    /// When it is deleted whatever it is doing.
    pub destroy_at: Option<Timestamp>,
}

impl Sandbox {
    /// The sandbox as it is after `change` at `now`, with all that follows from where it stands then.
    #[must_use]
    pub fn changed(&self, now: Timestamp, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed.generation += 1;
        changed.updated_at = now;
        changed.stopped_at = match changed.observed {
            Observed::Stopped => changed.stopped_at.or(Some(now)),
            _ => None,
        };
        changed.archive_due &= changed.stopped_at.is_some();
        let step = next_step(changed.desired, changed.observed);
        if step != next_step(self.desired, self.observed) {
            changed.operation = (step != Step::Rest).then(|| Operation::begun(now));
        }
        changed
    }

    /// What its provider is asked about.
    pub fn reference(&self) -> SandboxRef {
        SandboxRef { attempt: self.current_attempt(), handle: self.handle.clone() }
    }

    /// The attempt that is, or is to be, this sandbox.
    pub const fn current_attempt(&self) -> Attempt {
        Attempt { sandbox: self.id, number: self.attempt }
    }

    /// Whether anybody may still see it: a deleted one is gone at once, whatever is still being cleaned up, unless that
    /// was given up.
    pub fn is_visible(&self) -> bool {
        match (self.desired, self.observed) {
            (Desired::Deleted, Observed::Absent) => false,
            (Desired::Deleted, Observed::Failed) => self.is_parked(),
            _ => true,
        }
    }

    /// What is wanted, where that is not given up: then it is what it is, and may be asked for anything.
    pub fn pursued(&self) -> Desired {
        match (self.desired, self.observed) {
            (Desired::Started | Desired::Stopped, Observed::Started) if self.is_parked() => Desired::Started,
            (Desired::Started | Desired::Stopped, Observed::Stopped) if self.is_parked() => Desired::Stopped,
            (desired, _) => desired,
        }
    }

    /// Whether a change of it was given up and waits for somebody.
    pub fn is_parked(&self) -> bool {
        self.operation.is_some_and(|operation| operation.parked)
    }
}
