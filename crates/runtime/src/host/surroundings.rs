//! What else is on the host: other engines, and walls around ourselves.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::Status::{Absent, Degraded};
use super::Subject::Surroundings;
use super::{Finding, value};

/// Engines beside which ours can be measured, or that may come to stand in for it.
const ENGINES: [&str; 3] = ["crun", "docker", "runsc"];

pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![container(), apparmor()];
    findings.extend(ENGINES.map(engine));
    findings
}

fn engine(program: &str) -> Finding {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    match found {
        Some(file) => Finding::ok(Surroundings, program, file.display().to_string()),
        None => {
            Finding { status: Absent, ..Finding::ok(Surroundings, program, "not installed, and not needed") }
        }
    }
}

/// It restricts those without rights, and sandboxes are made by root.
fn apparmor() -> Finding {
    let restricts = value::<u32>("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    let detail = if restricts {
        "restricts user namespaces of others than root; root makes ours"
    } else {
        "does not restrict user namespaces"
    };
    Finding::ok(Surroundings, "AppArmor", detail)
}

fn container() -> Finding {
    let first = fs::read("/proc/1/environ").unwrap_or_default();
    let marks = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"].map(PathBuf::from);
    let Some(mark) = mark(&first, &marks) else {
        return Finding::ok(Surroundings, "a container around us", "none");
    };
    Finding::ok(Surroundings, "a container around us", mark).lacking(
        Degraded,
        "it may withhold clone3, mounts, loop devices or control groups; see the self-test",
        "run on the host, or in a container with --privileged and --cgroupns=host",
    )
}

/// By what a container gives itself away.
fn mark(first_environment: &[u8], files: &[PathBuf]) -> Option<String> {
    let mut variables = first_environment.split(|byte| *byte == 0);
    let named = variables.find_map(|variable| variable.strip_prefix(b"container="));
    let named = named.map(|kind| format!("{} around process 1", String::from_utf8_lossy(kind)));
    let file = files.iter().map(PathBuf::as_path).find(|file| Path::exists(file));
    named.or_else(|| Some(format!("{} is there", file?.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_variable_or_its_file() {
        assert_eq!(mark(b"HOME=/\0container=lxc\0", &[]).as_deref(), Some("lxc around process 1"));
        assert_eq!(mark(b"xcontainer=lxc\0", &["/no/such/file".into()]), None);
        assert_eq!(mark(b"", &["/proc".into()]).as_deref(), Some("/proc is there"));
    }
}
