//! Whether the image, or what it is made of, is what it was.

use super::{ETC, USR_LINKS};
use aws_lc_rs::digest;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A name that changes with any name, permission or content in the tree.
pub(super) fn of_tree(root: &Path) -> io::Result<String> {
    let mut hash = digest::Context::new(&digest::SHA256);
    add_tree(root, &mut hash)?;
    Ok(short(hash))
}

/// A name that changes with our own program, and with whatever on the host it makes the image of. Nothing is read but
/// what the file system notes of each file, so that a start costs no more than that.
pub(super) fn of_sources() -> io::Result<String> {
    let mut hash = digest::Context::new(&digest::SHA256);
    add_version(&Path::new("/proc/self/exe").metadata()?, &mut hash);
    let links = USR_LINKS.iter().map(|name| Path::new("/").join(name));
    let etc = ETC.iter().map(|name| Path::new("/etc").join(name));
    for path in links.chain(etc).chain(["/usr/bin/python3".into()]) {
        add_source(&path, &mut hash)?;
    }
    Ok(short(hash))
}

fn short(hash: digest::Context) -> String {
    let first: [u8; 8] = hash.finish().as_ref()[..8].try_into().expect("SHA-256 has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(first))
}

fn add_tree(path: &Path, hash: &mut digest::Context) -> io::Result<()> {
    let found = path.symlink_metadata()?;
    hash.update(&found.mode().to_le_bytes());
    if found.is_symlink() {
        hash.update(path.read_link()?.as_os_str().as_encoded_bytes());
    } else if found.is_file() {
        hash.update(&fs::read(path)?);
    } else {
        for entry in entries(path)? {
            hash.update(entry.file_name().unwrap_or_default().as_encoded_bytes());
            add_tree(&entry, hash)?;
        }
    }
    Ok(())
}

/// A link counts with where it leads, since the file there may be copied in its place.
fn add_source(path: &Path, hash: &mut digest::Context) -> io::Result<()> {
    hash.update(path.as_os_str().as_encoded_bytes());
    let Ok(found) = path.symlink_metadata() else { return Ok(()) };
    add_version(&found, hash);
    if found.is_symlink()
        && let Ok(target) = path.metadata()
    {
        add_version(&target, hash);
    } else if found.is_dir() {
        for entry in entries(path)? {
            add_source(&entry, hash)?;
        }
    }
    Ok(())
}

/// The kernel sets the time of change, and nobody can set it back.
fn add_version(found: &Metadata, hash: &mut digest::Context) {
    for part in [found.dev(), found.ino(), u64::from(found.mode()), found.size()] {
        hash.update(&part.to_le_bytes());
    }
    for part in [found.ctime(), found.ctime_nsec()] {
        hash.update(&part.to_le_bytes());
    }
}

/// What is in a directory, in order.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<_> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn source(path: &Path) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        add_source(path, &mut hash).expect("it can be looked at");
        short(hash)
    }

    #[test]
    fn a_source_that_changed_in_any_way_has_another_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, outside) = (folder.path().join("etc"), folder.path().join("outside"));
        fs::create_dir(&root).expect("a directory");
        fs::write(&outside, "one").expect("a file");
        let mut names = vec![source(&root)];
        let mut look = || {
            assert_eq!(source(&root), source(&root), "it changes only with what is there");
            names.push(source(&root));
        };
        fs::write(root.join("file"), "one").expect("a file");
        look();
        fs::write(root.join("file"), "two!").expect("a file");
        look();
        fs::set_permissions(root.join("file"), fs::Permissions::from_mode(0o600)).expect("permissions");
        look();
        symlink(&outside, root.join("link")).expect("a link");
        look();
        fs::write(&outside, "three").expect("a file");
        look();
        fs::remove_file(&outside).expect("it was there");
        look();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }
}
