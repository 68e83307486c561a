//! The files that limits are written to, in both versions of the interface.

use std::fs;
use std::io;
use std::path::Path;

use super::layout::{Controller, Home};
use crate::{Limits, RuntimeError};

/// One file to write.
struct Setting {
    file: &'static str,
    value: String,
    /// An optional file may be missing: it then says nothing that the kernel could do here.
    optional: bool,
}

/// Writes the limits that `controller` is responsible for.
pub(super) fn apply(
    controller: Controller,
    home: &Home,
    directory: &Path,
    limits: Limits,
) -> Result<(), RuntimeError> {
    for setting in settings(controller, home, limits) {
        let path = directory.join(setting.file);
        match fs::write(&path, &setting.value) {
            Err(error) if setting.optional && error.kind() == io::ErrorKind::NotFound => {}
            other => {
                other.map_err(RuntimeError::io(format!("write {} to {}", setting.value, path.display())))?;
            }
        }
    }
    Ok(())
}

/// Gives all sandboxes together half the weight of one ordinary cgroup. Best effort: it is no limit.
pub(super) fn yield_to_us(parent: &Path) {
    for (file, value) in [("cpu.weight", "50"), ("cpu.shares", "512")] {
        let path = parent.join(file);
        if path.exists() {
            let _ = fs::write(path, value);
        }
    }
}

fn settings(controller: Controller, home: &Home, limits: Limits) -> Vec<Setting> {
    let must = |file, value: String| Setting { file, value, optional: false };
    let may = |file, value: String| Setting { file, value, optional: true };
    let memory = limits.memory_bytes.to_string();
    let (quota, period) = bandwidth(limits.cpu_millis);
    match (controller, home) {
        // Without a group kill, the offender dies and not the whole sandbox.
        (Controller::Memory, Home::Unified) => vec![
            must("memory.max", memory),
            may("memory.swap.max", "0".into()),
            may("memory.oom.group", "0".into()),
        ],
        (Controller::Memory, Home::Own(_)) => {
            vec![must("memory.limit_in_bytes", memory.clone()), may("memory.memsw.limit_in_bytes", memory)]
        }
        (Controller::Cpu, Home::Unified) => vec![must("cpu.max", format!("{quota} {period}"))],
        (Controller::Cpu, Home::Own(_)) => {
            vec![must("cpu.cfs_period_us", period.to_string()), must("cpu.cfs_quota_us", quota.to_string())]
        }
        (_, Home::Absent(_)) => Vec::new(),
        (Controller::Pids, _) => vec![must("pids.max", limits.pids.to_string())],
    }
}

/// Quota and period in microseconds. A short period keeps the pauses of a throttled sandbox short; the kernel wants a
/// quota of at least a millisecond, which for a very small share takes a longer one.
fn bandwidth(millis: u64) -> (u64, u64) {
    let period: u64 = if millis >= 50 { 20_000 } else { 100_000 };
    (millis * period / 1000, period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_is_the_share_of_the_period() {
        assert_eq!(bandwidth(1000), (20_000, 20_000));
        assert_eq!(bandwidth(2500), (50_000, 20_000));
        assert_eq!(bandwidth(50), (1000, 20_000));
        assert_eq!(bandwidth(10), (1000, 100_000));
    }

    #[test]
    fn every_controller_has_a_setting_that_must_succeed_in_both_versions() {
        let limits = Limits { memory_bytes: 64 << 20, cpu_millis: 1000, pids: 10, best_effort: false };
        for controller in Controller::ALL {
            for home in [Home::Unified, Home::Own("/x".into())] {
                assert!(settings(controller, &home, limits).iter().any(|setting| !setting.optional));
            }
        }
    }
}
