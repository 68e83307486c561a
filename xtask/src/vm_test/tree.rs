//! A root filesystem in a folder, made of this machine's own programs with the libraries they need.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::invoke;

/// The program that does in a small filesystem what many others do in a large one.
pub(super) const BUSYBOX: &str = "/bin/busybox";

/// Where the tree is.
pub(super) struct Tree {
    pub(super) root: PathBuf,
}

impl Tree {
    /// An empty one at `root`, with the directories and links that every Debian system has.
    pub(super) fn new(root: PathBuf) -> Result<Self> {
        for name in ["dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var"] {
            std::fs::create_dir_all(root.join(name))?;
        }
        std::fs::create_dir(root.join("usr/local"))?;
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::fs::create_dir(root.join("usr").join(name))?;
            symlink(format!("usr/{name}"), root.join(name))?;
        }
        Ok(Self { root })
    }

    /// Adds `programs` at the paths they have here, and what they need.
    pub(super) fn add_programs(&self, programs: &BTreeSet<PathBuf>) -> Result<()> {
        self.add_libraries(programs)?;
        programs.iter().try_for_each(|program| self.add(program, &place(program)?))
    }

    /// Adds the libraries of `programs` at the paths they have here.
    pub(super) fn add_libraries(&self, programs: &BTreeSet<PathBuf>) -> Result<()> {
        libraries(programs)?.iter().try_for_each(|library| self.add(library, &place(library)?))
    }

    /// Copies a file of this machine to `place` in the tree.
    pub(super) fn add(&self, file: &Path, place: &Path) -> Result<()> {
        let copied = std::fs::copy(file, self.make_room(place)?);
        copied.map(drop).with_context(|| format!("{} cannot be copied", file.display()))
    }

    /// Writes a file, with these rights.
    pub(super) fn write(&self, place: &str, text: &str, mode: u32) -> Result<()> {
        let path = self.make_room(Path::new(place))?;
        std::fs::write(&path, text)?;
        Ok(std::fs::set_permissions(path, Permissions::from_mode(mode))?)
    }

    /// The path of `place` in the tree, with the folder that it needs.
    fn make_room(&self, place: &Path) -> Result<PathBuf> {
        let path = self.root.join(place.strip_prefix("/").unwrap_or(place));
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        Ok(path)
    }
}

/// Where `file` belongs: its folder without links, as `/bin` is one.
fn place(file: &Path) -> Result<PathBuf> {
    let (folder, name) = (file.parent().context("no folder")?, file.file_name().context("no name")?);
    Ok(folder.canonicalize()?.join(name))
}

/// What the loader would load for `programs`. Those that need nothing make `ldd` fail, so its exit code says nothing.
fn libraries(programs: &BTreeSet<PathBuf>) -> Result<BTreeSet<PathBuf>> {
    let answer = invoke::output(Command::new("ldd").args(programs).stderr(Stdio::null()))?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    Ok(words.map(PathBuf::from).collect())
}
