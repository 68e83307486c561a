//! The generator stands for clients on other machines, so it goes before what it measures.

/// Well above the server, which runs at 0, and below what the kernel keeps for itself.
const NICE: i32 = -15;

/// Lets the calling thread go first. Threads and processes that it starts inherit that; the server is started elsewhere.
pub(crate) fn raise() {
    // Without the right to do it the generator may lag; it measures whether it did.
    let _ = rustix::process::setpriority_process(None, NICE);
}
