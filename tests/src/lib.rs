//! The harness of the black-box tests: the real server on a port of its own, a small client, and a guard that fails a
//! test which leaves anything behind. Nothing here knows the server's code.

#![expect(
    clippy::missing_panics_doc,
    reason = "a harness reports what it finds by panicking in the test that uses it"
)]

mod answer;
mod leaks;
mod process;
mod program;
mod sandbox;
mod server;
mod wait;
mod world;

pub mod raw;

pub use answer::Answer;
pub use process::{binary, processes_of, sandgate};
pub use program::Program;
pub use sandbox::{Outcome, Sandbox};
pub use server::{Options, Server};
pub use wait::{until, wait_until};
pub use world::World;

use std::ffi::OsString;
use std::io::Write as _;

/// What `cargo xtask test` says in a variable of the environment.
pub fn setting(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Whether the checks that take long were asked for.
pub fn long_checks() -> bool {
    setting("SANDGATE_TEST_LONG").is_some()
}

/// Notes that a test cannot run here, and why, so that it does not pass silently.
pub fn skip(test: &str, reason: &str) {
    eprintln!("skipped: {test}: {reason}");
    if let Some(file) = setting("SANDGATE_TEST_SKIPPED") {
        let mut file =
            std::fs::OpenOptions::new().append(true).open(file).expect("the list of skipped tests");
        writeln!(file, "{test}: {reason}").expect("the list of skipped tests can be written");
    }
}
