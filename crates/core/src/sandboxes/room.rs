//! Whether there is room for more: a disk that is full is a bad place to notice.

use super::{Sandboxes, SandboxesError};
use crate::ports::Storage;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

/// The room below which nothing new is begun.
#[derive(Clone)]
pub struct Reserve {
    /// Where sandboxes and the ledger are kept.
    pub storage: Arc<dyn Storage>,
    /// MiB that must be free; 0 asks nobody.
    pub min_free_mib: u64,
}

impl Sandboxes {
    /// The same sandboxes, none of which is made or started while less than `reserve` is free.
    #[must_use]
    pub fn with_reserve(self, reserve: Reserve) -> Self {
        Self { reserve: Some(reserve), ..self }
    }

    /// Asked before an intent is written. Where nobody can tell, the disk itself will.
    pub(super) fn has_room(&self) -> Result<(), SandboxesError> {
        let Some(Reserve { storage, min_free_mib }) = &self.reserve else { return Ok(()) };
        let wanted = min_free_mib.saturating_mul(MIB);
        match storage.free().filter(|free| *free < wanted) {
            Some(free) => Err(SandboxesError::NoRoom { free_mib: free / MIB, wanted_mib: *min_free_mib }),
            None => Ok(()),
        }
    }
}
