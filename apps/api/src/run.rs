//! Carrying out one command in a sandbox of its own: create, run, pass on what it writes, delete.
//!
//! All of it happens on a task, since a handler is dropped when its client goes. The task notices that, and that the
//! server is to stop, by the channels that it writes to; whichever it is, it comes to the delete. What even that cannot
//! delete is deleted by the recovery at the next start, or by the sandbox's interval.

use crate::error::ApiError;
use crate::relay::Active;
use crate::tasks::Tasks;
use crate::wire::{RunEvent, RunOrder, RunSandbox};
use bytes::Bytes;
use sandgate_core::{Observed, OrganizationId, Sandbox, Sandboxes, SandboxesError, ToolboxAddress};
use sandgate_shared::ErrorCode;
use sandgate_toolbox_api::{ClientError, Exit, Lines, StreamEvent, StreamRequest, ToolboxClient};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many lines wait for a slow client before the command does.
const LINES_AHEAD: usize = 4;
/// How often a delete is tried while another change to the sandbox is under way, and the pause between.
const DELETES: u32 = 100;
const BETWEEN_DELETES: Duration = Duration::from_millis(50);
/// How often a sandbox is looked at while its command runs.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// How much longer than its time a command's toolbox may take to say how it ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the last line may take once the server is to stop.
const LAST_WORD: Duration = Duration::from_secs(1);

type Begun = oneshot::Sender<Result<mpsc::Receiver<Bytes>, ApiError>>;

/// Starts the command; gives the lines of its answer as soon as it runs.
pub(crate) async fn begin(
    tasks: &Tasks,
    sandboxes: Sandboxes,
    organization: OrganizationId,
    order: RunOrder,
) -> Result<mpsc::Receiver<Bytes>, ApiError> {
    let (begun, lines) = oneshot::channel();
    let run = Run { tasks: tasks.clone(), sandboxes };
    tasks.spawn(async move { run.carry_out(organization, order, begun).await });
    lines.await.unwrap_or_else(|_| Err(ApiError::panicked()))
}

struct Run {
    tasks: Tasks,
    sandboxes: Sandboxes,
}

impl Run {
    async fn carry_out(self, organization: OrganizationId, order: RunOrder, mut begun: Begun) {
        let sandbox = match self.sandboxes.create(organization, order.sandbox).await {
            Ok(created) => created.sandbox,
            Err(error) => return drop(begun.send(Err(error.into()))),
        };
        match self.start(&sandbox, &order.command, &mut begun).await {
            Ok(lines) => {
                let (to, client) = mpsc::channel(LINES_AHEAD);
                // If nobody takes it, the other end is gone, which is noticed below.
                let _ = begun.send(Ok(client));
                let limit = order.command.timeout.and_then(|seconds| u64::try_from(seconds).ok());
                let limit = limit.filter(|seconds| *seconds > 0).map(Duration::from_secs);
                self.pass_on(&sandbox, lines, (to, limit)).await;
            }
            Err(error) => {
                self.delete(&sandbox).await;
                let _ = begun.send(Err(error));
            }
        }
    }

    /// Starts the command, unless the client goes or the server is to stop meanwhile.
    async fn start(
        &self,
        sandbox: &Sandbox,
        command: &StreamRequest,
        begun: &mut Begun,
    ) -> Result<Lines, ApiError> {
        let ToolboxAddress::Unix(path) = self.sandboxes.toolbox(sandbox).await?;
        let toolbox = ToolboxClient::unix(path);
        tokio::select! {
            lines = toolbox.stream(command) => lines.map_err(|error| refusal(&error)),
            () = begun.closed() => Err(ApiError::new(ErrorCode::RequestTimeout, "the client went away")),
            () = self.tasks.stopping() => Err(stopping()),
        }
    }

