//! The host's own limits, and for how many sandboxes each is enough.

use rustix::process::{Resource, getrlimit};

use super::Status::Degraded;
use super::Subject::Capacity;
use super::{Finding, value};

/// A host that is enough for fewer sandboxes is worth a word.
const MANY: u64 = 1000;
/// What a sandbox runs that is busy with a build or a test.
const PROCESSES: u64 = 20;
/// Kernel memory included, when nothing runs in it.
const IDLE_BYTES: u64 = 2 << 20;
/// Descriptors that the server keeps for a sandbox that is in use.
const DESCRIPTORS: u64 = 6;
/// They are made as they are asked for, up to the kernel's last number, whatever its module was told at its start.
const LOOP_DEVICES: u64 = 1 << 20;
/// Processes, mounts and groups of the host that were there before.
const OTHERS: u64 = 1000;

/// One limit.
struct Bound {
    what: &'static str,
    /// What it is set to; `None` if the kernel does not have it.
    limit: Option<u64>,
    /// How much of it one sandbox takes.
    each: u64,
    /// Where it is set.
    key: String,
}

pub(super) fn findings() -> Vec<Finding> {
    bounds().iter().filter_map(Bound::finding).chain([inotify()]).collect()
}

fn bounds() -> Vec<Bound> {
    let kernel = |what, name: &str, each| {
        let limit = value(&format!("/proc/sys/{}", name.replace('.', "/")));
        Bound { what, limit, each, key: format!("`sysctl {name}=N`") }
    };
    let mut bounds = vec![
        kernel("process ids", "kernel.pid_max", PROCESSES),
        kernel("threads", "kernel.threads-max", PROCESSES),
        Bound {
            what: "open files",
            limit: Some(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)),
            each: DESCRIPTORS,
            key: "`ulimit -n N`, or LimitNOFILE= of the service".into(),
        },
        Bound { what: "memory", limit: available_bytes(), each: IDLE_BYTES, key: "more memory".into() },
        Bound { what: "loop devices", limit: Some(LOOP_DEVICES), each: 1, key: "none".into() },
    ];
    for (what, name) in [
        ("user namespaces", "user"),
        ("mount namespaces", "mnt"),
        ("network namespaces", "net"),
        ("process namespaces", "pid"),
    ] {
        bounds.push(kernel(what, &format!("user.max_{name}_namespaces"), 1));
    }
    bounds
}

impl Bound {
    fn finding(&self) -> Option<Finding> {
        let limit = self.limit?;
        let enough_for = limit.saturating_sub(if self.each == PROCESSES { OTHERS } else { 0 }) / self.each;
        let amount = if self.each == IDLE_BYTES { format!("{} MiB", limit >> 20) } else { limit.to_string() };
        let what = format!("{amount}, enough for {enough_for} sandboxes");
        let what =
            if self.each == PROCESSES { format!("{what} with {PROCESSES} processes each") } else { what };
        let found = Finding::ok(Capacity, self.what, what);
        if enough_for >= MANY {
            return Some(found);
        }
        Some(found.lacking(
            Degraded,
            format!("no more than {enough_for} sandboxes at once"),
            self.key.clone(),
        ))
    }
}

/// Counted by user, so what sandboxes take of it is each one's own.
fn inotify() -> Finding {
    let instances: u64 = value("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default();
    let watches: u64 = value("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
    let found = Finding::ok(
        Capacity,
        "file watches",
        format!("{instances} instances and {watches} watches, for each sandbox of its own"),
    );
    if watches >= 8192 && instances >= 64 {
        return found;
    }
    let remedy = "`sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512`";
    found.lacking(Degraded, "programs that watch many files fail", remedy)
}

fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(available_kib(&text)? << 10)
}

fn available_kib(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    rest.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Status;

    fn bound(limit: u64, each: u64) -> Finding {
        let bound = Bound { what: "things", limit: Some(limit), each, key: "more".into() };
        bound.finding().expect("a finding")
    }

    #[test]
    fn a_limit_is_told_in_sandboxes() {
        let found = bound(6000, DESCRIPTORS);
        assert_eq!((found.status, found.detail.as_str()), (Status::Ok, "6000, enough for 1000 sandboxes"));
        let found = bound(5999, DESCRIPTORS);
        assert_eq!(found.status, Degraded);
        assert_eq!(found.cost.as_deref(), Some("no more than 999 sandboxes at once"));
    }

    #[test]
    fn memory_is_read_in_its_unit() {
        assert_eq!(available_kib("MemTotal:  9 kB\nMemAvailable:   1024 kB\n"), Some(1024));
        assert_eq!(available_kib("MemTotal: 9 kB\n"), None);
    }
}
