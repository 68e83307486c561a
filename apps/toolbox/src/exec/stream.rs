//! `POST /v1/execute/stream`: one command, whose output is sent while it runs.
//!
//! Both outputs have pipes of their own, and each piece that is read becomes a line. Only a few lines are held: whoever
//! reads slowly slows the command down. Unlike `/process/execute` a command does not outlive its client: when nobody
//! takes its output any more, it is killed with its family.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use futures_util::stream::unfold;
use sandgate_toolbox_api::{
    ErrorCode, Exit, Source, StreamError, StreamEvent, StreamRequest, types::signal_name,
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver as Pipe,
    sync::mpsc::{Receiver, Sender, channel},
};

use super::{end, not_started, order::Order, spawn};
use crate::{
    Toolbox,
    error::{Fault, reason},
    reaper::{Ending, Leader},
    request::JsonBody,
};

/// How much of an output becomes one line at most. A pipe holds twice as much.
const PIECE: usize = 32 << 10;
/// How many lines wait for a slow reader before the command does.
const LINES_AHEAD: usize = 4;

pub(crate) async fn stream(
    State(toolbox): State<Arc<Toolbox>>,
    JsonBody(request): JsonBody<StreamRequest>,
) -> Result<Response, Fault> {
    let order = Order::of_stream(request, &toolbox.settings)?;
    let job = spawn::start_apart(&toolbox, &order)
        .map_err(|error| Fault::bad_request(not_started(&order, &error)))?;
    let (to, lines) = channel(LINES_AHEAD);
    tokio::spawn(follow(job, order.timeout, to));
    Ok(respond(lines))
}

fn respond(lines: Receiver<Bytes>) -> Response {
    let lines = unfold(lines, async |mut lines| Some((Ok::<_, io::Error>(lines.recv().await?), lines)));
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// Sends what the command writes and how it ended. Whatever comes between kills it.
async fn follow(job: spawn::Apart, limit: Option<Duration>, to: Sender<Bytes>) {
    let spawn::Apart { mut leader, stdout, stderr } = job;
    let last = tokio::select! {
        // First: a command that has ended by itself was not killed by a limit that is over just now.
        biased;
        ended = to_the_end(&mut leader, stdout, stderr, &to) => ended,
        () = expiry(limit) => Some(StreamEvent::Exit(Exit::Timeout(true))),
        () = to.closed() => None,
    };
    if !matches!(last, Some(StreamEvent::Exit(Exit::Code(_) | Exit::Signal(_)))) {
        end(leader);
    }
    if let Some(last) = last {
        // Nobody to hear it is no matter.
        let _ = to.send(last.to_line().into()).await;
    }
}

/// The last line, once everybody has closed both outputs and the leader has ended.
async fn to_the_end(
    leader: &mut Leader,
    stdout: Pipe,
    stderr: Pipe,
    to: &Sender<Bytes>,
) -> Option<StreamEvent> {
    let both = tokio::try_join!(pass_on(stdout, Source::Stdout, to), pass_on(stderr, Source::Stderr, to));
    if let Err(error) = both {
        return Some(lost(&format!("its output could not be read: {}", reason(&error))));
    }
    Some(match leader.exit().await {
        Ending::Code(code) => StreamEvent::Exit(Exit::Code(code)),
        Ending::Signal(number) => StreamEvent::Exit(Exit::Signal(signal_name(number))),
        Ending::Unknown => lost("how it ended cannot be told"),
    })
}

fn lost(why: &str) -> StreamEvent {
    let code = ErrorCode::InternalServerError.as_str().to_owned();
    StreamEvent::Error(StreamError { code, message: format!("the command was lost: {why}") })
}

/// Reads one output to its end. A character whose rest is yet to come waits for it.
async fn pass_on(mut pipe: Pipe, source: Source, to: &Sender<Bytes>) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(PIECE);
        let is_over = pipe.read_buf(&mut bytes).await? == 0;
        let rest = if is_over { Vec::new() } else { bytes.split_off(whole_characters(&bytes)) };
        let piece = std::mem::replace(&mut bytes, rest);
        if !piece.is_empty() {
            let line = StreamEvent::output(source, piece).to_line();
            to.send(line.into()).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        if is_over {
            return Ok(());
        }
    }
}

/// How many of `bytes` come before a character that is cut off at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let cut = (from..bytes.len()).find(|at| {
        std::str::from_utf8(&bytes[*at..])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    });
    cut.unwrap_or(bytes.len())
}

async fn expiry(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_character_waits() {
        for (bytes, whole) in [
            (&b""[..], 0),
            (b"abc", 3),
            ("a€".as_bytes(), 4),
            (b"a\xe2\x82", 1),
            (b"\xf0\x9f\xa6", 0),
            (b"ab\xf0", 2),
            (b"a\xff", 2),
            (b"\xff\xe2\x82", 1),
            // The rest of a character whose beginning nobody has seen.
            (b"\x82\xac", 2),
            (b"\xed\xa0", 2),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:x?}");
        }
    }
}
