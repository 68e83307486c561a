//! Containers for real: these tests need root, and skip themselves visibly without it.
//!
//! The binary is three things: the tests, the spawner that they start, and process 1 of their sandboxes.

mod basics;
mod bench;
mod controllers;
mod death;
mod host;
mod hostile;
mod injection;
mod kernel;
mod lifecycle;
mod limits;
mod machine;
mod probe;
mod runner;
mod spawner;
mod walls;
mod world;

use std::process::ExitCode;

use sandgate_runtime::{SPAWNER_ARG, spawner_main};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(first) if first == SPAWNER_ARG => spawner_main(args),
        Some(first) if first == probe::PROBE_ARG => probe::main(args),
        Some(first) if first == bench::BENCH_ARG => bench::main(),
        first => {
            let suites = [
                basics::TESTS,
                walls::TESTS,
                limits::TESTS,
                machine::TESTS,
                controllers::TESTS,
                lifecycle::TESTS,
                hostile::TESTS,
                injection::TESTS,
                spawner::TESTS,
                death::TESTS,
                kernel::TESTS,
            ];
            runner::run(first.into_iter().chain(args), &suites.concat())
        }
    }
}
