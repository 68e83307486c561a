//! Runs the tests one after the other, as they look at things that the whole host shares, and checks after each that
//! it has left nothing behind.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use crate::world::World;

/// All tests, under the one name that a test runner is told which would start a process for each.
const ALL: &str = "all";

/// The test that comes last, whatever was chosen.
const LAST: &str = "nothing_is_left_at_the_end";

/// Prints the names of the chosen tests, one a line, for whoever must see that all of them have run.
const NAMES: &str = "--names";

/// Leaves out the test whose name follows.
const SKIP: &str = "--skip=";

/// A test with its name.
pub(crate) type Test = (&'static str, fn(&World));

pub(crate) fn run(args: impl Iterator<Item = OsString>, tests: &[Test]) -> ExitCode {
    let args: Vec<String> = args.filter_map(|arg| arg.into_string().ok()).collect();
    if args.iter().any(|arg| arg == "--list") {
        // Asked for those that are ignored, the answer is none.
        if !args.iter().any(|arg| arg == "--ignored") {
            println!("{ALL}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-') && *arg != ALL).collect();
    let skipped: Vec<&str> = args.iter().filter_map(|arg| arg.strip_prefix(SKIP)).collect();
    let wanted = |name: &str| {
        let asked_for = filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
        asked_for && !skipped.contains(&name)
    };
    let chosen: Vec<Test> = tests.iter().filter(|(name, _)| wanted(name)).copied().collect();
    if args.iter().any(|arg| arg == NAMES) {
        chosen.iter().map(|(name, _)| *name).chain([LAST]).for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("\nSKIPPED: {} tests of real containers need root\n", tests.len());
        return ExitCode::SUCCESS;
    }
    let failed = run_all(&chosen);
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nfailed: {}", failed.join(", "));
    ExitCode::FAILURE
}

/// Runs the tests in one world and returns the names of those that failed.
fn run_all(tests: &[Test]) -> Vec<&'static str> {
    let world = World::new();
    let checked = |test: fn(&World)| {
        test(&world);
        world.assert_empty();
    };
    let mut failed = Vec::new();
    for (name, test) in tests {
        if !passes(name, || checked(*test)) {
            failed.push(*name);
            world.clear();
        }
    }
    if !passes(LAST, || world.end()) {
        failed.push(LAST);
    }
    failed
}

fn passes(name: &str, test: impl FnOnce()) -> bool {
    let start = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
    let word = if passed { "ok" } else { "FAILED" };
    println!("test {name} ... {word} ({} ms)", start.elapsed().as_millis());
    passed
}
