//! Debian's cloud kernels: which of them apt offers, fetched and unpacked without being installed.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::{invoke, setup};

const BEFORE: &str = "linux-image-";
const AFTER: &str = "-cloud-amd64";

/// A kernel that is unpacked here.
pub(super) struct Kernel {
    /// As Debian writes it, such as `6.1.0-56`.
    pub(super) version: String,
    /// Its package's files.
    pub(super) tree: PathBuf,
}

impl Kernel {
    /// What `uname -r` says in it.
    pub(super) fn release(&self) -> String {
        format!("{}{AFTER}", self.version)
    }

    pub(super) fn image(&self) -> PathBuf {
        self.tree.join(format!("boot/vmlinuz-{}", self.release()))
    }
}

/// The newest kernel of each series that apt offers, or the newest whose version begins with `wanted`; fetched into
/// `folder`, by way of `scratch`, where it is not there yet.
pub(super) fn obtain(folder: &Path, scratch: &Path, wanted: Option<&str>) -> Result<Vec<Kernel>> {
    let is_here = |version: &String| folder.join(version).is_dir();
    let mut all = offered()?;
    let mut versions = chosen(&all, wanted);
    if versions.is_empty() || !versions.iter().all(is_here) {
        // The lists of packages may be missing, or name what the archive no longer has.
        setup::update_lists()?;
        all = offered()?;
        versions = chosen(&all, wanted);
    }
    ensure!(!versions.is_empty(), "apt offers no {BEFORE}{}*{AFTER}", wanted.unwrap_or_default());
    println!("newest kernel of each series that apt offers: {}", chosen(&all, None).join(", "));
    println!("tested: {}", versions.join(", "));
    versions.into_iter().map(|version| unpacked(folder, scratch, version)).collect()
}

/// The versions of all cloud kernels that apt lists.
fn offered() -> Result<Vec<String>> {
    let pattern = format!("^{BEFORE}[0-9].*{AFTER}$");
    let list = invoke::text(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter_map(version_of).map(ToOwned::to_owned).collect())
}

/// The version in a package's name. A name with a series only, such as 6.12, is a package without files.
fn version_of(package: &str) -> Option<&str> {
    let version = package.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    (numbers(version).len() > 2).then_some(version)
}

fn chosen(offered: &[String], wanted: Option<&str>) -> Vec<String> {
    let mut newest: BTreeMap<Vec<u64>, &String> = BTreeMap::new();
    let fits = |version: &&String| wanted.is_none_or(|wanted| numbers(version).starts_with(&numbers(wanted)));
    for version in offered.iter().filter(fits) {
        // Of what was asked for by its version, there is one; otherwise one of each series.
        let series = if wanted.is_some() { Vec::new() } else { numbers(version)[..2].to_vec() };
        let known = newest.entry(series).or_insert(version);
        if numbers(version) > numbers(known) {
            *known = version;
        }
    }
    newest.into_values().cloned().collect()
}

/// The numbers of a version, by which versions are compared.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn unpacked(folder: &Path, scratch: &Path, version: String) -> Result<Kernel> {
    let kernel = Kernel { tree: folder.join(&version), version };
    if !kernel.tree.is_dir() {
        fetch(scratch, &kernel).with_context(|| format!("kernel {} could not be fetched", kernel.version))?;
    }
    Ok(kernel)
}

/// Downloads the package and unpacks it elsewhere first, so that no half of one is ever taken for a kernel.
fn fetch(scratch: &Path, kernel: &Kernel) -> Result<()> {
    let folder = scratch.join(format!("fetched-{}", kernel.version));
    std::fs::create_dir(&folder)?;
    let mut download = Command::new("apt-get");
    // Apt's own user could not write here.
    download.args(["download", "--quiet", "--option", "APT::Sandbox::User=root"]);
    download.arg(format!("{BEFORE}{}", kernel.release()));
    invoke::run(download.current_dir(&folder).stdin(Stdio::null()))?;
    let package = std::fs::read_dir(&folder)?.next().context("the download left no file")??.path();
    let tree = folder.join("tree");
    invoke::run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&tree))?;
    if !tree.join("lib").exists() {
        symlink("usr/lib", tree.join("lib"))?;
    }
    // A package's installation does this otherwise.
    invoke::run(Command::new("/sbin/depmod").arg("--basedir").arg(&tree).arg(kernel.release()))?;
    Ok(std::fs::rename(tree, &kernel.tree)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered() -> Vec<String> {
        ["6.1.0-9", "6.12.100+deb12", "6.1.0-56", "6.12.99+deb12", "6.1.0-49"].map(Into::into).into()
    }

    #[test]
    fn the_newest_of_each_series_is_chosen() {
        assert_eq!(chosen(&offered(), None), ["6.1.0-56", "6.12.100+deb12"]);
    }

    #[test]
    fn one_can_be_asked_for_by_the_beginning_of_its_version() {
        assert_eq!(chosen(&offered(), Some("6.1")), ["6.1.0-56"]);
        assert_eq!(chosen(&offered(), Some("6.1.0-9")), ["6.1.0-9"]);
        assert_eq!(chosen(&offered(), Some("6")), ["6.12.100+deb12"]);
        assert!(chosen(&offered(), Some("5")).is_empty());
    }

    #[test]
    fn a_package_that_names_a_series_only_is_no_kernel() {
        assert_eq!(version_of("linux-image-6.1.0-56-cloud-amd64"), Some("6.1.0-56"));
        assert_eq!(version_of("linux-image-6.12-cloud-amd64"), None);
        assert_eq!(version_of("linux-image-cloud-amd64"), None);
        assert_eq!(version_of("linux-image-6.1.0-56-cloud-amd64-dbg"), None);
    }
}
