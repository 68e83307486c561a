//! A file that is being written, unseen until it is whole.
//!
//! It has no name while its bytes arrive, so that nothing is left of it whatever happens; on filesystems without
//! nameless files it has a hidden one until then. It is published by a rename onto its target: readers see the old
//! content or the new, never half of it. A rename makes a new file of it: its mode and, where that is allowed, its
//! owner are carried over, but a second hard link to the old file keeps the old content. Where the directory may not
//! be written to but the file may, its content is replaced in place.

use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, Seek},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Access, AtFlags, CWD, OFlags, accessat, linkat},
    io::Errno,
};

use super::path::invalid;
use crate::{error::Fault, scratch};

const DEFAULT_MODE: u32 = 0o644;
/// As many symbolic links as the kernel itself follows.
const MAX_LINKS: usize = 40;
const SPOOL_DIR: &str = "/tmp";

/// See the module. Dropped without [`Draft::publish`], it leaves nothing behind.
pub(super) struct Draft {
    file: Arc<File>,
    target: PathBuf,
    /// The file that is to be replaced.
    old: Option<Metadata>,
    place: Place,
    parents: Parents,
}

enum Place {
    /// No name yet.
    Nameless,
    /// A hidden name beside the target.
    Hidden(PathBuf),
    /// Elsewhere; its content will be copied into the target.
    Apart,
}

impl Draft {
    /// Begins a file that will be at `path`, or where the symbolic links at `path` lead, even if nothing is there yet.
    pub(super) fn begin(path: &Path) -> Result<Self, Fault> {
        let failed = |error: io::Error| Fault::file(path, &error);
        let target = follow(path).map_err(failed)?;
        let old = replaceable(&target)?;
        let directory =
            target.parent().ok_or_else(|| invalid(format!("{}: is a directory", path.display())))?;
        let parents = Parents::make(directory).map_err(failed)?;
        let (file, place) = open(directory, old.is_some()).map_err(failed)?;
        Ok(Self { file: Arc::new(file), target, old, place, parents })
    }

    /// Where to write.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Makes it the file at its target.
    pub(super) fn publish(mut self) -> Result<(), Fault> {
        let published = match &self.place {
            Place::Apart => self.replace_content(),
            Place::Hidden(name) => self.dress().and_then(|()| rename(name, &self.target)),
            Place::Nameless => self.dress().and_then(|()| self.give_name()),
        };
        published.map_err(|error| Fault::file(&self.target, &error))?;
        self.parents.0.clear();
        Ok(())
    }

    /// The owner first, because a change of it takes bits from the mode.
    fn dress(&self) -> io::Result<()> {
        let mode = match &self.old {
            None => DEFAULT_MODE,
            Some(old) => {
                let _ = fchown(&self.file, Some(old.uid()), Some(old.gid()));
                old.mode() & 0o7777
            }
        };
        self.file.set_permissions(Permissions::from_mode(mode))
    }

    fn give_name(&self) -> io::Result<()> {
        match self.link_to(&self.target) {
            Err(Errno::EXIST) => {
                let hidden = self.target.with_file_name(scratch::random_name()?);
                self.link_to(&hidden)?;
                rename(&hidden, &self.target)
            }
            linked => Ok(linked?),
        }
    }

    fn link_to(&self, path: &Path) -> Result<(), Errno> {
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        linkat(CWD, own.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW)
    }

    fn replace_content(&self) -> io::Result<()> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut target =
            OpenOptions::new().write(true).truncate(true).custom_flags(flags).open(&self.target)?;
        (&*self.file).rewind()?;
        io::copy(&mut &*self.file, &mut target).map(drop)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Place::Hidden(name) = &self.place {
            // Not there any more if it was published.
            let _ = fs::remove_file(name);
        }
    }
}

/// Directories that were made for a draft, topmost first; removed again if it comes to nothing.
struct Parents(Vec<PathBuf>);

