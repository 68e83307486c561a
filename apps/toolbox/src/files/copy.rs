//! Copying a tree, for moves that the kernel cannot do by renaming.

use std::{
    fs::{self, File, FileTimes, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Copies files, directories, symbolic links and FIFOs with their modes and times, and owners where that is allowed.
/// `to` must not exist.
pub(super) fn tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut to_do = vec![(from.to_owned(), to.to_owned())];
    let mut directories: Vec<(PathBuf, Metadata)> = Vec::new();
    while let Some((from, to)) = to_do.pop() {
        let metadata = fs::symlink_metadata(&from)?;
        if metadata.is_dir() {
            fs::create_dir(&to)?;
            for entry in fs::read_dir(&from)? {
                let name = entry?.file_name();
                to_do.push((from.join(&name), to.join(&name)));
            }
            directories.push((to, metadata));
        } else {
            leaf(&from, &to, &metadata)?;
        }
    }
    // Only now, since a directory may be one that its owner cannot write to, and each entry changed its time.
    directories.iter().rev().try_for_each(|(directory, metadata)| dress(directory, metadata))
}

fn leaf(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        let _ = lchown(to, Some(metadata.uid()), Some(metadata.gid()));
        return Ok(());
    }
    match FileType::from_raw_mode(metadata.mode()) {
        FileType::RegularFile => drop(io::copy(&mut File::open(from)?, &mut File::create_new(to)?)?),
        FileType::Fifo => mknodat(CWD, to, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?,
        _ => return Err(io::Error::other("sockets and devices cannot be moved to another filesystem")),
    }
    dress(to, metadata)
}

fn dress(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let _ = lchown(path, Some(metadata.uid()), Some(metadata.gid()));
    fs::set_permissions(path, Permissions::from_mode(metadata.mode() & 0o7777))?;
    if !metadata.file_type().is_file() && !metadata.is_dir() {
        return Ok(());
    }
    let times = FileTimes::new().set_accessed(metadata.accessed()?).set_modified(metadata.modified()?);
    // Times are a courtesy: a file without any right for its owner cannot be opened for them.
    let _ = File::open(path).and_then(|file| file.set_times(times));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_times_links_and_fifos_are_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).expect("mkdir");
        fs::write(from.join("file"), "text").expect("write");
        fs::set_permissions(from.join("file"), Permissions::from_mode(0o741)).expect("chmod");
        symlink("file", from.join("link")).expect("symlink");
        mknodat(CWD, from.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("mkfifo");
        fs::set_permissions(&from, Permissions::from_mode(0o500)).expect("chmod");
        tree(&from, &to).expect("copied");
        let of = |path: PathBuf| fs::symlink_metadata(path).expect("metadata");
        let (before, after) = (of(from.join("file")), of(to.join("file")));
        assert_eq!(after.mode(), before.mode());
        assert_eq!(after.modified().expect("time"), before.modified().expect("time"));
        assert_eq!(fs::read_link(to.join("link")).expect("link"), Path::new("file"));
        assert_eq!(of(to.join("fifo")).mode(), of(from.join("fifo")).mode());
        assert_eq!(of(to.clone()).mode() & 0o777, 0o500);
        for path in [&from, &to] {
            fs::set_permissions(path, Permissions::from_mode(0o700)).expect("chmod");
        }
    }
}
