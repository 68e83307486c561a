//! Thin wrappers of the system calls that no library offers, and nothing else. The crate's `unsafe` lives here.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// The descriptor that process 1 finds its listener at.
pub(crate) const LISTENER_FD: RawFd = 3;

/// A filter program in the kernel's form.
pub(crate) type Filter = [libc::sock_filter];

/// What `clone3` made: the new process, or the knowledge of being it.
pub(crate) enum Cloned {
    Parent { pid: Pid, pidfd: OwnedFd },
    Child,
}

/// Forks into new namespaces (`CLONE_NEW*` in `flags`) and directly into the cgroup of version 2, if one is given.
///
/// The caller has one thread, so the child may go on as ordinary code.
pub(crate) fn clone_into(flags: libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is a valid `clone_args`; it has integer fields alone.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = widen(flags | libc::CLONE_PIDFD) | cgroup.map_or(0, |_| CLONE_INTO_CGROUP);
    args.pidfd = ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = widen(libc::SIGCHLD);
    args.cgroup = cgroup.map_or(0, |cgroup| widen(cgroup.as_raw_fd()));
    // SAFETY: without CLONE_VM this is a fork: the child gets a copy of the stack and returns here. `args` and `pidfd`
    // outlive the call, and the size is that of the struct.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) })?;
    let Some(pid) = Pid::from_raw(narrow(pid)) else { return Ok(Cloned::Child) };
    // SAFETY: the kernel has stored a new descriptor there, which nobody else owns.
    Ok(Cloned::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// How the kernel refuses a `clone3` that asks for nothing: as invalid, unless it does not know the call at all.
pub(crate) fn refusal_of_clone3() -> io::Error {
    // SAFETY: a size of zero is refused before the null pointer is looked at, so no process is made.
    unsafe { libc::syscall(libc::SYS_clone3, ptr::null::<libc::clone_args>(), 0_usize) };
    io::Error::last_os_error()
}

/// The version of Landlock that the kernel speaks.
pub(crate) fn landlock_version() -> io::Result<i64> {
    const ASK_FOR_VERSION: u32 = 1;
    // SAFETY: with this flag the kernel wants no attributes and makes nothing; it answers with a number.
    check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0_usize, ASK_FOR_VERSION)
    })
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Moves the only thread into a new namespace of the given kind.
pub(crate) fn enter_new_namespace(kind: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: namespaces are views of the system; of the flags, the callers use none that unshares descriptors.
    unsafe { unshare_unsafe(kind) }
}

/// Forks; `None` in the child. Only for a process with one thread.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the process has a single thread, so no lock is held by a thread that the child lacks.
    Ok(Pid::from_raw(narrow(check(i64::from(unsafe { libc::fork() }))?)))
}

/// Ends the process at once, without running destructors or exit handlers of the process it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Sets attributes (`MOUNT_ATTR_*`) of a mount, and maps its owners through `user_ns` if one is given.
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    set: u64,
    user_ns: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set | user_ns.map_or(0, |_| libc::MOUNT_ATTR_IDMAP),
        attr_clr: 0,
        propagation: 0,
        userns_fd: user_ns.map_or(0, |ns| widen(ns.as_raw_fd())),
    };
    // SAFETY: the path is an empty C string, and the size is that of the struct, which outlives the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}

/// Executes the file behind `program`. Returns only to say why it failed.
pub(crate) fn execute(program: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> io::Error {
    let args = pointers(args);
    let env = pointers(env);
    // SAFETY: both vectors end with a null pointer and point to C strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// Installs a system call filter on the only thread. `no_new_privs` must be set.
pub(crate) fn install_filter(filter: &Filter) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program points to `length` instructions, which the kernel copies and does not write to.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })?;
    Ok(())
}

/// Marks every descriptor from `first` on to be closed by the next exec.
pub(crate) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the call takes plain numbers; marking descriptors invalidates none.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })?;
    Ok(())
}

/// Closes every descriptor from `first` on. For the very beginning of a process, when nothing owns one of them yet.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the call takes plain numbers; the documentation says when nobody misses what it closes.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) })?;
    Ok(())
}

/// Makes `target` a duplicate of `fd` that survives exec. Whatever `target` was is closed, so its owner must not be
/// used any more; the caller is about to exec.
pub(crate) fn duplicate_onto(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == target {
        // SAFETY: F_SETFD takes a plain number.
        check(i64::from(unsafe { libc::fcntl(target, libc::F_SETFD, 0) }))?;
        return Ok(());
    }
    // SAFETY: dup2 takes plain numbers; the documentation above says what it means for the target's owner.
    check(i64::from(unsafe { libc::dup2(fd.as_raw_fd(), target) }))?;
    Ok(())
}

