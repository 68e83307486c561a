//! What the host shows of sandboxes, for the check that nothing is left of them.

use std::fs;
use std::path::Path;

use crate::world::children;

/// What the kernel calls the namespaces of a sandbox.
const KINDS: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// The processes in cgroups of `instance`, as `pid (name)`. A dead one counts if the spawner should have reaped it;
/// orphans are reaped by the host's init, which takes its time.
pub(crate) fn processes(instance: &str, spawner: Option<i32>) -> Vec<String> {
    let ours = format!("/sandgate-{instance}/");
    let is_ours = |pid: &String| text(pid, "cgroup").contains(&ours) && !is_left_to_init(pid, spawner);
    let named = |pid: String| format!("{pid} ({})", text(&pid, "comm").trim());
    processes_of_the_host().filter(is_ours).map(named).collect()
}

/// Whether it is dead, and no child of the spawner.
fn is_left_to_init(pid: &str, spawner: Option<i32>) -> bool {
    let stat = text(pid, "stat");
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let (state, parent) = (fields.next(), fields.next().and_then(|parent| parent.parse().ok()));
    state.is_none_or(|state| state == "Z" || state == "X") && (parent.is_none() || parent != spawner)
}

/// The namespaces that process `pid` holds by descriptors: they live on without any process in them.
pub(crate) fn held_namespaces(pid: i32) -> Vec<String> {
    let folder = format!("/proc/{pid}/fd");
    let targets = children(Path::new(&folder)).into_iter().filter_map(|fd| {
        let target = fs::read_link(Path::new(&folder).join(fd)).ok()?;
        target.into_os_string().into_string().ok()
    });
    targets.filter(|target| KINDS.iter().any(|kind| target.starts_with(&format!("{kind}:[")))).collect()
}

fn processes_of_the_host() -> impl Iterator<Item = String> {
    let names = children(Path::new("/proc")).into_iter();
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A file of a process; empty when it has gone meanwhile.
fn text(pid: &str, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}
