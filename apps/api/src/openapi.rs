//! The description of the control plane, generated from the handlers.

use crate::routes;
use anyhow::Context;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi};

/// The description as YAML, the same on every machine.
pub(crate) fn yaml() -> anyhow::Result<String> {
    document().to_yaml().context("the description cannot be written as YAML")
}

fn document() -> OpenApi {
    let (_, mut document) = routes::control_plane().split_for_parts();
    document.info = InfoBuilder::new()
        .title("Sandgate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Sandboxes for AI agents, by Daytona's wire API."))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document
}
