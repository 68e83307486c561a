//! The filesystems that sandboxes start from: the host's own `/usr`, and what the operator configured.

use super::accounts::{self, Account};
use super::host_image;
use super::unpack;
use crate::data_dir::DataDir;
use sandgate_core::{ServiceError, SnapshotName, UserName};
use sandgate_runtime::Rootfs;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Who runs the commands where neither the request nor the snapshot says.
const DEFAULT_USER: &str = "daytona";

/// Where a configured snapshot comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSource {
    /// A directory with a root filesystem, which is used where it is, or an archive of one.
    pub path: PathBuf,
    /// Who runs the commands in it.
    pub user: Option<UserName>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The path leads to nothing that could be a root filesystem.
    #[error("snapshot `{name}`: {} {problem}", .path.display())]
    NotARoot {
        /// The snapshot.
        name: String,
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The host does not have what the default image is made of.
    #[error("the default image cannot be made from this host: {0}")]
    HostUnsuitable(String),
    /// It cannot be read or written.
    #[error("snapshot `{name}` cannot be prepared")]
    Io {
        /// The snapshot.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A filesystem and its users.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) rootfs: Rootfs,
    accounts: Vec<Account>,
    user: Option<UserName>,
}

impl Image {
    /// Who runs the commands: the wanted user, the snapshot's own, `daytona`, or root, in this order.
    pub(super) fn account(&self, wanted: Option<&UserName>) -> Result<Account, ServiceError> {
        let find = |name: &str| self.accounts.iter().find(|account| account.name == name).cloned();
        match wanted.or(self.user.as_ref()) {
            None => Ok(find(DEFAULT_USER).unwrap_or_else(Account::root)),
            Some(name) if name.as_str() == "root" => Ok(Account::root()),
            Some(name) => find(name.as_str())
                .ok_or_else(|| ServiceError::Refused(format!("user `{name}` is not in the snapshot"))),
        }
    }
}

/// All filesystems, by name.
pub(super) struct Images {
    default: Image,
    named: BTreeMap<SnapshotName, Image>,
}

impl Images {
    /// Makes the default image and unpacks archives that are new.
    pub(super) fn prepare(
        data_dir: &DataDir,
        snapshots: &BTreeMap<SnapshotName, SnapshotSource>,
    ) -> Result<Self, ImageError> {
        let rootfs = host_image::prepare(data_dir)?;
        let Rootfs::HostUsr { skeleton, .. } = &rootfs else {
            unreachable!("the host's image is made of its /usr")
        };
        let accounts = accounts::read(skeleton).map_err(|source| io_error("default", source))?;
        let default = Image { rootfs, accounts, user: None };
        let named =
            snapshots.iter().map(|(name, source)| Ok((name.clone(), prepare(data_dir, name, source)?)));
        Ok(Self { default, named: named.collect::<Result<_, ImageError>>()? })
    }

    /// The filesystem of that name, or the default one.
    pub(super) fn get(&self, name: Option<&SnapshotName>) -> Result<&Image, ServiceError> {
        let Some(name) = name else { return Ok(&self.default) };
        self.named.get(name).ok_or_else(|| ServiceError::UnknownSnapshot(name.to_string()))
    }
}

fn prepare(data_dir: &DataDir, name: &SnapshotName, source: &SnapshotSource) -> Result<Image, ImageError> {
    let not_a_root = |problem: &str| ImageError::NotARoot {
        name: name.to_string(),
        path: source.path.clone(),
        problem: problem.to_owned(),
    };
    let found = source.path.metadata().map_err(|error| not_a_root(&format!("cannot be read: {error}")))?;
    let root = if found.is_dir() {
        source.path.canonicalize().map_err(|source| io_error(name.as_str(), source))?
    } else {
        unpack::unpack(data_dir, name, &source.path)?
    };
    if !has_shell(&root) {
        return Err(not_a_root("holds no root filesystem: there is no bin/sh in it"));
    }
    let accounts = accounts::read(&root).map_err(|source| io_error(name.as_str(), source))?;
    let image = Image { rootfs: Rootfs::Image { layers: vec![root] }, accounts, user: source.user.clone() };
    image.account(None).map_err(|error| not_a_root(&error.to_string()))?;
    Ok(image)
}

fn has_shell(root: &Path) -> bool {
    accounts::open_inside(root, "bin/sh").is_ok_and(|shell| shell.is_some())
}

pub(super) fn io_error(name: &str, source: io::Error) -> ImageError {
    ImageError::Io { name: name.to_owned(), source }
}
