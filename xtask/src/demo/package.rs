//! The package that the demo tests: a pinned source archive, fetched without running anything of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{invoke, setup};

/// A source archive on this machine, checked against its hash.
pub(super) struct Package {
    /// Name and version, which is also the folder in the archive.
    pub(super) name: &'static str,
    pub(super) archive: PathBuf,
    /// What runs the package's own tests from its folder.
    pub(super) tests: &'static str,
}

const PROJECT: &str = "idna";
const NAME: &str = "idna-3.10";
const SHA256: &str = "12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9";

/// Fetches the archive into `folder`, once: a kept copy with the right hash is used again.
pub(super) fn fetch(folder: &Path) -> Result<Package> {
    std::fs::create_dir_all(folder)?;
    let archive = folder.join(format!("{NAME}.tar.gz"));
    // pip itself would run the archive's build script, just to learn its metadata.
    let mut python = Command::new(setup::PYTHON);
    python.args(["-c", include_str!("fetch_archive.py"), PROJECT]).arg(&archive).arg(SHA256);
    invoke::run(&mut python)?;
    Ok(Package { name: NAME, archive, tests: "python3 -m unittest discover" })
}
