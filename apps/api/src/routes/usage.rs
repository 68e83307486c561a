//! `GET /v1/usage`: what is used and what may be. Ours; Daytona's API has nothing like it.

use super::ControlState;
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::QueryPairs;
use crate::wire::{Usage, UsageParameters};
use axum::Json;
use axum::extract::State;
use sandgate_core::{Timestamp, UsageQuery};
use sandgate_shared::ErrorCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new().routes(routes!(usage))
}

/// What the caller's organization and key use now, and the most they may.
#[utoipa::path(get, path = "/usage", tag = "usage", security(("bearer" = [])), params(UsageParameters),
    responses((status = 200, body = Usage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
async fn usage(
    caller: Caller,
    State(state): State<ControlState>,
    QueryPairs(pairs): QueryPairs,
) -> Result<Json<Usage>, ApiError> {
    let at = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let query = UsageQuery { organization: caller.organization, key: caller.key, label: label(pairs)?, at };
    let report = state.usage.usage(&query).await?;
    Ok(Json(Usage::new(query, report)))
}

fn label(pairs: Vec<(String, String)>) -> Result<Option<String>, ApiError> {
    let mut labels = pairs.into_iter().filter(|(name, _)| name == "label").map(|(_, value)| value);
    match (labels.next(), labels.next()) {
        (label, None) => Ok(label),
        _ => Err(ApiError::new(ErrorCode::BadRequest, "label: one may be asked for at a time")),
    }
}
