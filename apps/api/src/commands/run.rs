//! `sandgate run -- CMD`: one command in a sandbox of its own, as if it ran here.

mod client;
mod ephemeral;
mod server;
mod terminal;

use crate::wire::RunCommand;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use clap::builder::BoolishValueParser;
use server::Server;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use terminal::Interrupt;

/// The exit code that says that it was us who failed, and not the command.
pub(crate) const OUR_FAILURE: u8 = 125;

/// The flags of `sandgate run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The server to ask [default: that of the environment, or one of its own]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The snapshot to start from
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    /// Cores
    #[arg(long, value_name = "N")]
    cpu: Option<i64>,
    /// Memory in GiB
    #[arg(long, value_name = "N")]
    memory: Option<i64>,
    /// Disk in GiB
    #[arg(long, value_name = "N")]
    disk: Option<i64>,
    /// A variable that the command sees; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Seconds until the command is killed; 0 means never
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<i64>,
    /// What a server of its own logs, to standard error [default: nothing]
    #[arg(long, env = "SANDGATE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Let a server of its own go without limits that this host does not enforce
    #[arg(long, env = "SANDGATE_ALLOW_UNENFORCED_LIMITS", value_parser = BoolishValueParser::new())]
    allow_unenforced_limits: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    argv: Vec<OsString>,
}

/// Runs the command; what it says and how it ends is as if it ran here. 124 is the end of its time, 128 and a signal's
/// number the end by that signal, 125 a failure of ours.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    attempt(args).unwrap_or_else(|error| {
        eprintln!("sandgate: {error:#}");
        ExitCode::from(OUR_FAILURE)
    })
}

fn attempt(args: RunArgs) -> anyhow::Result<ExitCode> {
    if let Some(filter) = &args.log {
        crate::logging::start(filter).context("the log filter cannot be used")?;
    }
    let (server, allow_unenforced_limits) = (args.server.clone(), args.allow_unenforced_limits);
    let order = order(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(carry_out(Server::find(server, allow_unenforced_limits), &order));
    // Nobody waits for an output that is stuck in a pipe.
    runtime.shutdown_background();
    outcome.map(ExitCode::from)
}

async fn carry_out(
    server: impl Future<Output = anyhow::Result<Server>>,
    order: &RunCommand,
) -> anyhow::Result<u8> {
    let mut interrupt = Interrupt::watch()?;
    let server = server.await?;
    let outcome = tokio::select! {
        outcome = client::run(server.address(), order) => outcome,
        // The connection goes with what is given up here, and with the connection the command and its sandbox.
        code = interrupt.next() => Ok(code),
    };
    server.end().await;
    outcome
}

fn order(args: RunArgs) -> anyhow::Result<RunCommand> {
    let words = args.argv.into_iter().map(OsString::into_string).collect::<Result<_, _>>();
    let words = words
        .map_err(|word| anyhow!("an argument is not UTF-8, as a request has to be: {}", word.display()))?;
    Ok(RunCommand {
        argv: Some(words),
        env: Some(variables(args.env)?),
        timeout: args.timeout,
        snapshot: args.snapshot,
        cpu: args.cpu,
        memory: args.memory,
        disk: args.disk,
        ..RunCommand::default()
    })
}

fn variables(pairs: Vec<String>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=') else {
            bail!("--env {pair:?} has no value: NAME=VALUE is wanted");
        };
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}
