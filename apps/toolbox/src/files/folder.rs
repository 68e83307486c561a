//! `POST /files/folder`: a directory with all its parents.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

use super::path::{invalid, parse_mode, resolve};
use crate::{Toolbox, error::Fault, request::Params, stream::blocking};

#[derive(Deserialize)]
pub(super) struct FolderQuery {
    path: String,
    mode: Option<String>,
}

pub(super) async fn create(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<FolderQuery>,
) -> Result<StatusCode, Fault> {
    let path = resolve(&query.path, &toolbox.settings.work_dir)?;
    let mode = parse_mode(query.mode.as_deref().filter(|mode| !mode.is_empty()).unwrap_or("755"))?;
    blocking(move || make(&path, mode)).await.map(|()| StatusCode::CREATED)
}

/// One that exists is left as it is.
fn make(path: &Path, mode: u32) -> Result<(), Fault> {
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| fault(path, &error))?;
    match fs::create_dir(path) {
        Ok(()) => {
            fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| fault(path, &error))
        }
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(fault(path, &error)),
    }
}

/// The client asked for a path that cannot be; nothing is in conflict with anything.
fn fault(path: &Path, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            invalid(format!("{}: a part of it exists and is not a directory", path.display()))
        }
        _ => Fault::file(path, error),
    }
}
