//! `sandgate audit`: checking and exporting the log of events, without a server or beside one.

use crate::config::DEFAULT_DATA_DIR;
use crate::wire::Event;
use anyhow::Context;
use clap::{Args, Subcommand};
use sandgate_core::{Head, Recorded};
use sandgate_infrastructure::chain::{Damage, Sound, Verifier};
use sandgate_infrastructure::sqlite::Audit;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The log of events: who did what to which sandbox.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Tell whether the log is as it was written: exit 0 if it is, 1 with what is wrong first
    Verify(VerifyArgs),
    /// Write all events as JSON, one a line, the oldest first
    Export(DataDirArgs),
}

#[derive(Debug, Args)]
struct DataDirArgs {
    /// The data directory of a server, which may be running, or a backup of one
    #[arg(long, env = "SANDGATE_DATA_DIR", value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    ledger: DataDirArgs,
    /// Check an export instead, or part of one
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A head that was told before, and must be in the log: without one, nobody can see that the end was cut off
    #[arg(long, value_name = "SEQ:HASH")]
    head: Option<Head>,
    /// The head after which the file begins; without it the first event of a part is believed
    #[arg(long, value_name = "SEQ:HASH", requires = "file")]
    after: Option<Head>,
}

/// Carries it out.
pub(crate) fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AuditCommand::Verify(args) => verify(&args),
        AuditCommand::Export(args) => export(&args.data_dir).map(|()| ExitCode::SUCCESS),
    }
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let checked = match &args.file {
        Some(file) => verify_file(file, args)?,
        None => Audit::open(&args.ledger.data_dir)?.verify(args.head),
    };
    match checked {
        Ok(sound) => {
            print!("{}", told(&sound, args.head));
            Ok(ExitCode::SUCCESS)
        }
        Err(damage) => {
            eprintln!("sandgate: the log of events is not what was written: {damage}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What was found, and what cannot be.
fn told(sound: &Sound, known: Option<Head>) -> String {
    let mut told = match (sound.first, sound.head) {
        (Some(first), Some(head)) => {
            format!("{} events are sound, {first} to {}\nhead {head}\n", sound.count, head.seq)
        }
        _ => "there are no events\n".to_owned(),
    };
    if known.is_none() {
        told.push_str(
            "whether later events were cut off cannot be told without a known --head; keep this one\n",
        );
    }
    told
}

fn verify_file(file: &Path, args: &VerifyArgs) -> anyhow::Result<Result<Sound, Damage>> {
    let lines = BufReader::new(File::open(file).with_context(|| format!("{}", file.display()))?).lines();
    let mut verifier = None;
    for (number, line) in (1..).zip(lines) {
        let event = parse(&line?).with_context(|| format!("{}, line {number}", file.display()))?;
        let verifier = verifier.get_or_insert_with(|| Verifier::new(start(args, &event), args.head));
        if let Err(damage) = verifier.take(&event) {
            return Ok(Err(damage));
        }
    }
    Ok(verifier.unwrap_or_else(|| Verifier::new(args.after, args.head)).finish())
}

fn parse(line: &str) -> anyhow::Result<Recorded> {
    let event: Event = serde_json::from_str(line)?;
    Ok(event.try_into()?)
}

/// What the first event of a file follows.
fn start(args: &VerifyArgs, first: &Recorded) -> Option<Head> {
    args.after.or_else(|| (first.seq == 1).then_some(Head::BEGINNING))
}

fn export(data_dir: &Path) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let write = |event: Recorded| -> anyhow::Result<()> {
        serde_json::to_writer(&mut out, &Event::from(event))?;
        Ok(out.write_all(b"\n")?)
    };
    Audit::open(data_dir)?.walk(write)?;
    Ok(out.flush()?)
}
