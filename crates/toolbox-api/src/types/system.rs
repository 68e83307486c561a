//! Facts about the sandbox: directories, version, usage.

use serde::{Deserialize, Serialize};

/// `GET /user-home-dir` and `GET /work-dir`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirResponse {
    /// An absolute path inside the sandbox.
    pub dir: String,
}

/// `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionResponse {
    /// Version of the daemon.
    pub version: String,
}

/// `GET /system/metrics`: what the sandbox uses of what it may use. Sizes are bytes; 0 means unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SystemMetrics {
    /// Cores the sandbox may use, rounded up.
    pub cpu_count: u32,
    /// Percentage of the cpu limit used since the sample before; 0 on the first.
    pub cpu_used_pct: f64,
    /// Bytes that a user of the sandbox can still write.
    pub disk_free: u64,
    /// Size of the sandbox's disk.
    pub disk_total: u64,
    /// Bytes used of it.
    pub disk_used: u64,
    /// Page cache of the sandbox, where it can be known.
    pub mem_cache: u64,
    /// The memory limit.
    pub mem_total: u64,
    /// Memory that the sandbox's processes hold and cannot give back.
    pub mem_used: u64,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// Seconds since 1970.
    pub timestamp_unix: i64,
}
