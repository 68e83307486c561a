//! The kinds of limits that a sandbox has, and who enforces each.

use sandgate_runtime::Controller;

/// What one sandbox is not to take from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of memory.
    Memory,
    /// Time on the processor.
    Cpu,
    /// Processes and threads.
    Pids,
    /// Bytes of disk.
    Disk,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::Pids, Self::Disk];

    /// Its stable name, for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Disk => "disk",
        }
    }

    /// How this host could come to hold sandboxes to it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Memory => sandgate_runtime::host::remedy(Controller::Memory),
            Self::Cpu => sandgate_runtime::host::remedy(Controller::Cpu),
            Self::Pids => sandgate_runtime::host::remedy(Controller::Pids),
            Self::Disk => "put the data directory on a local file system, such as ext4 or xfs",
        }
    }

    pub(super) const fn controller(self) -> Option<Controller> {
        match self {
            Self::Memory => Some(Controller::Memory),
            Self::Cpu => Some(Controller::Cpu),
            Self::Pids => Some(Controller::Pids),
            Self::Disk => None,
        }
    }
}
