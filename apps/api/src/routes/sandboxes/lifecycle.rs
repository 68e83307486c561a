//! Creating, starting, stopping and deleting. All of it runs to its end, whether or not the client waits.

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{self, Path};
use crate::routes::ControlState;
use crate::wire::{CreateSandbox, Sandbox};
use crate::{idempotency, rate};
use axum::Json;
use axum::extract::State;
use http::{HeaderMap, HeaderValue};
use sandgate_core::{Created, Idempotency};

/// Make a sandbox. The answer comes when it runs, and says `started`.
///
/// With an `Idempotency-Key` the request has its effect once, however often it is sent within a day: later answers have
/// `Idempotent-Replayed: true` and the same sandbox as it is then. A name is such a key too, answered with 409.
#[utoipa::path(post, path = "/sandbox", tag = "sandbox", request_body = CreateSandbox, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 410, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, body = ErrorBody), (status = 501, body = ErrorBody)))]
pub(super) async fn create(
    caller: Caller,
    State(state): State<ControlState>,
    headers: HeaderMap,
    extract::Json(body): extract::Json<CreateSandbox>,
) -> Result<(HeaderMap, Json<Sandbox>), ApiError> {
    let request = body.fingerprint();
    let idempotency = idempotency::key(&headers)?.map(|key| Idempotency { key, request });
    let mut new = body.parse(&state.limits)?;
    new.idempotency = idempotency;
    let created =
        state.run(caller, move |sandboxes| idempotency::create(sandboxes, caller.organization, new)).await?;
    Ok((told(&created), Json(state.view.sandbox(created.sandbox))))
}

/// What the header fields tell of a create.
fn told(created: &Created) -> HeaderMap {
    let mut headers = created.rate.as_ref().map(rate::headers).unwrap_or_default();
    if created.replayed {
        headers.insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
    }
    headers
}

/// Start a stopped sandbox with the files it had.
#[utoipa::path(post, path = "/sandbox/{sandboxIdOrName}/start", tag = "sandbox", security(("bearer" = [])),
    params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn start(
    caller: Caller,
    State(state): State<ControlState>,
    Path(id): Path<String>,
) -> Result<Json<Sandbox>, ApiError> {
    let started = state
        .run(caller, move |sandboxes| async move { sandboxes.start(caller.organization, &id).await })
        .await?;
    Ok(Json(state.view.sandbox(started)))
}

/// End a sandbox's processes and keep its files; an ephemeral sandbox is deleted.
#[utoipa::path(post, path = "/sandbox/{sandboxIdOrName}/stop", tag = "sandbox", security(("bearer" = [])),
    params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn stop(
    caller: Caller,
    State(state): State<ControlState>,
    Path(id): Path<String>,
) -> Result<Json<Sandbox>, ApiError> {
    let stopped = state
        .run(caller, move |sandboxes| async move { sandboxes.stop(caller.organization, &id).await })
        .await?;
    Ok(Json(state.view.sandbox(stopped)))
}

/// End a sandbox and forget it.
#[utoipa::path(delete, path = "/sandbox/{sandboxIdOrName}", tag = "sandbox", security(("bearer" = [])),
    params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)))]
pub(super) async fn delete(
    caller: Caller,
    State(state): State<ControlState>,
    Path(id): Path<String>,
) -> Result<Json<Sandbox>, ApiError> {
    let deleted = state
        .run(caller, move |sandboxes| async move { sandboxes.delete(caller.organization, &id).await })
        .await?;
    Ok(Json(state.view.sandbox(deleted)))
}
