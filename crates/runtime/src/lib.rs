//! Linux sandboxes without an engine.
//!
//! A small single-threaded *spawner*, re-executed from the caller's own binary, makes containers out of namespaces, an
//! overlay that no mount table of the host shows, cgroups and a system call filter. [`Spawner`] is its client. The
//! crate knows nothing of what runs inside: process 1 is an executable handed over as a descriptor, with a listening
//! socket as descriptor 3.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("sandgate-runtime has a system call table for x86_64 Linux alone");

mod cgroup;
mod client;
mod container;
mod descriptors;
mod disk;
mod error;
mod executable;
mod floor;
pub mod host;
mod mount;
mod protocol;
mod rendezvous;
mod seccomp;
mod spawner;
mod spec;
mod stat;
mod stopwatch;
mod sys;
mod watch;

pub use cgroup::{Controller, CpuUse, cpu_use, enforcers};
pub use client::{Spawner, SpawnerOptions};
pub use descriptors::raise_descriptor_limit;
pub use error::RuntimeError;
pub use executable::sealed_executable;
pub use floor::measure_floor;
pub use spawner::spawner_main;
pub use spec::{Container, ContainerSpec, ContainerStatus, Disk, Exit, Handles, Limits, Rootfs, User};
pub use stat::process_state;
pub use stopwatch::Lap;
pub use watch::Watch;

/// The first argument that makes the `sandgate` binary a spawner.
pub const SPAWNER_ARG: &str = "__spawner";
