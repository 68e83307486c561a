//! The `sandgate` binary: one service that gives AI agents their sandboxes.

mod app;
mod auth;
mod cli;
mod commands;
mod config;
mod error;
mod extract;
mod first_start;
mod limits;
mod listener;
mod logging;
mod openapi;
mod relay;
mod routes;
mod tasks;
mod toolbox_binary;
mod wire;

use clap::Parser;
use std::ffi::OsStr;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The spawner must be single-threaded, so it is told apart before anything else begins.
    let mut args = std::env::args_os();
    if args.nth(1).as_deref() == Some(OsStr::new(sandgate_runtime::SPAWNER_ARG)) {
        return sandgate_runtime::spawner_main(args);
    }
    let cli = cli::Cli::parse();
    match cli::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sandgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
