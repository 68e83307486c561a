//! Asking a server for a run, and doing with the lines of its answer what they say.

use super::server::Address;
use super::terminal::Terminal;
use crate::wire::{RunCommand, RunEvent};
use anyhow::{Context, bail};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Request, StatusCode};
use sandgate_shared::ExposeSecret;
use sandgate_toolbox_api::client::json_post;
use sandgate_toolbox_api::types::signal_number;
use sandgate_toolbox_api::{ClientError, Exit, Lines, StreamEvent, ToolboxBody, ToolboxClient};

/// The exit code of a command whose time was over, as `timeout` has it.
const TIMED_OUT: i32 = 124;
/// Added to a signal's number, as shells do.
const BY_SIGNAL: i32 = 128;

/// Runs the command to its end; returns the exit code that stands for how it ended.
pub(super) async fn run(server: &Address, order: &RunCommand) -> anyhow::Result<u8> {
    let http = ToolboxClient::tcp(server.authority.clone());
    match http.lines(request(server, order)?).await {
        Ok(lines) => repeat(lines).await,
        Err(ClientError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
            bail!("{server} has no /v1/run: it is no Sandgate, or an older one")
        }
        Err(ClientError::Refused { body, .. }) => bail!("{}", body.message),
        Err(error) => Err(error).with_context(|| format!("{server} did not answer")),
    }
}

fn request(server: &Address, order: &RunCommand) -> anyhow::Result<Request<ToolboxBody>> {
    let mut request = json_post(&format!("{}/v1/run", server.prefix), serde_json::to_vec(order)?);
    let key = format!("Bearer {}", server.key.expose_secret());
    // The error would show the key.
    let mut key = HeaderValue::try_from(key).ok().context("the API key holds what no header can carry")?;
    key.set_sensitive(true);
    let host = HeaderValue::try_from(server.authority.as_str())?;
    request.headers_mut().extend([(AUTHORIZATION, key), (HOST, host)]);
    Ok(request)
}

/// Writes here what the command writes there.
async fn repeat(mut lines: Lines) -> anyhow::Result<u8> {
    let mut terminal = Terminal::default();
    let mut ended = None;
    while let Some(line) = lines.next().await.context("the server broke off")? {
        match serde_json::from_slice(&line).context("the server says something that cannot be read")? {
            RunEvent::Sandbox(_) => {}
            RunEvent::Command(StreamEvent::Exit(exit)) => ended = Some(code(&exit)?),
            RunEvent::Command(StreamEvent::Error(error)) => bail!("{}", error.message),
            RunEvent::Command(output) => {
                let (source, bytes) = output.into_output().context("the server sends what is no base64")?;
                if let Some(code) = terminal.write(source, &bytes).await? {
                    return Ok(code);
                }
            }
        }
    }
    ended.context("the server broke off")
}

fn code(exit: &Exit) -> anyhow::Result<u8> {
    let code = match exit {
        Exit::Code(code) => *code,
        Exit::Signal(name) => {
            BY_SIGNAL + signal_number(name).with_context(|| format!("no signal is called {name:?}"))?
        }
        Exit::Timeout(_) => TIMED_OUT,
    };
    u8::try_from(code).with_context(|| format!("{code} is no exit code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_shells() {
        for (exit, expected) in [
            (Exit::Code(0), 0),
            (Exit::Code(255), 255),
            (Exit::Signal("KILL".to_owned()), 137),
            (Exit::Signal("34".to_owned()), 162),
            (Exit::Timeout(true), 124),
        ] {
            assert_eq!(code(&exit).expect("a code"), expected, "{exit:?}");
        }
        assert!(code(&Exit::Code(256)).is_err() && code(&Exit::Signal("X".to_owned())).is_err());
    }
}
