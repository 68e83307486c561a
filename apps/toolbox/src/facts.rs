//! Small facts: directories, version, health.

use std::{path::Path, sync::Arc};

use axum::{Json, extract::State};
use sandgate_toolbox_api::{DirResponse, VersionResponse};

use crate::Toolbox;

pub(crate) async fn home_dir(State(toolbox): State<Arc<Toolbox>>) -> Json<DirResponse> {
    directory(&toolbox.settings.home)
}

pub(crate) async fn work_dir(State(toolbox): State<Arc<Toolbox>>) -> Json<DirResponse> {
    directory(&toolbox.settings.work_dir)
}

pub(crate) async fn version() -> Json<VersionResponse> {
    Json(VersionResponse { version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// That the event loop turns is all there is to know.
pub(crate) async fn health() {}

fn directory(path: &Path) -> Json<DirResponse> {
    Json(DirResponse { dir: path.to_string_lossy().into_owned() })
}
