//! The child's way from a copy of the spawner to process 1 of a sandbox.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    UnshareFlags, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Plan;
use super::attach::{attach_at, ensure_tmp, work_dir};
use super::handshake::{ChildEnd, Given, OUT_OF_THE_WAY};
use super::interior::Interior;
use crate::mount::attach;
use crate::sys::{self, Disposition, LISTENER_FD};
use crate::{RuntimeError, User};

/// A step that is done in two places.
const ENTER: &str = "enter the sandbox's cgroups";

/// What a process inside may have, or less where we have less ourselves. Waiting signals, bytes in message queues and
/// bytes of locked memory are counted by user, and are memory of the kernel or memory that it cannot take back.
const MAXIMA: [(Resource, u64); 5] = [
    (Resource::Core, 0),
    (Resource::Nofile, 20_000),
    (Resource::Sigpending, 8_192),
    (Resource::Msgqueue, 819_200),
    (Resource::Memlock, 8 << 20),
];

/// What uid 0 of a sandbox may do to its own files, ids and ports: Docker's set without `NET_RAW` (forging packets),
/// `MKNOD` (devices come from us), `SYS_CHROOT` and `AUDIT_WRITE` (nothing legitimate needs them here).
const ROOT_CAPABILITIES: u32 = 1 << 0 // CHOWN
    | 1 << 1 // DAC_OVERRIDE
    | 1 << 3 // FOWNER
    | 1 << 4 // FSETID
    | 1 << 5 // KILL
    | 1 << 6 // SETGID
    | 1 << 7 // SETUID
    | 1 << 8 // SETPCAP
    | 1 << 10 // NET_BIND_SERVICE
    | 1 << 31; // SETFCAP

/// The child in its new namespaces, before it has become anybody.
pub(super) struct Child<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) socket: OwnedFd,
}

impl Child<'_> {
    /// Does the child's turns. Ends in the toolbox, or in a report of what failed.
    pub(super) fn run(self) -> ! {
        let parent = ChildEnd::new(self.socket.as_fd());
        let entered = self.plan.doors.enter_first().map_err(RuntimeError::io(ENTER));
        parent.wait_for_go_ahead();
        match entered.and_then(|()| become_process_one(self.plan, &parent)) {
            Ok(never) => match never {},
            Err(error) => parent.fail(error),
        }
    }
}

fn become_process_one(plan: &Plan<'_>, parent: &ChildEnd) -> Result<Infallible, RuntimeError> {
    let spec = plan.spec;
    leave_the_spawner()?;
    own_names(&spec.hostname)?;
    let interior = Interior::prepare(spec.limits)?;
    let given = parent.wait_for_mounts();
    enter_root(&given, &interior)?;
    let directory = work_dir(given.root.as_fd(), Path::new(&spec.work_dir), spec.user)?;
    drop((given, interior));
    stand_in(directory.as_fd())?;
    let args = sys::c_strings(spec.args.iter().cloned()).map_err(RuntimeError::io("pass the arguments"))?;
    let env = sys::c_strings(spec.env.iter().map(|(name, value)| format!("{name}={value}")))
        .map_err(RuntimeError::io("pass the environment"))?;
    enter_cgroups(plan)?;
    let toolbox = arrange_descriptors(plan).map_err(RuntimeError::io("arrange the descriptors"))?;
    give_up_rights(spec.user).map_err(RuntimeError::io("give up rights"))?;
    sys::install_filter(plan.filter).map_err(RuntimeError::io("install the system call filter"))?;
    parent.announce_exec();
    Err(RuntimeError::io("execute the toolbox")(sys::execute(toolbox.as_fd(), &args, &env)))
}

