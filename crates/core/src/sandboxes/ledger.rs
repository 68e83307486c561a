//! The ledger behind its ports.

use crate::ports::{Agenda, SandboxRepository, Timeline};
use std::sync::Arc;

/// The ledger, seen from each of its sides.
#[derive(Clone)]
pub struct Ledger {
    /// Keeps sandboxes.
    pub sandboxes: Arc<dyn SandboxRepository>,
    /// Knows what is due.
    pub agenda: Arc<dyn Agenda>,
    /// Keeps the time.
    pub timeline: Arc<dyn Timeline>,
}

impl Ledger {
    /// A ledger that does everything in one type.
    pub fn new<L>(ledger: Arc<L>) -> Self
    where
        L: SandboxRepository + Agenda + Timeline + 'static,
    {
        Self { sandboxes: ledger.clone(), agenda: ledger.clone(), timeline: ledger }
    }
}
