//! A client of the toolbox API with a pool of kept-alive connections, over a unix socket or TCP.
//!
//! Nothing is sent twice: only a request of which no byte was written is tried again on a fresh connection, so a
//! command never runs a second time because a pooled connection had gone stale. All bytes of an answer are
//! treated as hostile: whatever this module buffers has a limit.

mod answer;
mod error;
mod lines;
mod unix;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::CONTENT_TYPE,
    uri::{Authority, Scheme},
};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Builder, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::de::DeserializeOwned;

use crate::types::{ExecuteRequest, ExecuteResponse, STREAM_PATH, StreamRequest};
pub use error::{BodyError, ClientError};
pub use lines::Lines;
use unix::UnixConnector;

/// A request body: any stream of bytes.
pub type ToolboxBody = UnsyncBoxBody<Bytes, BodyError>;

/// Shorter than the daemon's own 90 s, so that it is us who close an idle connection and no request meets one
/// that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_mins(1);
const IDLE_CONNECTIONS: usize = 32;
/// What an answer may take beyond the command's own timeout before we hang up.
const EXECUTE_GRACE: Duration = Duration::from_secs(5);
/// Largest answer that [`ToolboxClient::execute`] and [`ToolboxClient::fetch`] hold in memory.
const ANSWER_LIMIT: usize = 64 << 20;

/// No body.
pub fn empty_body() -> ToolboxBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is in memory already.
pub fn full_body(bytes: impl Into<Bytes>) -> ToolboxBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// One toolbox. Clones share the pool.
#[derive(Debug, Clone)]
pub struct ToolboxClient {
    pool: Pool,
    authority: Authority,
    answer_limit: usize,
}

#[derive(Debug, Clone)]
enum Pool {
    Unix(Client<UnixConnector, ToolboxBody>),
    Tcp(Client<HttpConnector, ToolboxBody>),
}

impl ToolboxClient {
    /// The toolbox that listens on the unix socket `path`. Connects when first used.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        let path: Arc<std::path::Path> = path.into().into();
        Self {
            pool: Pool::Unix(pool().build(UnixConnector::new(path))),
            authority: Authority::from_static("toolbox"),
            answer_limit: ANSWER_LIMIT,
        }
    }

    /// The toolbox at `authority`, a host with an optional port. Plain HTTP; connects when first used.
    pub fn tcp(authority: Authority) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { pool: Pool::Tcp(pool().build(connector)), authority, answer_limit: ANSWER_LIMIT }
    }

    /// Sets how many bytes of an answer [`Self::execute`] and [`Self::fetch`] accept; 64 MiB unless said.
    #[must_use]
    pub fn with_answer_limit(mut self, bytes: usize) -> Self {
        self.answer_limit = bytes;
        self
    }

    /// Sends `request`, whose URI is a path and query, and gives the answer as soon as its head is there. Both bodies
    /// are streamed and nothing is buffered; no deadline is set. An answer with an error status is an `Ok`.
    pub async fn send(&self, request: Request<ToolboxBody>) -> Result<Response<Incoming>, ClientError> {
        let request = self.addressed(request)?;
        let sent = match &self.pool {
            Pool::Unix(client) => client.request(request).await,
            Pool::Tcp(client) => client.request(request).await,
        };
        sent.map_err(ClientError::from_transport)
    }

    /// Sends `request` and reads a JSON answer; an error status becomes [`ClientError::Refused`].
    pub async fn fetch<T: DeserializeOwned>(&self, request: Request<ToolboxBody>) -> Result<T, ClientError> {
        answer::json(self.send(request).await?, self.answer_limit).await
    }

    /// Runs one command to its end. A command that fails is an `Ok` with its exit code. Waits for as long as
    /// the command may take, and a few seconds more if it has a timeout.
    pub async fn execute(&self, command: &ExecuteRequest) -> Result<ExecuteResponse, ClientError> {
        let body = serde_json::to_vec(command).map_err(ClientError::malformed)?;
        let answer = self.fetch(json_post("/process/execute", body));
        match command.timeout.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0) {
            None => answer.await,
            Some(seconds) => {
                let deadline = Duration::from_secs(seconds).saturating_add(EXECUTE_GRACE);
                tokio::time::timeout(deadline, answer).await.map_err(ClientError::interrupted)?
            }
        }
    }

    /// Starts one command and gives the lines of its answer, each a [`crate::StreamEvent`]. Dropping them kills the command.
    pub async fn stream(&self, command: &StreamRequest) -> Result<Lines, ClientError> {
        let body = serde_json::to_vec(command).map_err(ClientError::malformed)?;
        self.lines(json_post(STREAM_PATH, body)).await
    }

    /// Sends `request` and gives the lines of its answer; an error status becomes [`ClientError::Refused`].
    pub async fn lines(&self, request: Request<ToolboxBody>) -> Result<Lines, ClientError> {
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Err(answer::refusal(answer, self.answer_limit).await);
        }
        Ok(Lines::new(answer.into_body()))
    }

    /// Whether the daemon answers at all.
    pub async fn health(&self) -> Result<(), ClientError> {
        let answer = self.send(get("/health")).await?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            _ => Err(answer::refusal(answer, self.answer_limit).await),
        }
    }

    fn addressed(&self, mut request: Request<ToolboxBody>) -> Result<Request<ToolboxBody>, ClientError> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).map_err(ClientError::malformed)?;
        Ok(request)
    }
}

/// A `GET` of `path_and_query`, which must be percent-encoded.
///
/// # Panics
/// If `path_and_query` is not one.
pub fn get(path_and_query: &str) -> Request<ToolboxBody> {
    Request::get(path_and_query).body(empty_body()).expect("a path and query")
}

/// A `POST` of a JSON `body` to `path_and_query`, which must be percent-encoded.
///
/// # Panics
/// If `path_and_query` is not one.
pub fn json_post(path_and_query: &str, body: impl Into<Bytes>) -> Request<ToolboxBody> {
    let json = HeaderValue::from_static("application/json");
    Request::builder()
        .method(Method::POST)
        .uri(path_and_query)
        .header(CONTENT_TYPE, json)
        .body(full_body(body))
        .expect("a path and query")
}

fn pool() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_timer(TokioTimer::new())
        // Retried is only what the connection handed back unsent.
        .retry_canceled_requests(true);
    builder
}
