//! `GET /files/info`, and what is told of a file.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    sync::Arc,
    time::UNIX_EPOCH,
};

use axum::{Json, extract::State};
use sandgate_toolbox_api::FileInfo;

use super::path::{PathQuery, resolve};
use crate::{Toolbox, accounts::Accounts, clock, error::Fault, request::Params, stream::blocking};

pub(super) async fn info(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<PathQuery>,
) -> Result<Json<FileInfo>, Fault> {
    let path = resolve(&query.path, &toolbox.settings.work_dir)?;
    let found = blocking(move || {
        let metadata = metadata(&path).map_err(|error| Fault::file(&path, &error))?;
        Ok(describe(&path, &metadata, &Accounts::read()))
    });
    found.await.map(Json)
}

/// Of what a symbolic link points to; of the link itself if that is nothing.
pub(super) fn metadata(path: &Path) -> io::Result<Metadata> {
    fs::metadata(path).or_else(|error| match fs::symlink_metadata(path) {
        Ok(link) if link.is_symlink() => Ok(link),
        _ => Err(error),
    })
}

pub(super) fn describe(path: &Path, metadata: &Metadata, accounts: &Accounts) -> FileInfo {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    FileInfo {
        name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
        is_dir: metadata.is_dir(),
        size: metadata.len(),
        mode: letters(metadata),
        mod_time: clock::go_layout(modified),
        modified_at: clock::rfc3339(modified),
        owner: accounts.user_name(metadata.uid()),
        group: accounts.group_name(metadata.gid()),
        permissions: format!("{:04o}", metadata.mode() & 0o7777),
        path: Some(path.to_string_lossy().into_owned()),
    }
}

/// Type and rights as Go prints them, which is not quite as `ls` does.
fn letters(metadata: &Metadata) -> String {
    let (kind, mode) = (metadata.file_type(), metadata.mode());
    let prefixes = [
        (kind.is_dir(), 'd'),
        (kind.is_symlink(), 'L'),
        (kind.is_block_device() || kind.is_char_device(), 'D'),
        (kind.is_fifo(), 'p'),
        (kind.is_socket(), 'S'),
        (mode & 0o4000 != 0, 'u'),
        (mode & 0o2000 != 0, 'g'),
        (kind.is_char_device(), 'c'),
        (mode & 0o1000 != 0, 't'),
    ];
    let mut text: String = prefixes.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    if text.is_empty() {
        text.push('-');
    }
    let rights = "rwxrwxrwx".chars().enumerate();
    text.extend(rights.map(|(index, letter)| if mode & (0o400 >> index) != 0 { letter } else { '-' }));
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn letters_are_those_of_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("f");
        fs::write(&file, "abc").expect("write");
        let with = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
            letters(&fs::metadata(path).expect("metadata"))
        };
        assert_eq!(with(&file, 0o644), "-rw-r--r--");
        assert_eq!(with(&file, 0o4751), "urwxr-x--x");
        assert_eq!(with(dir.path(), 0o1777), "dtrwxrwxrwx");
        assert_eq!(letters(&fs::metadata("/dev/null").expect("metadata")), "Dcrw-rw-rw-");
    }

    #[test]
    fn a_dangling_link_is_told_of_as_a_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let link = dir.path().join("l");
        symlink("nowhere", &link).expect("symlink");
        assert!(metadata(&link).expect("metadata").is_symlink());
        assert!(metadata(&dir.path().join("missing")).is_err());
    }
}
