//! The TOML file. An unknown key is an error: a misspelt setting must not be silently the default.

use super::quota::TomlQuotas;
use anyhow::Context;
use sandgate_core::{Quotas, ResourceLimits, Resources, SnapshotName, UserName};
use sandgate_infrastructure::container::SnapshotSource;
use sandgate_infrastructure::sqlite::Retention;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the file says, parsed.
#[derive(Debug)]
pub(super) struct FileConfig {
    pub(super) listen: Option<SocketAddr>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) public_url: Option<String>,
    pub(super) log: Option<String>,
    pub(super) snapshots: BTreeMap<SnapshotName, SnapshotSource>,
    pub(super) limits: ResourceLimits,
    pub(super) max_lifetime: Option<u32>,
    pub(super) quotas: Quotas,
    pub(super) min_free_mib: Option<u64>,
    pub(super) allow_unenforced_limits: Option<bool>,
    pub(super) retention: Retention,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Toml {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    public_url: Option<String>,
    log: Option<String>,
    allow_unenforced_limits: Option<bool>,
    #[serde(default)]
    snapshots: BTreeMap<String, TomlSnapshot>,
    #[serde(default)]
    limits: TomlLimits,
    #[serde(default)]
    quota: TomlQuotas,
    #[serde(default)]
    retention: TomlRetention,
    #[serde(default)]
    disk: TomlDisk,
}

/// The disk of the data directory.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlDisk {
    min_free_mib: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlSnapshot {
    path: PathBuf,
    user: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlLimits {
    #[serde(default)]
    default: TomlResources,
    #[serde(default)]
    maximum: TomlResources,
    /// Minutes; 0 and absent are for ever.
    max_lifetime: Option<u32>,
}

/// Cores, and GiB of memory and disk.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlResources {
    cpu: Option<u32>,
    memory: Option<u32>,
    disk: Option<u32>,
}

/// Days; 0 is for ever.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TomlRetention {
    events_days: u32,
    deleted_days: u32,
}

impl Default for TomlRetention {
    fn default() -> Self {
        Self { events_days: 90, deleted_days: 7 }
    }
}

impl From<TomlRetention> for Retention {
    fn from(toml: TomlRetention) -> Self {
        let days = |days: u32| (days > 0).then(|| Duration::from_hours(24) * days);
        Self { events: days(toml.events_days), deleted: days(toml.deleted_days) }
    }
}

impl Default for FileConfig {
    /// What an empty file says.
    fn default() -> Self {
        Self::parse("").expect("an empty file is a configuration")
    }
}

impl FileConfig {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a configuration", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let toml: Toml = toml::from_str(text)?;
        let snapshots = toml.snapshots.into_iter().map(snapshot).collect::<anyhow::Result<_>>()?;
        let built_in = ResourceLimits::default();
        let limits = ResourceLimits {
            default: toml.limits.default.over(built_in.default),
            maximum: toml.limits.maximum.over(built_in.maximum),
        };
        Ok(Self {
            listen: toml.listen,
            data_dir: toml.data_dir,
            public_url: toml.public_url,
            log: toml.log,
            snapshots,
            limits,
            max_lifetime: toml.limits.max_lifetime,
            quotas: toml.quota.parse()?,
            min_free_mib: toml.disk.min_free_mib,
            allow_unenforced_limits: toml.allow_unenforced_limits,
            retention: toml.retention.into(),
        })
    }
}

fn snapshot((name, source): (String, TomlSnapshot)) -> anyhow::Result<(SnapshotName, SnapshotSource)> {
    let user = source.user.map(UserName::parse).transpose()?;
    Ok((SnapshotName::parse(name)?, SnapshotSource { path: source.path, user }))
}

impl TomlResources {
    fn over(&self, built_in: Resources) -> Resources {
        Resources {
            cpu: self.cpu.unwrap_or(built_in.cpu),
            memory_gib: self.memory.unwrap_or(built_in.memory_gib),
            disk_gib: self.disk.unwrap_or(built_in.disk_gib),
        }
    }
}
