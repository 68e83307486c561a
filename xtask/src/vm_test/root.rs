//! The disk of a virtual machine: a small Debian of this machine's own programs, with the test binary in it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::tree::{BUSYBOX, Tree};
use crate::invoke;

/// The packages that the tests may use, on the host's side and inside of sandboxes.
const PACKAGES: [&str; 14] = [
    "bash",
    "bsdutils",
    "coreutils",
    "dash",
    "e2fsprogs",
    "findutils",
    "grep",
    "hostname",
    "libc-bin",
    "mount",
    "ncurses-base",
    "procps",
    "sed",
    "util-linux",
];

/// Where the files are that are wanted of a package: programs, and what some of them know of terminals.
const FOLDERS: [&str; 5] = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/lib/terminfo/"];

/// In bytes. More than the tests need; what they do not use is a hole in the file.
const SIZE: u64 = 1 << 30;

/// Makes it in the folder `scratch`. Its `/init` runs `program` with the arguments `choice`.
pub(super) fn make(program: &Path, choice: &[String], scratch: &Path) -> Result<PathBuf> {
    let tree = Tree::new(scratch.join("root"))?;
    let mut programs = programs()?;
    programs.insert(BUSYBOX.into());
    tree.add_programs(&programs)?;
    tree.add(program, Path::new("/test/container"))?;
    tree.add_libraries(&[program.to_owned()].into())?;
    tree.add(Path::new("/etc/mke2fs.conf"), Path::new("/etc/mke2fs.conf"))?;
    tree.write("/etc/passwd", "root:x:0:0::/root:/bin/bash\n", 0o644)?;
    tree.write("/test/arguments", &choice.join("\n"), 0o644)?;
    tree.write("/init", include_str!("root.sh"), 0o755)?;
    let image = scratch.join("root.ext4");
    File::create(&image)?.set_len(SIZE)?;
    invoke::run(Command::new("/sbin/mkfs.ext4").args(["-q", "-F", "-d"]).arg(&tree.root).arg(&image))?;
    Ok(image)
}

/// The files of [`PACKAGES`] that are wanted.
fn programs() -> Result<BTreeSet<PathBuf>> {
    let list = invoke::text(Command::new("dpkg-query").arg("--listfiles").args(PACKAGES))?;
    let is_wanted = |file: &&str| FOLDERS.iter().any(|folder| file.starts_with(folder));
    // A package may list a link that leads nowhere here.
    Ok(list.lines().filter(is_wanted).map(PathBuf::from).filter(|file| file.is_file()).collect())
}
