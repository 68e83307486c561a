//! Changing labels and intervals, and saying that a sandbox is in use.

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{self, Path};
use crate::routes::ControlState;
use crate::wire::{Sandbox, SandboxLabels};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use sandgate_core::{Intervals, Labels, Sandboxes};

/// Replace all labels.
#[utoipa::path(put, path = "/sandbox/{sandboxIdOrName}/labels", tag = "sandbox", security(("bearer" = [])),
    params(("sandboxIdOrName" = String, Path)), request_body = SandboxLabels,
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn labels(
    caller: Caller,
    State(state): State<ControlState>,
    Path(id): Path<String>,
    extract::Json(body): extract::Json<SandboxLabels>,
) -> Result<Json<Sandbox>, ApiError> {
    let labels = Labels::parse(body.labels)?;
    let changed = state
        .run(
            caller,
            move |sandboxes| async move { sandboxes.set_labels(caller.organization, &id, labels).await },
        )
        .await?;
    Ok(Json(state.view.sandbox(changed)))
}

async fn set_interval(
    caller: Caller,
    state: &ControlState,
    id: String,
    change: impl Fn(&mut Intervals) + Send + Sync + 'static,
) -> Result<Json<Sandbox>, ApiError> {
    let change = move |sandboxes: Sandboxes| async move {
        sandboxes.set_intervals(caller.organization, &id, change).await
    };
    Ok(Json(state.view.sandbox(state.run(caller, change).await?)))
}

/// Minutes without use until it is stopped; 0 means never.
#[utoipa::path(post, path = "/sandbox/{sandboxIdOrName}/autostop/{interval}", tag = "sandbox",
    security(("bearer" = [])), params(("sandboxIdOrName" = String, Path), ("interval" = i64, Path)),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn auto_stop(
    caller: Caller,
    State(state): State<ControlState>,
    Path((id, interval)): Path<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let minutes = Intervals::parse_auto_stop(minutes(&interval)?)?;
    set_interval(caller, &state, id, move |intervals| intervals.auto_stop = minutes).await
}

/// Minutes after the stop until it is archived; 0 means as late as possible.
#[utoipa::path(post, path = "/sandbox/{sandboxIdOrName}/autoarchive/{interval}", tag = "sandbox",
    security(("bearer" = [])), params(("sandboxIdOrName" = String, Path), ("interval" = i64, Path)),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn auto_archive(
    caller: Caller,
    State(state): State<ControlState>,
    Path((id, interval)): Path<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let minutes = Intervals::parse_auto_archive(minutes(&interval)?)?;
    set_interval(caller, &state, id, move |intervals| intervals.auto_archive = minutes).await
}

/// Minutes after the stop until it is deleted; negative means never, 0 at once.
#[utoipa::path(post, path = "/sandbox/{sandboxIdOrName}/autodelete/{interval}", tag = "sandbox",
    security(("bearer" = [])), params(("sandboxIdOrName" = String, Path), ("interval" = i64, Path)),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn auto_delete(
    caller: Caller,
    State(state): State<ControlState>,
    Path((id, interval)): Path<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let minutes = Intervals::parse_auto_delete(minutes(&interval)?)?;
    set_interval(caller, &state, id, move |intervals| intervals.auto_delete = minutes).await
}

/// Minutes from now on until it is deleted, whatever it is doing; 0 means never, or as late as this server allows.
#[utoipa::path(post, path = "/sandbox/{sandboxIdOrName}/ttl/{ttlMinutes}", tag = "sandbox",
    security(("bearer" = [])), params(("sandboxIdOrName" = String, Path), ("ttlMinutes" = i64, Path)),
    responses((status = 200, body = Sandbox), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(super) async fn ttl(
    caller: Caller,
    State(state): State<ControlState>,
    Path((id, interval)): Path<(String, String)>,
) -> Result<Json<Sandbox>, ApiError> {
    let minutes = Intervals::parse_ttl(minutes(&interval)?)?;
    let changed = state
        .run(
            caller,
            move |sandboxes| async move { sandboxes.set_ttl(caller.organization, &id, minutes).await },
        )
        .await?;
    Ok(Json(state.view.sandbox(changed)))
}

fn minutes(text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::new(sandgate_shared::ErrorCode::BadRequest, "an interval is a whole number of minutes")
    })
}

/// Say that the sandbox is in use, so that it is not stopped for want of activity.
#[utoipa::path(post, path = "/sandbox/{sandboxId}/last-activity", tag = "sandbox", security(("bearer" = [])),
    params(("sandboxId" = String, Path)),
    responses((status = 201), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn last_activity(
    caller: Caller,
    State(state): State<ControlState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let sandbox = state.sandboxes.get(caller.organization, &id).await?;
    state.sandboxes.record_activity(sandbox.id).await?;
    Ok(StatusCode::CREATED)
}