impl Parents {
    fn make(directory: &Path) -> io::Result<Self> {
        let missing: Vec<_> =
            directory.ancestors().take_while(|ancestor| fs::metadata(ancestor).is_err()).collect();
        let mut parents = Self(Vec::new());
        for directory in missing.into_iter().rev() {
            match fs::create_dir(directory) {
                Ok(()) => parents.0.push(directory.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(parents)
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        for directory in self.0.iter().rev() {
            // Somebody may have put something into it; then it stays.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Where the symbolic links at `path` lead, whether anything is there or not.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::LOOP.into())
}

/// What is at the target now, if it is a file that the sandbox's user may write.
fn replaceable(target: &Path) -> Result<Option<Metadata>, Fault> {
    let failed = |error: io::Error| Fault::file(target, &error);
    match fs::symlink_metadata(target) {
        Ok(old) if old.is_dir() => Err(invalid(format!("{}: is a directory", target.display()))),
        Ok(old) if !old.is_file() => Err(invalid(format!("{}: is not a regular file", target.display()))),
        Ok(old) => {
            accessat(CWD, target, Access::WRITE_OK, AtFlags::EACCESS)
                .map_err(|error| failed(error.into()))?;
            Ok(Some(old))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A path that ends in a slash, `.` or `..` names a directory, one that is not there.
            let names_file =
                target.file_name().is_some() && !target.as_os_str().as_encoded_bytes().ends_with(b"/");
            if names_file {
                Ok(None)
            } else {
                Err(invalid(format!("{}: names a directory", target.display())))
            }
        }
        Err(error) => Err(failed(error)),
    }
}

fn open(directory: &Path, has_old: bool) -> io::Result<(File, Place)> {
    match scratch::nameless(directory) {
        Ok(file) => Ok((file, Place::Nameless)),
        Err(error) if scratch::lacks_nameless_files(&error) => {
            let (file, name) = scratch::named(directory)?;
            Ok((file, Place::Hidden(name)))
        }
        Err(error) if has_old && error.kind() == io::ErrorKind::PermissionDenied => {
            Ok((scratch::anonymous(Path::new(SPOOL_DIR))?, Place::Apart))
        }
        Err(error) => Err(error),
    }
}

fn rename(hidden: &Path, target: &Path) -> io::Result<()> {
    fs::rename(hidden, target).inspect_err(|_| drop(fs::remove_file(hidden)))
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::symlink};

    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), Fault> {
        let draft = Draft::begin(path)?;
        (&*draft.file()).write_all(text.as_bytes()).expect("write");
        draft.publish()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").mode() & 0o7777
    }

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).expect("a directory").count()
    }

    #[test]
    fn a_new_file_has_the_default_mode_and_its_parents() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b/file");
        write(&path, "new").expect("written");
        assert_eq!((fs::read_to_string(&path).expect("read").as_str(), mode(&path)), ("new", 0o644));
    }

    #[test]
    fn an_old_file_keeps_its_mode_and_a_link_stays_a_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "old and longer").expect("write");
        fs::set_permissions(&path, Permissions::from_mode(0o750)).expect("chmod");
        symlink("file", &link).expect("symlink");
        write(&link, "new").expect("written");
        assert!(link.is_symlink());
        assert_eq!((fs::read_to_string(&path).expect("read").as_str(), mode(&path)), ("new", 0o750));
        assert_eq!(names(dir.path()), 2, "nothing else is left");
    }

    #[test]
    fn a_dangling_link_gets_its_target() {
        let dir = tempfile::tempdir().expect("a directory");
        let link = dir.path().join("link");
        symlink("sub/target", &link).expect("symlink");
        write(&link, "new").expect("written");
        assert_eq!(fs::read_to_string(dir.path().join("sub/target")).expect("read"), "new");
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let draft = Draft::begin(&dir.path().join("a/b/file")).expect("begun");
        drop(draft);
        assert_eq!(names(dir.path()), 0);
    }

    #[test]
    fn directories_fifos_and_circles_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        symlink("two", dir.path().join("one")).expect("symlink");
        symlink("one", dir.path().join("two")).expect("symlink");
        assert!(Draft::begin(dir.path()).is_err());
        assert!(Draft::begin(Path::new("/")).is_err());
        assert!(Draft::begin(Path::new("/dev/null")).is_err());
        assert!(Draft::begin(&dir.path().join("one")).is_err());
        assert!(Draft::begin(&dir.path().join("new/")).is_err());
        assert!(Draft::begin(&dir.path().join("new/..")).is_err());
    }

    #[test]
    fn a_hidden_name_is_published_or_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let hidden = |target: &Path| {
            let (file, name) = scratch::named(dir.path()).expect("a file");
            let mut draft = Draft::begin(target).expect("begun");
            (draft.file, draft.place) = (Arc::new(file), Place::Hidden(name));
            draft
        };
        let target = dir.path().join("target");
        drop(hidden(&target));
        assert_eq!(names(dir.path()), 0);
        hidden(&target).publish().expect("published");
        assert_eq!((names(dir.path()), mode(&target)), (1, 0o644));
    }

    #[test]
    fn content_can_be_replaced_in_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = dir.path().join("target");
        fs::write(&target, "old and longer").expect("write");
        let inode = fs::metadata(&target).expect("metadata").ino();
        let mut draft = Draft::begin(&target).expect("begun");
        (draft.file, draft.place) = (Arc::new(scratch::anonymous(dir.path()).expect("a file")), Place::Apart);
        (&*draft.file()).write_all(b"new").expect("write");
        draft.publish().expect("published");
        assert_eq!(fs::read_to_string(&target).expect("read"), "new");
        assert_eq!(fs::metadata(&target).expect("metadata").ino(), inode);
    }
}
