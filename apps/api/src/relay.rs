//! The way into a sandbox: `/toolbox/{id}/…` is passed on to the sandbox's toolbox, byte for byte, both ways.
//!
//! Neither side is trusted. What goes in loses everything that is ours or hop-by-hop; what comes out is allow-listed,
//! since it was written by whatever runs in there.

mod activity;
mod clients;
mod headers;

use crate::auth::Keys;
use crate::error::ApiError;
pub(crate) use activity::Active;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use clients::Clients;
use http::Uri;
use http::uri::PathAndQuery;
use http_body_util::BodyExt;
use sandgate_core::{Observed, Sandbox, Sandboxes, SandboxesError, ServiceError};
use sandgate_shared::ErrorCode;
use sandgate_toolbox_api::ClientError;
use std::pin::pin;
use std::time::Duration;

/// The prefix of all toolbox paths.
pub(crate) const PREFIX: &str = "/toolbox";

/// How often, and how long after each other, the provider is asked about a toolbox that does not answer.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How long a toolbox may be silent at first until it is looked at, and how long at most.
const PATIENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];

/// Passes requests on to toolboxes.
#[derive(Clone)]
pub(crate) struct Relay {
    keys: Keys,
    sandboxes: Sandboxes,
    clients: Clients,
}

impl Relay {
    /// A relay into `sandboxes` for whoever has a key.
    pub(crate) fn new(keys: Keys, sandboxes: Sandboxes) -> Self {
        Self { keys, sandboxes, clients: Clients::default() }
    }

    /// Every path below the prefix.
    pub(crate) fn router(self) -> Router {
        Router::new().route("/toolbox/{id}/{*path}", any(relay)).with_state(self)
    }

    async fn pass(&self, request: Request) -> Result<Response, ApiError> {
        let key = self.keys.authenticate(request.headers()).await?;
        let (id, target) = split(request.uri()).ok_or_else(no_toolbox)?;
        let sandbox = self.usable(self.sandboxes.get(key.organization, &id).await?).await?;
        let address = self.sandboxes.toolbox(&sandbox).await.map_err(|error| not_running(&sandbox, error))?;
        let active = Active::begin(self.sandboxes.clone(), sandbox.clone()).await;
        let (mut parts, body) = request.into_parts();
        parts.uri = target.into();
        let path = parts.uri.path().to_owned();
        headers::clean_inbound(&mut parts.headers);
        let body = body.map_err(Into::into).boxed_unsync();
        let client = self.clients.get(address);
        let sending = client.send(http::Request::from_parts(parts, body));
        match self.watched(&sandbox, sending).await? {
            Ok(answer) => Ok(present(answer, &path, active)),
            Err(error) => Err(self.explain(&sandbox, error).await),
        }
    }

    /// What did not work when it was last looked at may work again.
    async fn usable(&self, sandbox: Sandbox) -> Result<Sandbox, ApiError> {
        match sandbox.observed {
            Observed::Failed => Ok(self.sandboxes.recheck(&sandbox).await?),
            _ => Ok(sandbox),
        }
    }

    /// Waits for the head of an answer, however long the request takes, but not for a toolbox that is broken: while
    /// nothing comes it is looked at from time to time.
    async fn watched<T>(&self, sandbox: &Sandbox, sending: impl Future<Output = T>) -> Result<T, ApiError> {
        let mut sending = pin!(sending);
        let mut patience = PATIENCE[0];
        loop {
            if let Ok(answer) = tokio::time::timeout(patience, &mut sending).await {
                return Ok(answer);
            }
            if let Ok(seen) = self.sandboxes.recheck(sandbox).await
                && seen.observed != Observed::Started
            {
                return Err(gone_silent(&seen));
            }
            patience = (patience * 2).min(PATIENCE[1]);
        }
    }

    /// Nobody answered: find out why, so that the state that clients see is true from now on.
    async fn explain(&self, sandbox: &Sandbox, error: ClientError) -> ApiError {
        // A sandbox that has just died may take the provider a moment to notice.
        for _ in 0..LOOKS {
            if let Ok(seen) = self.sandboxes.recheck(sandbox).await
                && seen.observed != Observed::Started
            {
                return not_running(&seen, ServiceError::NotRunning.into());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        tracing::warn!(sandbox.id = %sandbox.id, error = %error, "a toolbox did not answer");
        let sent = match error {
            ClientError::Unreachable(_) => "the request was not carried out",
            _ => "the request may have been carried out",
        };
        ApiError::relay(ErrorCode::BadGateway, format!("the sandbox's toolbox did not answer; {sent}"))
    }
}

async fn relay(State(relay): State<Relay>, request: Request) -> Response {
    relay.pass(request).await.map_err(ApiError::said_by_relay).into_response()
}

/// The id and the rest of the raw path with its query: what was percent-encoded stays so.
fn split(uri: &Uri) -> Option<(String, PathAndQuery)> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(PREFIX)?.strip_prefix('/')?;
    let slash = rest.find('/')?;
    Some((rest[..slash].to_owned(), rest[slash..].parse().ok()?))
}

fn no_toolbox() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "a toolbox path is /toolbox/{sandbox id}/{path}")
}

/// It was asked, and then stopped working.
fn gone_silent(sandbox: &Sandbox) -> ApiError {
    let why = sandbox.cause.as_deref().unwrap_or("it was stopped");
    let text = format!("the sandbox did not answer, the request may have been carried out: {why}");
    ApiError::relay(ErrorCode::BadGateway, text)
}

/// What is not running cannot be asked; say so, with the way out.
fn not_running(sandbox: &Sandbox, error: SandboxesError) -> ApiError {
    match error {
        SandboxesError::Provider(ServiceError::NotRunning) => {
            let why = sandbox.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
            ApiError::new(ErrorCode::BadRequest, format!("Sandbox is not running, start it first{why}"))
        }
        other => other.into(),
    }
}

/// The answer as the client gets it. The sandbox counts as used until its last byte is out.
fn present(answer: http::Response<hyper::body::Incoming>, path: &str, active: Active) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers = headers::clean_outbound(&parts.headers, path);
    parts.extensions.clear();
    Response::from_parts(parts, Body::new(active.while_sent(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Option<(String, String)> {
        split(&uri.parse().expect("a URI")).map(|(id, target)| (id, target.to_string()))
    }

    #[test]
    fn the_raw_path_is_passed_on() {
        let passed = target("/toolbox/abc/files/info?path=%2Fa%20b&x=%2e%2e").expect("a toolbox path");
        assert_eq!(passed, ("abc".to_owned(), "/files/info?path=%2Fa%20b&x=%2e%2e".to_owned()));
        let passed = target("/toolbox/abc/%2e%2e/x").expect("a toolbox path");
        assert_eq!(passed.1, "/%2e%2e/x");
    }

    #[test]
    fn a_path_without_a_rest_is_none() {
        assert_eq!(target("/toolbox/abc"), None);
        assert_eq!(target("/toolboxes/abc/x"), None);
    }
}
