//! Unpacking a snapshot's archive, once for each version of the file.

use super::image::{ImageError, io_error};
use crate::data_dir::DataDir;
use sandgate_core::SnapshotName;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory with the contents of `archive`. GNU tar reads it: it knows every compression that the host knows,
/// keeps owners by number, and follows neither absolute names, nor `..`, nor links that the archive itself made.
pub(super) fn unpack(data_dir: &DataDir, name: &SnapshotName, archive: &Path) -> Result<PathBuf, ImageError> {
    let io = |source| io_error(name.as_str(), source);
    let place = data_dir.subdirectory("snapshots").map_err(io)?;
    let target = place.join(version(name, archive).map_err(io)?);
    if target.exists() {
        return Ok(target);
    }
    // Unpacked beside its place and renamed: what is there is whole.
    let unfinished = place.join(".unfinished");
    remove(&unfinished).map_err(io)?;
    fs::create_dir(&unfinished).map_err(io)?;
    if let Err(problem) = extract(archive, &unfinished) {
        remove(&unfinished).map_err(io)?;
        return Err(ImageError::NotARoot { name: name.to_string(), path: archive.to_owned(), problem });
    }
    fs::rename(&unfinished, &target).map_err(io)?;
    Ok(target)
}

/// A directory name that changes with the file.
fn version(name: &SnapshotName, archive: &Path) -> io::Result<String> {
    let found = archive.metadata()?;
    let name: String =
        name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Ok(format!(
        "{name}-{:x}-{:x}-{:x}-{:x}",
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime_nsec() ^ found.mtime()
    ))
}

fn extract(archive: &Path, target: &Path) -> Result<(), String> {
    let tar = Command::new("tar")
        .args([
            "--extract",
            "--numeric-owner",
            "--same-permissions",
            "--same-owner",
            "--anchored",
            "--exclude=./dev/*",
            "--exclude=dev/*",
            "--file",
        ])
        .arg(archive)
        .arg("--directory")
        .arg(target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("cannot be unpacked: tar does not start: {error}"))?;
    if tar.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&tar.stderr);
    Err(format!("cannot be unpacked: {}", said.lines().next().unwrap_or("tar failed without a word")))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
