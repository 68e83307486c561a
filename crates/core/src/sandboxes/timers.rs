//! What happens when a timer of a sandbox has run out.

use super::{Sandboxes, SandboxesError};
use crate::agenda::Timer;
use crate::ports::EventKind;
use crate::sandbox::Sandbox;

impl Sandboxes {
    pub(super) async fn strike(&self, sandbox: &Sandbox, timer: Timer) -> Result<Sandbox, SandboxesError> {
        let id = sandbox.id.to_string();
        match timer {
            Timer::Idle => self.stop(sandbox.organization, &id).await,
            Timer::Unwanted | Timer::EndOfLife => self.delete(sandbox.organization, &id).await,
            // No provider archives yet. The clock is kept, so that nothing is lost when one does.
            Timer::Archive => self.commit(sandbox, EventKind::ArchiveDue, |s| s.archive_due = true).await,
        }
    }
}