/// Becomes root of the new user namespace, and sheds what a fork inherits.
fn leave_the_spawner() -> Result<(), RuntimeError> {
    let failed = || RuntimeError::io("become the sandbox's root");
    let (root, group) = (Uid::ROOT, Gid::ROOT);
    set_thread_res_gid(group, group, group).map_err(failed())?;
    set_thread_res_uid(root, root, root).map_err(failed())?;
    set_thread_groups(&[]).map_err(failed())?;
    rustix::process::setsid().map_err(failed())?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    for signal in 1..=31 {
        sys::set_signal(signal, &Disposition::Default);
    }
    sys::unblock_signals();
    Ok(())
}

/// Gives the sandbox its name and its loopback interface.
fn own_names(hostname: &str) -> Result<(), RuntimeError> {
    rustix::system::sethostname(hostname.as_bytes()).map_err(RuntimeError::io("set the host name"))?;
    raise_loopback().map_err(RuntimeError::io("raise the loopback interface"))
}

fn raise_loopback() -> std::io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::raise_loopback(socket.as_fd())
}

/// Enters the remaining cgroups, and makes them the root of what the sandbox sees of cgroups.
fn enter_cgroups(plan: &Plan<'_>) -> Result<(), RuntimeError> {
    plan.doors.enter_others().map_err(RuntimeError::io(ENTER))?;
    sys::enter_new_namespace(UnshareFlags::NEWCGROUP).map_err(RuntimeError::io("make a cgroup namespace"))
}

/// Attaches all mounts and makes the new root the root, leaving nothing of the host's tree.
fn enter_root(given: &Given, interior: &Interior) -> Result<(), RuntimeError> {
    let Given { root, machine, extra } = given;
    let failed = || RuntimeError::io("attach the new root");
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE).map_err(failed())?;
    let host = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed())?;
    attach(root.as_fd(), host.as_fd()).map_err(failed())?;
    drop(host);
    interior.attach(root.as_fd(), machine)?;
    for (place, mount) in extra {
        attach_at(root.as_fd(), place, mount.as_fd())?;
    }
    ensure_tmp(root.as_fd())?;
    let failed = || RuntimeError::io("make the new root the root");
    rustix::process::fchdir(root).map_err(failed())?;
    rustix::process::pivot_root(".", ".").map_err(failed())?;
    // The old root now lies on top of the new one.
    unmount(".", UnmountFlags::DETACH).map_err(failed())?;
    rustix::process::chdir("/").map_err(failed())
}

/// Enters the working directory, and makes sure that it is inside.
fn stand_in(directory: BorrowedFd<'_>) -> Result<(), RuntimeError> {
    let failed = || RuntimeError::io("enter the working directory");
    rustix::process::fchdir(directory).map_err(failed())?;
    let path = rustix::process::getcwd(Vec::new()).map_err(failed())?;
    if path.to_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(RuntimeError::BadRootfs("the working directory is outside the root".into()))
}

/// The null device at 0, 1 and 2, the listener at 3, and everything above for ourselves alone.
fn arrange_descriptors(plan: &Plan<'_>) -> std::io::Result<OwnedFd> {
    let toolbox = rustix::io::fcntl_dupfd_cloexec(&plan.toolbox, OUT_OF_THE_WAY)?;
    let null =
        rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    for standard in 0..LISTENER_FD {
        sys::duplicate_onto(null.as_fd(), standard)?;
    }
    sys::duplicate_onto(plan.listener.as_fd(), LISTENER_FD)?;
    sys::close_on_exec_from(LISTENER_FD + 1)?;
    Ok(toolbox)
}

/// Limits, capabilities and ids; what comes after needs none of them.
fn give_up_rights(user: User) -> std::io::Result<()> {
    for (resource, most) in MAXIMA {
        let limit = Some(getrlimit(resource).maximum.unwrap_or(u64::MAX).min(most));
        setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
    }
    // The spawner is preferred by the scheduler; sandboxes are not.
    rustix::process::setpriority_process(None, 0)?;
    let kept = if user.uid == 0 { ROOT_CAPABILITIES } else { 0 };
    sys::drop_bounding_except(kept)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&[gid])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    sys::set_capabilities(kept)?;
    set_no_new_privs(true)?;
    Ok(())
}
