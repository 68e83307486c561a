//! `DELETE /files`: a file, or a directory with all that is in it.

use std::{ffi::CString, fs, io, os::fd::AsFd, path::Path, sync::Arc};

use axum::{extract::State, http::StatusCode};
use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, unlinkat},
    io::Errno,
    path::Arg,
};
use serde::Deserialize;

use super::path::{invalid, resolve};
use crate::{
    Toolbox,
    error::Fault,
    request::{Params, lenient_bool},
    stream::blocking,
};

#[derive(Deserialize)]
pub(super) struct RemoveQuery {
    path: String,
    #[serde(default, deserialize_with = "lenient_bool")]
    recursive: bool,
}

pub(super) async fn remove(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<RemoveQuery>,
) -> Result<StatusCode, Fault> {
    let path = resolve(&query.path, &toolbox.settings.work_dir)?;
    blocking(move || take_away(&path, query.recursive)).await.map(|()| StatusCode::NO_CONTENT)
}

/// A symbolic link is removed itself, never what it points to.
fn take_away(path: &Path, recursive: bool) -> Result<(), Fault> {
    let failed = |error: io::Error| Fault::file(path, &error);
    let is_dir = fs::symlink_metadata(path).map_err(failed)?.is_dir();
    match (is_dir, recursive) {
        (false, _) => fs::remove_file(path).map_err(failed),
        (true, false) => {
            Err(invalid(format!("{}: is a directory; set recursive=true to delete it", path.display())))
        }
        (true, true) if fs::canonicalize(path).is_ok_and(|real| real == Path::new("/")) => {
            Err(invalid("the root directory cannot be deleted"))
        }
        (true, true) => tree(path).map_err(|error| failed(error.into())),
    }
}

/// A directory that is being emptied, and its name in the one before.
struct Level {
    entries: Dir,
    name: CString,
}

/// Deletes from the leaves up without recursion, since the depth is the sandbox's choice and our stack is small.
/// Every step goes through the descriptor of its directory, so that a link put there meanwhile leads nowhere.
pub(super) fn tree(path: &Path) -> Result<(), Errno> {
    let mut levels = vec![Level::open(CWD, path.into_c_str()?.into_owned())?];
    while let Some(level) = levels.last_mut() {
        if let Some(below) = level.next_directory()? {
            levels.push(below);
            continue;
        }
        let emptied = levels.pop().map(|level| level.name).unwrap_or_default();
        match levels.last() {
            Some(parent) => unlinkat(parent.entries.fd()?, &emptied, AtFlags::REMOVEDIR)?,
            None => unlinkat(CWD, &emptied, AtFlags::REMOVEDIR)?,
        }
    }
    Ok(())
}

impl Level {
    fn open(directory: impl AsFd, name: CString) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { entries: Dir::new(openat(directory, &name, flags, Mode::empty())?)?, name })
    }

    /// Deletes entries up to the next one that is a directory.
    fn next_directory(&mut self) -> Result<Option<Self>, Errno> {
        while let Some(entry) = self.entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match unlinkat(self.entries.fd()?, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => return Self::open(self.entries.fd()?, name.to_owned()).map(Some),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_goes_and_what_its_links_point_to_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let (kept, tree_path) = (dir.path().join("kept"), dir.path().join("tree"));
        fs::create_dir_all(tree_path.join("a/b/c")).expect("mkdir");
        fs::create_dir(&kept).expect("mkdir");
        fs::write(kept.join("file"), "x").expect("write");
        fs::write(tree_path.join("a/b/file"), "x").expect("write");
        symlink(&kept, tree_path.join("a/link")).expect("symlink");
        take_away(&tree_path, true).expect("removed");
        assert!(!tree_path.exists());
        assert!(kept.join("file").exists());
    }

    #[test]
    fn a_deep_tree_does_not_use_up_the_stack() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut path = dir.path().join("deep");
        for _ in 0..500 {
            path.push("d");
        }
        fs::create_dir_all(&path).expect("mkdir");
        let top = dir.path().join("deep");
        let removed = std::thread::Builder::new().stack_size(128 << 10).spawn(move || tree(&top));
        removed.expect("a thread").join().expect("no overflow").expect("removed");
        assert!(!dir.path().join("deep").exists());
    }

    #[test]
    fn a_directory_needs_recursive_and_the_root_is_never_deleted() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(take_away(dir.path(), false).is_err());
        assert!(take_away(Path::new("/"), true).is_err());
        assert!(take_away(Path::new("/tmp/.."), true).is_err());
    }
}
