//! Looking at sandboxes.

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Path, QueryPairs};
use crate::routes::ControlState;
use crate::wire::{ListParameters, Sandbox, SandboxPage};
use axum::Json;
use axum::extract::State;

/// One sandbox, by id or name.
#[utoipa::path(get, path = "/sandbox/{sandboxIdOrName}", tag = "sandbox", security(("bearer" = [])),
    params(("sandboxIdOrName" = String, Path)),
    responses((status = 200, body = Sandbox), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn get(
    caller: Caller,
    State(state): State<ControlState>,
    Path(id): Path<String>,
) -> Result<Json<Sandbox>, ApiError> {
    Ok(Json(state.view.sandbox(state.sandboxes.get(caller.organization, &id).await?)))
}

/// A page of the organization's sandboxes.
#[utoipa::path(get, path = "/sandbox", tag = "sandbox", security(("bearer" = [])), params(ListParameters),
    responses((status = 200, body = SandboxPage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<ControlState>,
    QueryPairs(pairs): QueryPairs,
) -> Result<Json<SandboxPage>, ApiError> {
    let page = state.sandboxes.list(caller.organization, &ListParameters::parse(pairs)?).await?;
    let items = page.items.into_iter().map(|sandbox| state.view.sandbox(sandbox)).collect();
    Ok(Json(SandboxPage { items, next_cursor: page.next }))
}
