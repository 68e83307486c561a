//! `/api/sandbox`: the life of sandboxes.

mod lifecycle;
mod read;
mod settings;

use super::ControlState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new()
        .routes(routes!(lifecycle::create, read::list))
        .routes(routes!(read::get, lifecycle::delete))
        .routes(routes!(lifecycle::start))
        .routes(routes!(lifecycle::stop))
        .routes(routes!(settings::labels))
        .routes(routes!(settings::auto_stop))
        .routes(routes!(settings::auto_archive))
        .routes(routes!(settings::auto_delete))
        .routes(routes!(settings::ttl))
        .routes(routes!(settings::last_activity))
}
