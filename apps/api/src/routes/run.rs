//! `POST /v1/run`: one command in a sandbox of its own. Ours; Daytona's API has nothing like it.

use super::ControlState;
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract;
use crate::wire::RunCommand;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::CONTENT_TYPE;
use std::convert::Infallible;
use tokio::sync::mpsc::Receiver;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new().routes(routes!(run))
}

/// Run one command in a new sandbox, and delete that.
///
/// The answer comes line by line while the command runs, each line a JSON object: first `{"sandbox":{"id":"…"}}`, then
/// `{"stdout":"…"}` and `{"stderr":"…"}` as they are written (`stdoutBase64` and `stderrBase64` where they are not UTF-8),
/// and at the end `{"exit":{"code":0}}`, `{"exit":{"signal":"KILL"}}` or `{"exit":{"timeout":true}}`. What goes wrong
/// after the first line is told by a last line `{"error":{"code":"…","message":"…"}}`. The sandbox is deleted before the
/// answer ends, and also when the client goes away at any moment.
#[utoipa::path(post, path = "/run", tag = "run", request_body = RunCommand, security(("bearer" = [])),
    responses((status = 200, body = String, content_type = "application/x-ndjson"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn run(
    caller: Caller,
    State(state): State<ControlState>,
    extract::Json(body): extract::Json<RunCommand>,
) -> Result<Response, ApiError> {
    let order = body.parse(&state.limits)?;
    let lines = crate::run::begin(&state.tasks, state.acting(caller), caller.organization, order).await?;
    Ok(respond(lines))
}

fn respond(lines: Receiver<Bytes>) -> Response {
    let lines = unfold(lines, async |mut lines| Some((Ok::<_, Infallible>(lines.recv().await?), lines)));
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