/// What to do with a signal that the Rust runtime or a caller of ours may have changed.
pub(crate) enum Disposition {
    Default,
    Ignore,
}

/// Sets the disposition of one signal.
pub(crate) fn set_signal(signal: libc::c_int, disposition: &Disposition) {
    let handler = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
    };
    // SAFETY: neither constant is a function that could run; a bad signal number just fails.
    unsafe { libc::signal(signal, handler) };
}

/// Unblocks every signal of the thread.
pub(crate) fn unblock_signals() {
    // SAFETY: an all-zero set is the empty set; the pointer outlives the call.
    unsafe {
        let empty: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, ptr::null_mut());
    }
}

/// A descriptor that is readable when a child has ended, was stopped, or goes on. The signal itself stays away.
pub(crate) fn children_signal() -> io::Result<OwnedFd> {
    // SAFETY: an all-zero set is the empty set; it outlives the calls, which read it.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    let fd = narrow(check(i64::from(fd))?);
    // SAFETY: the kernel has just made it, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes charge of a descriptor that this process was started with. For the beginning of a process, once for each number:
/// nothing else may own it.
pub(crate) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes plain numbers, and fails for what is not open.
    check(i64::from(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }))?;
    // SAFETY: it is open, and the documentation says that nobody owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Raises the loopback interface of the current network namespace.
pub(crate) fn raise_loopback(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = IFF_UP;
    // SAFETY: the kernel reads one `ifreq`, which outlives the call.
    check(i64::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }))?;
    Ok(())
}

/// `IFF_UP`, in the width of the field.
const IFF_UP: libc::c_short = 1;

/// The number of a loop device that is free now (it may not be for long).
pub(crate) fn free_loop_device(control: BorrowedFd<'_>) -> io::Result<i64> {
    // SAFETY: the request takes no argument.
    check(i64::from(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) }))
}

/// Backs the loop device with `file`. The device lets go of it when its last user closes.
pub(crate) fn configure_loop(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero is a valid `LoopConfig`; it has integers and arrays of them alone.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = file.as_raw_fd().cast_unsigned();
    config.block_size = 4096;
    config.info.flags = LO_FLAGS_AUTOCLEAR;
    // SAFETY: the struct has the kernel's layout and outlives the call.
    check(i64::from(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) }))?;
    Ok(())
}

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// The system call's own convention: -1 and `errno`.
fn check(result: i64) -> io::Result<i64> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A flag set or a descriptor, neither of which is negative, in the kernel's wide form.
fn widen(number: libc::c_int) -> u64 {
    u64::from(number.cast_unsigned())
}

/// A process id, which the kernel keeps below 2^22.
fn narrow(pid: i64) -> i32 {
    i32::try_from(pid).unwrap_or_default()
}

/// `strings` for the kernel; a zero byte was refused with the specification.
pub(crate) fn c_strings<I: IntoIterator<Item = String>>(strings: I) -> io::Result<Vec<CString>> {
    strings.into_iter().map(|string| CString::new(string).map_err(io::Error::from)).collect()
}

/// The highest capability number that the kernels of today know is far below this.
const CAPABILITY_NUMBERS: std::ops::Range<u32> = 0..64;

/// Removes all capabilities from the bounding set but `kept`, all of which are among the first 32.
pub(crate) fn drop_bounding_except(kept: u32) -> io::Result<()> {
    let is_kept = |capability: &u32| kept.checked_shr(*capability).is_some_and(|bits| bits & 1 == 1);
    for capability in CAPABILITY_NUMBERS.filter(|capability| !is_kept(capability)) {
        if !drop_bounding(capability)? {
            break;
        }
    }
    Ok(())
}

/// Removes one capability from the bounding set; `false` when the kernel has no such capability.
fn drop_bounding(capability: u32) -> io::Result<bool> {
    // SAFETY: the call takes plain numbers.
    match check(i64::from(unsafe {
        libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0)
    })) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets the effective and permitted capabilities of the thread to `kept`, all of which are among the first 32, and
/// empties the inheritable ones.
pub(crate) fn set_capabilities(kept: u32) -> io::Result<()> {
    let header: [u32; 2] = [0x2008_0522, 0];
    let data: [u32; 6] = [kept, kept, 0, 0, 0, 0];
    // SAFETY: version 3 of the interface wants a header of two words and data of six, which these are.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) })?;
    Ok(())
}
