//! The load generator: it drives a real server over HTTP and says how long each step took. `cargo xtask bench`
//! builds and starts it.

mod api;
mod clock;
mod compare;
mod docker;
mod engine;
mod failure;
mod floor;
mod gauges;
mod html;
mod installation;
mod leaks;
mod load;
mod machine;
mod merge;
mod micro;
mod priority;
mod proc;
mod records;
mod report;
mod results;
mod scenario;
mod seed;
mod series;
mod server;
mod stage;
mod verdict;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::runtime::Builder;

#[derive(Parser)]
#[command(name = "sandgate-load", about = "Drives a server and measures it")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// One client, one sandbox at a time
    Micro(micro::Args),
    /// Scenarios of many sandboxes
    Load(Box<load::Args>),
    /// What changed between two results of `load`
    Compare(compare::Args),
}

fn main() -> Result<ExitCode> {
    match Cli::parse().verb {
        Verb::Micro(args) => {
            Builder::new_current_thread().enable_all().build()?.block_on(micro::run(&args))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Load(args) => {
            // Servers and other engines are started by this thread, which keeps its priority.
            let mut threads = Builder::new_multi_thread();
            threads.enable_all().worker_threads(2).on_thread_start(priority::raise);
            threads.build()?.block_on(load::run(&args))
        }
        Verb::Compare(args) => compare::run(&args).map(|()| ExitCode::SUCCESS),
    }
}
