//! What the host shows of sandboxes, for the check that nothing is left of them.
