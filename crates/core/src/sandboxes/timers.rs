//! What happens when a timer of a sandbox has run out.

use super::{Sandboxes, SandboxesError};
use crate::agenda::Timer;
use crate::ports::{Actor, EventKind};
use crate::sandbox::Sandbox;

impl Sandboxes {
    pub(super) async fn strike(&self, sandbox: &Sandbox, timer: Timer) -> Result<Sandbox, SandboxesError> {
        let (it, id) = (self.by(Actor::Timer), sandbox.id.to_string());
        match timer {
            Timer::Idle => it.stop(sandbox.organization, &id).await,
            Timer::Unwanted | Timer::EndOfLife => it.delete(sandbox.organization, &id).await,
            // No provider archives yet. The clock is kept, so that nothing is lost when one does.
            Timer::Archive => it.commit(sandbox, EventKind::ArchiveDue, |s| s.archive_due = true).await,
        }
    }

    /// The sandbox with its last use, of which the ledger is told where it did not know.
    pub(super) async fn as_used(&self, sandbox: Sandbox) -> Result<Sandbox, SandboxesError> {
        match self.uses.last(sandbox.id).filter(|used| *used > sandbox.last_activity_at) {
            Some(used) => {
                self.ledger.sandboxes.touch(sandbox.id, used).await?;
                Ok(Sandbox { last_activity_at: used, ..sandbox })
            }
            None => Ok(sandbox),
        }
    }
}
