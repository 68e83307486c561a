//! `/v1/orphans`: sandboxes that the ledger does not know, and that are too many to be deleted without being asked.

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::routes::ControlState;
use axum::Json;
use axum::extract::State;
use sandgate_core::Swept;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new().routes(routes!(list, delete))
}

/// The orphans that are held.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Orphans {
    /// Their names at the provider.
    held: Vec<String>,
}

/// What became of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// How many were deleted.
    deleted: usize,
    /// How many could not be deleted now; the next sweep tries again.
    failed: usize,
}

impl ControlState {
    fn orphans(&self) -> Orphans {
        let held = self.sandboxes.held_orphans().into_iter();
        Orphans { held: held.map(|attempt| attempt.external_name(&self.instance).to_string()).collect() }
    }
}

/// Name the sandboxes that the ledger does not know and that wait for somebody to confirm that they are to go.
///
/// There are such where the ledger is older than the world, as after a backup was restored.
#[utoipa::path(get, path = "/orphans", tag = "operation", security(("bearer" = [])),
    responses((status = 200, body = Orphans), (status = 401, body = ErrorBody)))]
async fn list(_caller: Caller, State(state): State<ControlState>) -> Json<Orphans> {
    Json(state.orphans())
}

/// Delete exactly those that `GET /v1/orphans` names.
#[utoipa::path(delete, path = "/orphans", tag = "operation", security(("bearer" = [])),
    responses((status = 200, body = Deleted), (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn delete(caller: Caller, State(state): State<ControlState>) -> Result<Json<Deleted>, ApiError> {
    let deleting = state.run(caller, |sandboxes| async move { sandboxes.delete_orphans().await });
    let Swept { orphans, failed, .. } = deleting.await?;
    Ok(Json(Deleted { deleted: orphans, failed }))
}
