//! `POST /files/move`.

use std::{fs, io, path::Path, sync::Arc};

use axum::{extract::State, http::StatusCode};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use sandgate_toolbox_api::ErrorCode;
use serde::Deserialize;

use super::{copy, path::resolve, remove};
use crate::{Toolbox, error::Fault, request::Params, stream::blocking};

#[derive(Deserialize)]
pub(super) struct MoveQuery {
    source: String,
    destination: String,
}

pub(super) async fn rename(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<MoveQuery>,
) -> Result<StatusCode, Fault> {
    let source = resolve(&query.source, &toolbox.settings.work_dir)?;
    let destination = resolve(&query.destination, &toolbox.settings.work_dir)?;
    blocking(move || carry(&source, &destination)).await.map(|()| StatusCode::OK)
}

fn carry(source: &Path, destination: &Path) -> Result<(), Fault> {
    fs::symlink_metadata(source).map_err(|error| Fault::file(source, &error))?;
    match renameat_with(CWD, source, CWD, destination, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(taken(destination)),
        // Another filesystem; or a directory of the image itself, which an overlay cannot rename.
        Err(Errno::XDEV) => copy_over(source, destination),
        Err(error) => Err(Fault::file(destination, &error.into())),
    }
}

/// What was copied goes again if not all of it could be.
fn copy_over(source: &Path, destination: &Path) -> Result<(), Fault> {
    let failed = |error: io::Error| Fault::file(destination, &error);
    if fs::symlink_metadata(destination).is_ok() {
        return Err(taken(destination));
    }
    if let Err(error) = copy::tree(source, destination) {
        let _ = discard(destination);
        return Err(failed(error));
    }
    discard(source).map_err(|error| Fault::file(source, &error))
}

fn discard(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { Ok(remove::tree(path)?) } else { fs::remove_file(path) }
}

fn taken(destination: &Path) -> Fault {
    Fault::new(ErrorCode::Conflict, format!("{}: exists already", destination.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        fs::write(&one, "1").expect("write");
        fs::write(&two, "2").expect("write");
        assert_eq!(carry(&one, &two).expect_err("taken").code, ErrorCode::Conflict);
        assert_eq!(copy_over(&one, &two).expect_err("taken").code, ErrorCode::Conflict);
        assert_eq!(fs::read_to_string(&two).expect("read"), "2");
    }

    #[test]
    fn missing_ends_are_404() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, nowhere) = (dir.path().join("1"), dir.path().join("no/where"));
        assert_eq!(carry(&one, &nowhere).expect_err("no source").code, ErrorCode::FileNotFound);
        fs::write(&one, "1").expect("write");
        assert_eq!(carry(&one, &nowhere).expect_err("no parent").code, ErrorCode::FileNotFound);
    }

    #[test]
    fn copying_over_leaves_nothing_at_the_source() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("sub")).expect("mkdir");
        fs::write(from.join("sub/file"), "x").expect("write");
        copy_over(&from, &to).expect("moved");
        assert!(!from.exists());
        assert_eq!(fs::read_to_string(to.join("sub/file")).expect("read"), "x");
    }
}
