//! The routes, and what each may see.

mod events;
mod fallback;
mod health;
mod orphans;
mod run;
mod sandboxes;
mod usage;

use crate::auth::{Caller, Keys};
use crate::error::{ApiError, with_body};
use crate::relay::Relay;
use crate::tasks::Tasks;
use crate::wire::View;
use axum::extract::DefaultBodyLimit;
use axum::extract::FromRef;
use axum::response::IntoResponse;
use axum::{Router, middleware};
use sandgate_core::{
    Actor, EventRepository, InstanceId, ResourceLimits, Sandboxes, SandboxesError, UsageRepository,
};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

/// The largest JSON body of the control plane. The toolbox relay has no limit: it keeps nothing.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// What the control plane's handlers use.
#[derive(Clone)]
pub(crate) struct ControlState {
    /// Who may ask.
    pub(crate) keys: Keys,
    /// What they ask for.
    pub(crate) sandboxes: Sandboxes,
    /// What they use.
    pub(crate) usage: Arc<dyn UsageRepository>,
    /// What has been done.
    pub(crate) events: Arc<dyn EventRepository>,
    /// Where it is carried out.
    pub(crate) tasks: Tasks,
    /// How it is shown.
    pub(crate) view: View,
    /// How much may be asked for.
    pub(crate) limits: ResourceLimits,
    /// Who we are.
    pub(crate) instance: InstanceId,
}

impl ControlState {
    /// What a caller may do is recorded as the caller's doing.
    fn acting(&self, caller: Caller) -> Sandboxes {
        self.sandboxes.by(Actor::Key(caller.key))
    }

    /// Runs `work` for a caller to its end, whether or not the client waits for it.
    async fn run<W, F, T>(&self, caller: Caller, work: W) -> Result<T, ApiError>
    where
        W: FnOnce(Sandboxes) -> F,
        F: Future<Output = Result<T, SandboxesError>> + Send + 'static,
        T: Send + 'static,
    {
        Ok(self.tasks.run(work(self.acting(caller))).await??)
    }
}

impl FromRef<ControlState> for Keys {
    fn from_ref(state: &ControlState) -> Self {
        state.keys.clone()
    }
}

/// The control plane with its description.
pub(crate) fn control_plane() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new()
        .nest("/api", sandboxes::router())
        .nest("/v1", run::router().merge(orphans::router()).merge(usage::router()).merge(events::router()))
        .merge(health::router())
}

/// Everything that this server answers.
pub(crate) fn all(state: ControlState, relay: Relay) -> Router {
    let control: Router = Router::from(control_plane())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .fallback(fallback::not_served)
        .with_state(state);
    control
        .merge(relay.router())
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::panicked().into_response()
        }))
        .layer(middleware::from_fn(with_body))
}
