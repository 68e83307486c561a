//! The routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

use sandgate_toolbox_api::types::STREAM_PATH;

use crate::{Toolbox, drain, error, exec, facts, files, metrics, unserved};

/// Everything this daemon answers. Bodies are bounded where they are read: uploads have no limit but the disk.
pub(crate) fn build(toolbox: Arc<Toolbox>) -> Router {
    Router::new()
        .route("/process/execute", post(exec::execute))
        .route(STREAM_PATH, post(exec::stream))
        .merge(files::routes())
        .route("/user-home-dir", get(facts::home_dir))
        .route("/work-dir", get(facts::work_dir))
        .route("/version", get(facts::version))
        .route("/health", get(facts::health))
        .route("/system/metrics", get(metrics::metrics))
        .fallback(unserved::fallback)
        .method_not_allowed_fallback(unserved::method_not_allowed)
        .layer(middleware::from_fn(error::render))
        .layer(middleware::map_request(async |request| drain::read_to_end(request)))
        .layer(DefaultBodyLimit::disable())
        .with_state(toolbox)
}
