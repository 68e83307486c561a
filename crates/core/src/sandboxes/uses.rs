//! When each sandbox was used last, to the moment. The ledger is told less often, and a timer asks both.

use crate::id::SandboxId;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clones share what they know.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses(Arc<Mutex<HashMap<SandboxId, Timestamp>>>);

impl Uses {
    /// Notes a use.
    pub(super) fn note(&self, id: SandboxId, at: Timestamp) {
        self.all().insert(id, at);
    }

    /// The last use since this process was started.
    pub(super) fn last(&self, id: SandboxId) -> Option<Timestamp> {
        self.all().get(&id).copied()
    }

    /// Forgets a sandbox that is gone.
    pub(super) fn forget(&self, id: SandboxId) {
        self.all().remove(&id);
    }

    /// Moves all of them, as the ledger's times are.
    pub(super) fn shift(&self, millis: i64) {
        for at in self.all().values_mut() {
            *at = at.shifted(millis);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SandboxId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
