//! The load generator: it drives a real server over HTTP and says how long each step took. `cargo xtask bench`
//! builds and starts it.

mod api;
mod engine;
mod floor;
mod micro;
mod report;
mod series;
mod server;

use clap::{Parser, Subcommand};

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
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Verb::Micro(args) = Cli::parse().verb;
    micro::run(&args).await
}
