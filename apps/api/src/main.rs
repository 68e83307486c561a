//! The `sandgate` binary: one service that gives AI agents their sandboxes.

mod app;
mod auth;
mod cli;
mod commands;
mod config;
mod error;
mod extract;
#[cfg(debug_assertions)]
mod failpoints;
mod first_start;
mod floor;
mod idempotency;
mod limits;
mod listener;
mod logging;
mod openapi;
mod rate;
mod relay;
mod retention;
mod routes;
mod run;
mod tasks;
#[cfg(debug_assertions)]
mod test_world;
mod toolbox_binary;
mod upkeep;
mod watch;
mod wire;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // What clones must have one thread, so it is told apart before anything else begins.
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(first) if first == sandgate_runtime::SPAWNER_ARG => return sandgate_runtime::spawner_main(args),
        Some(first) if first == floor::ARG => return floor::main(args),
        _ => {}
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::refuse(&error),
    };
    match cli::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sandgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
