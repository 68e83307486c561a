//! Whether the server lives, and whether it can do its work. For load balancers: no key is asked for.

use super::ControlState;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use sandgate_core::InstanceId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`, or what is wrong.
    status: String,
    /// Which installation answers.
    instance: String,
    /// Its version.
    version: &'static str,
}

impl Health {
    fn new(status: impl Into<String>, instance: &InstanceId) -> Json<Self> {
        let instance = instance.as_str().to_owned();
        Json(Self { status: status.into(), instance, version: env!("CARGO_PKG_VERSION") })
    }
}

/// The process answers.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
async fn live(State(state): State<ControlState>) -> Json<Health> {
    Health::new("ok", &state.instance)
}

/// Sandboxes can be made: the ledger and the runtime answer.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn ready(State(state): State<ControlState>) -> (StatusCode, Json<Health>) {
    match state.sandboxes.check().await {
        Ok(()) => (StatusCode::OK, Health::new("ok", &state.instance)),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Health::new(error.to_string(), &state.instance)),
    }
}
