//! `GET /files`: a directory, one or more levels deep, streamed.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use serde::Deserialize;

use super::{
    info::{describe, metadata},
    path::resolve,
};
use crate::{
    Toolbox,
    accounts::Accounts,
    error::Fault,
    request::Params,
    stream::{PIECE, blocking, pulled},
};

#[derive(Deserialize)]
pub(super) struct ListQuery {
    path: Option<String>,
    depth: Option<i64>,
}

pub(super) async fn list(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<ListQuery>,
) -> Result<Response, Fault> {
    let work_dir = &toolbox.settings.work_dir;
    let path = match query.path.as_deref() {
        None | Some("") => work_dir.clone(),
        Some(given) => resolve(given, work_dir)?,
    };
    let depth = usize::try_from(query.depth.unwrap_or(1)).ok().filter(|depth| *depth > 0);
    let depth = depth.ok_or_else(|| Fault::bad_request("depth must be at least 1"))?;
    let walk =
        blocking(move || Walk::begin(&path, depth).map_err(|error| Fault::file(&path, &error))).await?;
    let mut response = Response::new(pulled(json_pieces(walk)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn json_pieces(mut walk: Walk) -> impl FnMut() -> io::Result<Option<Bytes>> + Send + 'static {
    let accounts = Accounts::read();
    let (mut separator, mut is_done) = (b'[', false);
    move || {
        if is_done {
            return Ok(None);
        }
        let mut json = Vec::new();
        while json.len() < PIECE && !is_done {
            if let Some(path) = walk.next() {
                // What was deleted since its directory was read is left out.
                let Ok(metadata) = metadata(&path) else { continue };
                json.push(std::mem::replace(&mut separator, b','));
                serde_json::to_writer(&mut json, &describe(&path, &metadata, &accounts))?;
            } else {
                json.extend(if separator == b'[' { b"[]".as_slice() } else { b"]" });
                is_done = true;
            }
        }
        Ok(Some(Bytes::from(json)))
    }
}

/// Paths below a directory, each directory's names in order and followed by what is in them. Links to directories are
/// listed but not entered, so that no walk is endless.
struct Walk {
    levels: Vec<Level>,
    depth: usize,
}

struct Level {
    directory: PathBuf,
    names: std::vec::IntoIter<OsString>,
}

impl Walk {
    fn begin(path: &Path, depth: usize) -> io::Result<Self> {
        Ok(Self { levels: vec![Level::read(path)?], depth })
    }
}

impl Iterator for Walk {
    type Item = PathBuf;

    fn next(&mut self) -> Option<PathBuf> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let path = level.directory.join(name);
            if self.levels.len() < self.depth && fs::symlink_metadata(&path).is_ok_and(|entry| entry.is_dir())
            {
                // A directory that may not be read is listed, with nothing in it.
                self.levels.extend(Level::read(&path));
            }
            return Some(path);
        }
    }
}

impl Level {
    fn read(directory: &Path) -> io::Result<Self> {
        let names: io::Result<Vec<_>> =
            fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names?;
        names.sort_unstable();
        Ok(Self { directory: directory.to_owned(), names: names.into_iter() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn walks_in_order_to_the_depth_and_not_through_links() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        fs::create_dir_all(root.join("b/c/d")).expect("mkdir");
        fs::write(root.join("a"), "").expect("write");
        symlink(root, root.join("b/loop")).expect("symlink");
        let names = |depth| -> Vec<_> {
            let walk = Walk::begin(root, depth).expect("a walk");
            walk.map(|path| path.strip_prefix(root).expect("below").display().to_string()).collect()
        };
        assert_eq!(names(1), ["a", "b"]);
        assert_eq!(names(2), ["a", "b", "b/c", "b/loop"]);
        assert_eq!(names(9), ["a", "b", "b/c", "b/c/d", "b/loop"]);
    }
}
