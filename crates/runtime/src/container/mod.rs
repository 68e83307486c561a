//! The making of one container: parent and child take turns until the child has become process 1 of a sandbox.

mod attach;
mod child;
mod handshake;
mod identity;
mod interior;
mod machine;
mod overlay;
mod process;
mod rootfs;
mod stage;

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;

use crate::cgroup::{Doors, Group};
use crate::disk::{DiskFile, overlay_directories, spare};
use crate::mount::{HARMLESS, map_owners};
use crate::stopwatch::Stopwatch;
use crate::sys::{Cloned, Filter};
use crate::{ContainerSpec, RuntimeError, sys};
use child::Child;
use handshake::Parent;
pub(crate) use identity::IdRange;
use identity::as_root_of;
use machine::Machine;
pub(crate) use process::Process;
use rootfs::Parts;
pub(crate) use stage::Stage;

/// Everything a sandbox is separated in. Its cgroup namespace follows once it is in its cgroups: made earlier, it
/// would show the host's paths.
pub(crate) const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// What a container is made from.
pub(crate) struct Plan<'a> {
    pub(crate) spec: &'a ContainerSpec,
    pub(crate) ids: IdRange,
    pub(crate) group: &'a Group,
    /// The ways into its other cgroups.
    pub(crate) doors: Doors,
    pub(crate) filter: &'a Filter,
    pub(crate) stage: &'a Stage,
    pub(crate) listener: OwnedFd,
    pub(crate) toolbox: OwnedFd,
    pub(crate) stopwatch: &'a Stopwatch,
}

/// Makes the container; returns when process 1 runs the toolbox. On failure the process, if there was one, has been
/// reaped; the cgroup and a new disk file are the caller's to remove.
pub(crate) fn create(plan: &Plan<'_>) -> Result<Process, RuntimeError> {
    let (child, process) = as_root_of(plan.ids, || start(plan))??;
    plan.stopwatch.lap("clone into new namespaces");
    match finish(plan, &child, process.pid) {
        Ok(()) => Ok(process),
        Err(error) => {
            process.end();
            Err(error)
        }
    }
}

/// Starts the child. Returns in the parent alone.
fn start(plan: &Plan<'_>) -> Result<(Parent, Process), RuntimeError> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(RuntimeError::io("make the handshake socket"))?;
    let group = plan.group.open().map_err(RuntimeError::io("open the sandbox's cgroup"))?;
    match sys::clone_into(NAMESPACES, Some(group.as_fd())).map_err(clone_failure)? {
        Cloned::Child => {
            // Whoever holds the parent's end would never see it closed.
            drop(ours);
            Child { plan, socket: theirs }.run()
        }
        Cloned::Parent { pid, pidfd } => Ok((Parent::new(ours), Process::child(pid, pidfd))),
    }
}

/// The parent's turns.
fn finish(plan: &Plan<'_>, child: &Parent, pid: Pid) -> Result<(), RuntimeError> {
    plan.ids.assign(pid)?;
    child.go_ahead()?;
    plan.stopwatch.lap("map its ids");
    // From here on both work: the child prepares what needs no root, the parent assembles the root.
    let user_ns = identity::user_namespace(pid)?;
    let disk = DiskFile::open(&plan.spec.disk)?;
    plan.stopwatch.lap("make its disk's file");
    let disk = disk.mount()?;
    plan.stopwatch.lap("mount its disk");
    map_owners(disk.as_fd(), HARMLESS, user_ns.as_fd(), "the sandbox's disk")?;
    let directories = overlay_directories(disk.as_fd())?;
    let (disk_mount, user_ns) = (disk.as_fd(), user_ns.as_fd());
    let parts = Parts { rootfs: &plan.spec.rootfs, disk_mount, disk: &directories, user_ns };
    let mounts = rootfs::assemble(&parts, plan.ids, plan.stage)?;
    plan.stopwatch.lap("assemble its root");
    let machine = Machine::new(plan.spec.limits, plan.stage)?;
    plan.stopwatch.lap("take its machine");
    child.hand_over(&mounts, &machine)?;
    drop((mounts, machine, directories));
    plan.stopwatch.lap("hand over");
    child.wait_for_exec()?;
    plan.stopwatch.lap("wait for the child's setup");
    if spare::are_missing(disk_mount) {
        // They had to go for this start. There is room for them now, before anybody inside takes it.
        as_root_of(plan.ids, || spare::lay_in(disk_mount))?;
    }
    Ok(())
}

fn clone_failure(source: std::io::Error) -> RuntimeError {
    match source.raw_os_error() {
        Some(libc::ENOSYS) => RuntimeError::Unsupported {
            what: "sandboxes".into(),
            why: "clone3 is blocked; are we in a container with a system call filter?".into(),
        },
        Some(libc::ENOSPC) => RuntimeError::Unsupported {
            what: "another sandbox".into(),
            why: "a limit of namespaces is reached; see /proc/sys/user/max_*_namespaces".into(),
        },
        _ => RuntimeError::io("start a process in new namespaces")(source),
    }
}