    /// Sends everything to the client, and deletes the sandbox when there is no more. The answer ends after that, as
    /// its last sender goes with this function.
    async fn pass_on(
        &self,
        sandbox: &Sandbox,
        lines: Lines,
        (to, limit): (mpsc::Sender<Bytes>, Option<Duration>),
    ) {
        let in_use = Active::begin(self.sandboxes.clone(), sandbox.clone()).await;
        let first = RunEvent::Sandbox(RunSandbox { id: sandbox.id.to_string() });
        let last = tokio::select! {
            last = relay(first, lines, &to) => match last {
                Last::Line(line) => Some(line),
                Last::Lost => Some(self.lost(sandbox).await.to_line().into()),
            },
            () = to.closed() => None,
            () = self.tasks.stopping() => Some(stopping().event().to_line().into()),
            () = self.breaks(sandbox) => Some(self.lost(sandbox).await.to_line().into()),
            () = overdue(limit) => Some(StreamEvent::Exit(Exit::Timeout(true)).to_line().into()),
        };
        drop(in_use);
        // At once: a client that is slow to read must not keep the sandbox alive.
        tokio::join!(self.tell(last, &to), self.delete(sandbox));
    }

    /// Sends the last line. A server that is to stop does not wait for ever for a client to take it.
    async fn tell(&self, last: Option<Bytes>, to: &mpsc::Sender<Bytes>) {
        let Some(line) = last else { return };
        let too_late = async {
            self.tasks.stopping().await;
            tokio::time::sleep(LAST_WORD).await;
        };
        tokio::select! {
            _ = to.send(line) => {}
            () = too_late => {}
        }
    }

    /// Returns when the sandbox does not work any more: its toolbox may be silent about that for ever.
    async fn breaks(&self, sandbox: &Sandbox) {
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            if let Ok(seen) = self.sandboxes.recheck(sandbox).await
                && seen.observed != Observed::Started
            {
                return;
            }
        }
    }

    /// The toolbox is gone, and the sandbox with it as a rule. Its state has the cause.
    async fn lost(&self, sandbox: &Sandbox) -> StreamEvent {
        let cause = self.sandboxes.recheck(sandbox).await.ok().and_then(|seen| seen.cause);
        let why = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        ApiError::new(ErrorCode::BadGateway, format!("the sandbox ended before its command did{why}")).event()
    }

    async fn delete(&self, sandbox: &Sandbox) {
        let id = sandbox.id.to_string();
        for _ in 0..DELETES {
            match self.sandboxes.delete(sandbox.organization, &id).await {
                Ok(_) | Err(SandboxesError::NotFound) => return,
                Err(SandboxesError::Busy) => tokio::time::sleep(BETWEEN_DELETES).await,
                Err(error) => {
                    return tracing::error!(sandbox.id = id, error = %error, "a sandbox that has done its work could not be deleted");
                }
            }
        }
        tracing::error!(
            sandbox.id = id,
            "a sandbox that has done its work could not be deleted: it never came to rest"
        );
    }
}

/// How passing on came to its end.
enum Last {
    /// By this line, which says how the command ended.
    Line(Bytes),
    /// The toolbox broke off.
    Lost,
}

/// Passes on what the command writes, each line checked, until the last one.
async fn relay(first: RunEvent, mut lines: Lines, to: &mpsc::Sender<Bytes>) -> Last {
    let mut line = Bytes::from(first.to_line());
    // A client that is gone is noticed by the caller.
    while to.send(line).await.is_ok() {
        let Ok(Some(next)) = lines.next().await else { return Last::Lost };
        match serde_json::from_slice(&next) {
            Ok(StreamEvent::Exit(_) | StreamEvent::Error(_)) => return Last::Line(next),
            Ok(_) => line = next,
            Err(_) => return Last::Lost,
        }
    }
    std::future::pending().await
}

/// Returns when a command has had its time, and its toolbox some more to say so: it may not come to it, or nobody may
/// read what it says.
async fn overdue(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit.saturating_add(LAST_WORDS)).await,
        None => std::future::pending().await,
    }
}

fn stopping() -> ApiError {
    ApiError::new(ErrorCode::ServiceUnavailable, "the server is being stopped; the command was killed")
}

/// The toolbox did not start the command.
fn refusal(error: &ClientError) -> ApiError {
    match error {
        ClientError::Refused { status, body } if status.is_client_error() => {
            ApiError::new(ErrorCode::BadRequest, body.message.clone())
        }
        error => {
            tracing::warn!(error = %error, "a toolbox did not start a command");
            ApiError::new(ErrorCode::BadGateway, "the sandbox's toolbox did not start the command")
        }
    }
}
