//! A sandbox is in use for as long as a request to it is being answered, however long that takes.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use sandgate_core::{Sandbox, Sandboxes, SandboxesError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// How often a long answer is noted as a use.
const PERIOD: Duration = Duration::from_secs(50);

/// Notes uses of a sandbox until it is dropped.
pub(crate) struct Active(AbortHandle);

impl Active {
    /// Notes a use now, and from then on from time to time. Where it cannot be noted, as on a full disk, the request
    /// goes on all the same.
    pub(crate) async fn begin(sandboxes: Sandboxes, sandbox: Sandbox) -> Self {
        report(&sandbox, sandboxes.touch(&sandbox).await);
        let notes = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PERIOD).await;
                report(&sandbox, sandboxes.record_activity(sandbox.id).await);
            }
        });
        Self(notes.abort_handle())
    }

    /// `body`, which keeps the sandbox in use until it was sent or given up.
    pub(super) fn while_sent<B>(self, body: B) -> impl Body<Data = Bytes, Error = B::Error>
    where
        B: Body<Data = Bytes>,
    {
        body.map_frame(move |frame| {
            let _in_use = &self;
            frame
        })
    }
}

fn report(sandbox: &Sandbox, noted: Result<(), SandboxesError>) {
    if let Err(error) = noted {
        tracing::warn!(sandbox.id = %sandbox.id, error = %error, "a use of a sandbox could not be noted");
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.abort();
    }
}
