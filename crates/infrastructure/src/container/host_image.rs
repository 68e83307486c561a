//! The default image: the host's own `/usr`, with everything else generated.
//!
//! `/etc` is copied from an allow-list, since what a host keeps there is private until shown to be harmless; names,
//! users and the shell are written by us. It is a convenience for one organization that trusts its own host: it
//! shows which programs are installed there.

mod fingerprint;
mod texts;

use super::image::{ImageError, io_error};
use crate::data_dir::DataDir;
use sandgate_runtime::Rootfs;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

/// What of the host's `/etc` every sandbox may see: what programs need to find their libraries, certificates, names
/// and locales. Directories are copied whole.
const ETC: &[&str] = &[
    "alternatives",
    "bash.bashrc",
    "ca-certificates.conf",
    "debian_version",
    "inputrc",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "login.defs",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "perl",
    "protocols",
    "python3",
    "python3.11",
    "python3.12",
    "python3.13",
    "rpc",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
];

/// The host's links into `/usr`; where these are directories of their own, `/usr` alone runs nothing.
const USR_LINKS: &[&str] = &["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Empty directories, with their permissions.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("home/daytona", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// The user `daytona`, and its group.
const DAYTONA_ID: u32 = 1000;

/// Says which image was made of what; one that cannot be read is none.
const NOTE: &str = ".made";

/// Makes the image where it is missing or the host has changed, and says where its parts are. Sandboxes that run
/// keep the version they started with: each has a directory of its own.
pub(super) fn prepare(data_dir: &DataDir) -> Result<Rootfs, ImageError> {
    check_host()?;
    generate(data_dir).map_err(|source| io_error("default", source))
}

fn check_host() -> Result<(), ImageError> {
    let merged = Path::new("/bin").read_link().is_ok_and(|target| target == Path::new("usr/bin"));
    if !merged {
        return Err(ImageError::HostUnsuitable(
            "/bin is not a link to usr/bin; configure a snapshot with a root filesystem of its own"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Making the image takes thousands of operations on files, so that a start on a busy disk would wait for seconds: what was
/// made of the same is taken as it is.
fn generate(data_dir: &DataDir) -> io::Result<Rootfs> {
    let place = data_dir.subdirectory("host-image")?;
    let (note, sources) = (place.join(NOTE), fingerprint::of_sources()?);
    let noted = fs::read_to_string(&note).unwrap_or_default();
    let image = match noted.split_once(' ') {
        Some((of, image)) if of == sources && place.join(image).is_dir() => image.to_owned(),
        _ => {
            let image = make(&place)?;
            fs::write(&note, format!("{sources} {image}"))?;
            image
        }
    };
    let target = place.join(image);
    Ok(Rootfs::HostUsr { skeleton: target.join("skeleton"), usr_local: target.join("usr-local") })
}

/// Makes it, and gives the name of its directory; one with the same content is used on.
fn make(place: &Path) -> io::Result<String> {
    let unfinished = place.join(".unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::DirBuilder::new().mode(0o755).create(&unfinished)?;
    write_skeleton(&unfinished.join("skeleton"))?;
    write_usr_local(&unfinished.join("usr-local"))?;
    let name = fingerprint::of_tree(&unfinished)?;
    let target = place.join(&name);
    if target.exists() {
        fs::remove_dir_all(&unfinished)?;
    } else {
        fs::rename(&unfinished, &target)?;
    }
    Ok(name)
}

fn write_skeleton(root: &Path) -> io::Result<()> {
    directory(root, 0o755)?;
    for (name, mode) in DIRECTORIES {
        directory(&root.join(name), *mode)?;
    }
    std::os::unix::fs::chown(root.join("home/daytona"), Some(DAYTONA_ID), Some(DAYTONA_ID))?;
    for name in USR_LINKS {
        if let Ok(target) = Path::new("/").join(name).read_link() {
            symlink(target, root.join(name))?;
        }
    }
    symlink("/run", root.join("var/run"))?;
    for name in ETC {
        copy(&Path::new("/etc").join(name), &root.join("etc").join(name))?;
    }
    for (name, text) in texts::ETC {
        file(&root.join("etc").join(name), text, 0o644)?;
    }
    symlink("/proc/self/mounts", root.join("etc/mtab"))
}

/// `/usr/local` inside is ours: the host's own may hold private things.
fn write_usr_local(root: &Path) -> io::Result<()> {
    directory(root, 0o755)?;
    for name in ["bin", "etc", "include", "lib", "sbin", "share", "src"] {
        directory(&root.join(name), 0o755)?;
    }
    if Path::new("/usr/bin/python3").exists() {
        symlink("/usr/bin/python3", root.join("bin/python"))?;
    }
    file(&root.join("bin/sudo"), texts::SUDO, 0o755)
}

/// Copies a file, a directory or a link. What the host does not have, or keeps from others, is left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(found) = from.symlink_metadata() else { return Ok(()) };
    if let Some(parent) = to.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    if found.is_symlink() {
        copy_link(from, to)
    } else if found.is_dir() {
        copy_directory(from, to)
    } else if found.is_file() && found.mode() & 0o004 != 0 {
        fs::copy(from, to).map(drop)
    } else {
        Ok(())
    }
}

/// A link within `/usr` or to a neighbour means the same inside; any other is replaced by the file it leads to.
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    let target = from.read_link()?;
    if target.is_relative() || target.starts_with("/usr") || target.starts_with("/etc/alternatives") {
        return symlink(target, to);
    }
    match from.metadata() {
        Ok(found) if found.is_file() && found.mode() & 0o004 != 0 => fs::copy(from, to).map(drop),
        _ => Ok(()),
    }
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    directory(to, 0o755)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // Debian's own folder for keys stands beside the certificates.
        if entry.file_name() != "private" {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn directory(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_made_once_and_shows_nothing_private() {
        let parent = tempfile::tempdir().expect("temporary directory");
        let data_dir = DataDir::open(&parent.path().join("data")).expect("data directory");
        let Rootfs::HostUsr { skeleton, usr_local } = prepare(&data_dir).expect("prepare") else {
            panic!("host image")
        };
        for private in ["shadow", "ssh", "sudoers", "ssl/private", "environment", "gitconfig"] {
            assert!(!skeleton.join("etc").join(private).exists(), "{private}");
        }
        assert!(fs::read_to_string(skeleton.join("etc/shells")).expect("shells").contains("/bin/bash"));
        assert_eq!(skeleton.join("home/daytona").metadata().expect("home").uid(), DAYTONA_ID);
        assert_eq!(usr_local.join("bin/sudo").metadata().expect("sudo").mode() & 0o777, 0o755);
        let marker = skeleton.join("marker");
        fs::write(&marker, "").expect("the image can be written");
        let again = || {
            let Rootfs::HostUsr { skeleton, .. } = prepare(&data_dir).expect("prepare again") else {
                panic!("host image")
            };
            skeleton
        };
        assert_eq!(again(), skeleton);
        let note = data_dir.path().join("host-image").join(NOTE);
        for unreadable in ["", "0 0", "broken"] {
            fs::write(&note, unreadable).expect("the note can be written");
            assert_eq!(again(), skeleton, "it is made again, and is the same");
        }
        assert!(marker.exists(), "what sandboxes may use is never written again");
        fs::remove_dir_all(skeleton.parent().expect("its directory")).expect("it was there");
        assert!(again().join("etc/shells").exists(), "one that is gone is made again");
    }
}
