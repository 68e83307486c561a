//! The commands of the binary.

use crate::app::App;
use crate::commands::audit::{self, AuditArgs};
use crate::commands::backup::{self, BackupArgs, RestoreArgs};
use crate::commands::doctor::{self, DoctorArgs};
use crate::commands::run::{self, RunArgs};
use crate::config::{Config, ServeArgs};
use crate::{logging, openapi};
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// One service that gives AI agents their sandboxes, by Daytona's API.
#[derive(Debug, Parser)]
#[command(name = "sandgate", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API until SIGTERM or SIGINT. Sandboxes live on.
    Serve(ServeArgs),
    /// Run one command in a sandbox of its own: output, signals and exit code as if it ran here.
    Run(RunArgs),
    /// Tell what this host offers to sandboxes, what is missing, and how to get it.
    Doctor(DoctorArgs),
    /// Check or export the log of events: who did what to which sandbox.
    Audit(AuditArgs),
    /// Copy the ledger and its key to a new directory, also while a server runs.
    Backup(BackupArgs),
    /// Put a backup back, while no server runs.
    Restore(RestoreArgs),
    /// Print the OpenAPI description of the API as YAML.
    Openapi,
}

/// Carries out one command; returns what the process is to say of it.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve(args)?,
        Command::Run(args) => return Ok(run::run(args)),
        Command::Doctor(args) => return doctor::run(&args),
        Command::Audit(args) => return audit::run(args),
        Command::Backup(args) => backup::back_up(&args)?,
        Command::Restore(args) => backup::restore(&args)?,
        Command::Openapi => print!("{}", openapi::yaml()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what is wrong with the arguments, or the help that they ask for.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody to read it is no matter.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    match std::env::args_os().nth(1) {
        // All lower codes are those of commands.
        Some(verb) if verb == "run" => ExitCode::from(run::OUR_FAILURE),
        _ => ExitCode::from(2),
    }
}

fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::read(args)?;
    logging::start(&config.log).context("the log filter cannot be used")?;
    sandgate_runtime::raise_descriptor_limit().context("the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        cancel_on_signal(stop.clone())?;
        let app = App::build(config).await?;
        println!("sandgate listening on {}", app.url());
        app.run(stop).await;
        Ok(())
    })
}

/// The first SIGTERM or SIGINT ends the service in good order.
fn cancel_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: open requests are answered, sandboxes live on");
        stop.cancel();
    });
    Ok(())
}
