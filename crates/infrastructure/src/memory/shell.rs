//! As much of a shell as callers of a fake need: `true`, `false`, `exit N`, `echo TEXT` and `sleep SECONDS`.

use sandgate_core::{Command, CommandResult, ServiceError};
use std::time::Duration;

/// Runs `command` to its end. One that would outlast its timeout is cut short at once, without waiting for it.
pub(super) async fn run(command: &Command) -> Result<CommandResult, ServiceError> {
    let text = command.text.trim();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "true" => Ok(ended(0)),
        "false" => Ok(ended(1)),
        "exit" => Ok(ended(rest.parse().unwrap_or(2))),
        "echo" => Ok(CommandResult { exit_code: 0, output: format!("{rest}\n") }),
        "sleep" => sleep(rest, command.timeout).await,
        _ => Ok(CommandResult { exit_code: 127, output: format!("{word}: not found\n") }),
    }
}

const fn ended(exit_code: i32) -> CommandResult {
    CommandResult { exit_code, output: String::new() }
}

async fn sleep(seconds: &str, timeout: Option<Duration>) -> Result<CommandResult, ServiceError> {
    let Ok(seconds) = seconds.parse() else { return Ok(ended(1)) };
    let time = Duration::from_secs(seconds);
    if timeout.is_some_and(|timeout| timeout < time) {
        return Err(ServiceError::CommandTimeout);
    }
    tokio::time::sleep(time).await;
    Ok(ended(0))
}
