//! The room that sandboxes and the ledger share, as a port.

/// Tells how much room is left.
pub trait Storage: Send + Sync {
    /// Bytes that may still be written; `None` where nobody can tell.
    fn free(&self) -> Option<u64>;
}
