//! Creating, starting, stopping and deleting. All of it runs to its end, whether or not the client waits.

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{self, Path};
use crate::routes::ControlState;
use crate::wire::{CreateSandbox, Sandbox};
use axum::Json;
use axum::extract::State;

/// Make a sandbox. The answer comes when it runs, and says `started`.
#[utoipa::path(post, path = "/sandbox", tag = "sandbox", request_body = CreateSandbox, security(("bearer" = [])),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 501, body = ErrorBody)))]
pub(super) async fn create(
    caller: Caller,
    State(state): State<ControlState>,
    extract::Json(body): extract::Json<CreateSandbox>,
) -> Result<Json<Sandbox>, ApiError> {
    let new = body.parse(&state.limits)?;
    let created = state
        .run(caller, move |sandboxes| async move { sandboxes.create(caller.organization, new).await })
        .await?;
    Ok(Json(state.view.sandbox(created)))
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
