//! The users of a root filesystem, read from its own `/etc/passwd`.

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// More than this is no list of users.
const MAX_PASSWD_BYTES: u64 = 1024 * 1024;

/// A user as the root filesystem knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
}

impl Account {
    /// Whoever else is missing from a filesystem, root is there.
    pub(super) fn root() -> Self {
        Self { name: "root".to_owned(), uid: 0, gid: 0, home: "/root".to_owned() }
    }
}

/// The users of the filesystem at `root`; none where it has no list. Links in it are followed inside it, and lead
/// nowhere else.
pub(super) fn read(root: &Path) -> io::Result<Vec<Account>> {
    let Some(file) = open_inside(root, "etc/passwd")? else { return Ok(Vec::new()) };
    let mut text = String::new();
    File::from(file).take(MAX_PASSWD_BYTES).read_to_string(&mut text)?;
    Ok(parse(&text))
}

/// Opens a regular file inside `root`; `None` where there is no such file.
pub(super) fn open_inside(root: &Path, path: &str) -> io::Result<Option<OwnedFd>> {
    let root = crate::data_dir::open_dir(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
        Ok(file) if FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() => Ok(Some(file)),
        Ok(_) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse(text: &str) -> Vec<Account> {
    text.lines().filter_map(parse_line).collect()
}

/// `name:password:uid:gid:comment:home:shell`. Ids that the sandbox's user namespace does not map are of no use.
fn parse_line(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = fields.nth(1)?.parse::<u16>().ok()?.into();
    let gid = fields.next()?.parse::<u16>().ok()?.into();
    let home = fields.nth(1).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned();
    Some(Account { name, uid, gid, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_accounts_are_passed_over() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken:x\n:x:1:1::/:\nbig:x:4000000000:1::/:\n\
                    dev:x:1000:1001::/home/dev:/bin/bash\nnohome:x:5:5\n";
        let names: Vec<_> = parse(text).into_iter().map(|a| (a.name, a.uid, a.gid, a.home)).collect();
        let wanted = [("root", 0, 0, "/root"), ("dev", 1000, 1001, "/home/dev"), ("nohome", 5, 5, "/")];
        assert_eq!(names, wanted.map(|(n, u, g, h)| (n.to_owned(), u, g, h.to_owned())));
    }

    #[test]
    fn a_link_out_of_the_filesystem_stays_inside() {
        let root = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(root.path().join("etc")).expect("etc");
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("etc/passwd")).expect("link to itself");
        assert!(read(root.path()).is_err() || read(root.path()).expect("read").is_empty());
        std::fs::remove_file(root.path().join("etc/passwd")).expect("unlink");
        std::os::unix::fs::symlink("../../../../../../etc/hostname", root.path().join("etc/passwd"))
            .expect("link out");
        assert_eq!(read(root.path()).expect("read"), []);
    }
}
