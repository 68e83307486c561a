//! `POST /files/permissions`: owner, group and mode.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    sync::Arc,
};

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

use super::path::{parse_mode, resolve};
use crate::{Toolbox, accounts::Accounts, error::Fault, request::Params, stream::blocking};

#[derive(Deserialize)]
pub(super) struct PermissionsQuery {
    path: String,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<String>,
}

pub(super) async fn set(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<PermissionsQuery>,
) -> Result<StatusCode, Fault> {
    let path = resolve(&query.path, &toolbox.settings.work_dir)?;
    blocking(move || apply(&path, &query)).await.map(|()| StatusCode::OK)
}

/// Everything is read before anything is changed. The mode comes last, because a change of owner takes bits from it.
fn apply(path: &Path, query: &PermissionsQuery) -> Result<(), Fault> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mode = given(&query.mode).map(|mode| parse_mode(&mode)).transpose()?;
    let accounts = Accounts::read();
    let owner = number(given(&query.owner), "user", |name| accounts.user_id(name))?;
    let group = number(given(&query.group), "group", |name| accounts.group_id(name))?;
    let failed = |error: io::Error| Fault::file(path, &error);
    fs::metadata(path).map_err(failed)?;
    if owner.is_some() || group.is_some() {
        chown(path, owner, group).map_err(failed)?;
    }
    match mode {
        Some(mode) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed),
        None => Ok(()),
    }
}

fn number(
    given: Option<String>,
    kind: &str,
    find: impl Fn(&str) -> Option<u32>,
) -> Result<Option<u32>, Fault> {
    given
        .map(|name| find(&name).ok_or_else(|| Fault::bad_request(format!("unknown {kind} {name:?}"))))
        .transpose()
}
