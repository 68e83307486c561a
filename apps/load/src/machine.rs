//! The machine that numbers are true of.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::proc;

/// What decides how fast a machine is, as far as the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_kib: u64,
}

impl Machine {
    pub(crate) fn here() -> Self {
        Self {
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            cpu: proc::field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_kib: proc::kib("/proc/meminfo", "MemTotal"),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kernel, cpu, cores, memory_kib } = self;
        write!(f, "{cpu}, {cores} cores, {} MiB, Linux {kernel}", memory_kib / 1024)
    }
}
