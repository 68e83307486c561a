//! Which sandboxes somebody in this process is at work on, so that the reconciler keeps its hands off them.

use crate::id::SandboxId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clones share their claims.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(Arc<Mutex<HashMap<SandboxId, usize>>>);

/// Somebody is at work until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    claims: Claims,
    id: SandboxId,
}

impl Claims {
    /// For a request. What it may do is for the state to say, so that two may be at work at once.
    pub(super) fn hold(&self, id: SandboxId) -> Claim {
        *self.held().entry(id).or_default() += 1;
        Claim { claims: self.clone(), id }
    }

    /// For the reconciler, which works on nothing that somebody else works on.
    pub(super) fn hold_alone(&self, id: SandboxId) -> Option<Claim> {
        let mut held = self.held();
        if held.contains_key(&id) {
            return None;
        }
        held.insert(id, 1);
        drop(held);
        Some(Claim { claims: self.clone(), id })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SandboxId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.claims.held();
        match held.get_mut(&self.id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(held.remove(&self.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reconciler_waits_for_the_last_request() {
        let (claims, id) = (Claims::default(), SandboxId::random());
        let (first, second) = (claims.hold(id), claims.hold(id));
        assert!(claims.hold_alone(id).is_none());
        drop(first);
        assert!(claims.hold_alone(id).is_none());
        drop(second);
        let alone = claims.hold_alone(id).expect("nobody is at work");
        assert!(claims.hold_alone(id).is_none() && claims.hold_alone(SandboxId::random()).is_some());
        drop(alone);
        assert!(claims.held().is_empty());
    }
}
