//! From what was asked for to what the runtime is told.

use super::accounts::Account;
use sandgate_core::{Attempt, ExternalName, SandboxConfig};
use sandgate_runtime::{ContainerSpec, Disk, Limits, Rootfs, User};
use std::collections::BTreeMap;
use std::path::PathBuf;

const GIB: u64 = 1024 * 1024 * 1024;

/// Processes and threads of one sandbox. Enough for large builds; far below what one host can number.
const PIDS: u64 = 2048;

pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the default image is called where a snapshot's name is wanted.
const DEFAULT_SNAPSHOT: &str = "default";

/// With what a container begins.
pub(super) struct Start<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) account: &'a Account,
    pub(super) rootfs: &'a Rootfs,
    pub(super) disk: PathBuf,
    /// See [`Limits::best_effort`].
    pub(super) best_effort: bool,
}

/// The container for `config`, to be called `name`.
pub(super) fn plan(name: &ExternalName, config: &SandboxConfig, start: Start<'_>) -> ContainerSpec {
    let limits = limits(config, start.best_effort);
    ContainerSpec {
        name: name.to_string(),
        hostname: start.attempt.sandbox.to_string(),
        rootfs: start.rootfs.clone(),
        disk: Disk { path: start.disk, bytes: u64::from(config.resources.disk_gib) * GIB },
        env: environment(start.attempt, config, start.account, &limits),
        user: User { uid: start.account.uid, gid: start.account.gid },
        limits,
        args: vec!["sandgate-toolbox".to_owned()],
        work_dir: start.account.home.clone(),
    }
}

fn limits(config: &SandboxConfig, best_effort: bool) -> Limits {
    Limits {
        memory_bytes: u64::from(config.resources.memory_gib) * GIB,
        cpu_millis: u64::from(config.resources.cpu) * 1000,
        pids: PIDS,
        best_effort,
    }
}

/// Later entries win: a user may set any variable, but for those by which the toolbox finds its listener and limits.
fn environment(
    attempt: &Attempt,
    config: &SandboxConfig,
    account: &Account,
    limits: &Limits,
) -> Vec<(String, String)> {
    let snapshot = config.snapshot.as_ref().map_or(DEFAULT_SNAPSHOT, |name| name.as_str());
    let mut env: BTreeMap<&str, String> = BTreeMap::from([
        ("PATH", PATH.to_owned()),
        ("HOME", account.home.clone()),
        ("USER", account.name.clone()),
        ("LOGNAME", account.name.clone()),
        ("LANG", "C.UTF-8".to_owned()),
        ("DAYTONA_SANDBOX_ID", attempt.sandbox.to_string()),
        ("DAYTONA_SANDBOX_SNAPSHOT", snapshot.to_owned()),
        ("DAYTONA_SANDBOX_USER", account.name.clone()),
    ]);
    env.extend(config.env.iter().map(|(name, value)| (name.as_str(), value.clone())));
    env.extend([
        ("LISTEN_FDS", "1".to_owned()),
        ("LISTEN_PID", "1".to_owned()),
        ("SANDGATE_CPU_MILLIS", limits.cpu_millis.to_string()),
        ("SANDGATE_MEMORY_LIMIT", limits.memory_bytes.to_string()),
        ("SANDGATE_PIDS_LIMIT", limits.pids.to_string()),
    ]);
    env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandgate_core::{EnvName, ResourceLimits, SandboxId};

    #[test]
    fn a_user_cannot_point_the_toolbox_elsewhere() {
        let mut config = SandboxConfig::new(ResourceLimits::default().default);
        for name in ["LISTEN_FDS", "SANDGATE_PIDS_LIMIT", "LANG"] {
            config.env.insert(EnvName::parse(name).expect("a name"), "mine".to_owned());
        }
        let attempt = Attempt::first(SandboxId::random());
        let env: BTreeMap<_, _> =
            environment(&attempt, &config, &Account::root(), &limits(&config, false)).into_iter().collect();
        assert_eq!(env["LISTEN_FDS"], "1");
        assert_eq!(env["SANDGATE_PIDS_LIMIT"], PIDS.to_string());
        assert_eq!(env["LANG"], "mine");
    }
}
