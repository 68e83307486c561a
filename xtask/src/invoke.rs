//! Running other programs and saying plainly which one failed.

use std::io::ErrorKind;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs `command` with our own terminal; a non-zero exit is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs `command` and returns what it wrote to its standard output. Its errors go to our terminal.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    command.stderr(std::process::Stdio::inherit());
    let output = output(command)?;
    if !output.status.success() {
        bail!("`{}` ended with {}", shown(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote no UTF-8", shown(command)))
}

/// Runs `command` and returns all it wrote, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| not_started(command))
}

/// Whether `program` can be started at all.
pub(crate) fn exists(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    !matches!(found, Err(error) if error.kind() == ErrorKind::NotFound)
}

/// The program and its first arguments: enough to know which call it was.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.take(6).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn not_started(command: &Command) -> String {
    format!("`{}` could not be started", shown(command))
}
