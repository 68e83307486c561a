//! The `/files` routes. The kernel decides what the sandbox's user may do; this code only says clearly what it said.

mod bulk_download;
mod bulk_upload;
mod copy;
mod disposition;
mod download;
mod draft;
mod folder;
mod info;
mod list;
mod path;
mod permissions;
mod remove;
mod rename;
mod upload;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::Toolbox;

/// All of them.
pub(crate) fn routes() -> Router<Arc<Toolbox>> {
    Router::new()
        .route("/files", get(list::list).delete(remove::remove))
        .route("/files/", get(list::list).delete(remove::remove))
        .route("/files/info", get(info::info))
        .route("/files/folder", post(folder::create))
        .route("/files/move", post(rename::rename))
        .route("/files/permissions", post(permissions::set))
        .route("/files/upload", post(upload::upload))
        .route("/files/upload-v2", post(upload::upload))
        .route("/files/bulk-upload", post(bulk_upload::upload))
        .route("/files/download", get(download::download))
        .route("/files/bulk-download", post(bulk_download::download))
}
