//! The generator stands for clients on other machines, so its threads go before all that it measures.

use std::process::{Command, Stdio};

/// The least of the real-time priorities: above everything that is not real-time, whatever session or group it is in.
/// What such a thread starts is ordinary again.
const REAL_TIME: [&str; 4] = ["--fifo", "--reset-on-fork", "--pid", "1"];
/// Where there are none: well above 0, which only counts among processes of the same session.
const NICE: i32 = -15;

/// Lets the calling thread go first.
pub(crate) fn raise() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut chrt = Command::new("chrt");
    let chrt = chrt.args(REAL_TIME).arg(thread).stdin(Stdio::null()).stderr(Stdio::null());
    if !chrt.status().is_ok_and(|status| status.success()) {
        // Without any right to it the generator may lag; it measures whether it did.
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}
