//! `POST /process/execute`: one shell command, run to its end. (In [`mod@stream`]: one whose output is sent while it runs.)
//!
//! The command text is fed to the shell through its standard input, so its length has no limit; see [`spawn`]. The
//! answer comes when everybody who holds the output has closed it, background children included, or when the time
//! is over. A client that hangs up does not end its command: that runs on and its output is thrown away.

mod answer;
mod kill;
mod order;
mod output;
mod room;
mod spawn;
mod stream;

use std::{io, sync::Arc, time::Duration};

use axum::{extract::State, response::Response};
use sandgate_toolbox_api::{ErrorCode, ExecuteRequest};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    Toolbox,
    error::{Fault, reason},
    reaper::Leader,
    request::JsonBody,
};
use order::Order;
use output::{Capture, Output};
use spawn::Job;
pub(crate) use stream::stream;

/// How long the end of a killed shell may take before it is left to the reaper.
const DEATH: Duration = Duration::from_secs(2);

/// A command that came to its end, or could not be started.
struct Finished {
    exit_code: i32,
    output: Output,
}

type Reply = oneshot::Sender<Result<Finished, Fault>>;

pub(crate) async fn execute(
    State(toolbox): State<Arc<Toolbox>>,
    JsonBody(request): JsonBody<ExecuteRequest>,
) -> Result<Response, Fault> {
    let order = Order::parse(request, &toolbox.settings)?;
    let (reply, answer) = oneshot::channel();
    // A task of its own: this handler is dropped when its client hangs up, and with it would go the command's pipe.
    tokio::spawn(run(toolbox, order, reply));
    let finished =
        answer.await.map_err(|_| Fault::new(ErrorCode::InternalServerError, "the command was lost"))??;
    Ok(answer::respond(finished))
}

async fn run(toolbox: Arc<Toolbox>, order: Order, mut reply: Reply) {
    let outcome = match spawn::start(&toolbox, &order) {
        Ok(job) => follow(job, order.timeout, &mut reply).await,
        Err(error) => {
            let text = not_started(&order, &error);
            Ok(Finished { exit_code: -1, output: Output::Memory(text.into_bytes()) })
        }
    };
    let _ = reply.send(outcome);
}

async fn follow(mut job: Job, limit: Option<Duration>, reply: &mut Reply) -> Result<Finished, Fault> {
    let to_the_end = async {
        let output = Capture::default().read_to_end(&mut job.output, reply).await?;
        Ok(Finished { exit_code: job.leader.exit().await.code_or_none(), output })
    };
    let ended = match limit {
        Some(limit) => timeout(limit, to_the_end).await.unwrap_or_else(|_| Err(timed_out())),
        None => to_the_end.await,
    };
    if ended.is_err() {
        end(job.leader);
    }
    ended
}

/// Kills what is left of a command. Its output is dropped by the caller, so whoever escaped cannot delay the answer; its
/// shell is waited for on the side.
fn end(mut leader: Leader) {
    kill::tree(leader.pid);
    tokio::spawn(async move { timeout(DEATH, leader.exit()).await });
}

fn not_started(order: &Order, error: &io::Error) -> String {
    format!("cannot start a shell in {}: {}", order.cwd.display(), reason(error))
}

fn timed_out() -> Fault {
    Fault::new(ErrorCode::ProcessExecutionTimeout, "request timeout: command execution timeout")
}
