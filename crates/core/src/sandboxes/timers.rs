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
}
