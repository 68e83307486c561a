//! Process 1 of a test's sandbox: tries what its argument says and reports over descriptor 3, one line a finding.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Error, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::process::{Command, ExitCode};

pub(crate) const PROBE_ARG: &str = "__probe";

pub(crate) fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let what = args.next().and_then(|arg| arg.into_string().ok()).unwrap_or_default();
    let report = match what.as_str() {
        "descriptors" => descriptors(),
        "calls" => calls(),
        "attack" => attack_from_a_child(),
        "inotify" => inotify(1),
        "inotify hog" => inotify(100_000),
        other => format!("unknown probe {other}\n"),
    };
    // SAFETY: descriptor 3 is open for as long as the process lives, and never closed here.
    let mut output = ManuallyDrop::new(unsafe { File::from_raw_fd(3) });
    let written = output.write_all(report.as_bytes());
    if what == "inotify hog" {
        // What it has taken counts for as long as it lives.
        loop {
            std::thread::park();
        }
    }
    written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Takes that many inotify instances, or as many as there are.
fn inotify(count: usize) -> String {
    let taken = (0..count).map_while(|_| call(libc::SYS_inotify_init1, [0; 5]).ok()).count();
    format!("{taken} {}\n", if taken == count { "all".into() } else { Error::last_os_error().to_string() })
}

fn descriptors() -> String {
    let mut lines: Vec<String> = fs::read_dir("/proc/self/fd")
        .expect("descriptors")
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, fs::read_link(entry.path()).ok()?)))
        // The one that lists them is gone, or points to the list.
        .filter(|(_, target)| !target.starts_with("/proc"))
        .map(|(name, target)| format!("{name} {}\n", target.display()))
        .collect();
    lines.sort();
    lines.concat()
}

/// A system call with up to five arguments, and the error it must fail with.
type Call = (&'static str, i64, [i64; 5], i32);

fn calls() -> String {
    let path = c"/tmp".as_ptr() as i64;
    let new_user = i64::from(libc::CLONE_NEWUSER);
    let new_net = i64::from(libc::CLONE_NEWNET | libc::SIGCHLD);
    let list: [Call; 24] = [
        ("mount", libc::SYS_mount, [path, path, path, 0, 0], libc::EPERM),
        ("umount2", libc::SYS_umount2, [path, 0, 0, 0, 0], libc::EPERM),
        ("fsopen", libc::SYS_fsopen, [path, 0, 0, 0, 0], libc::EPERM),
        ("open_tree", libc::SYS_open_tree, [-100, path, 1, 0, 0], libc::EPERM),
        ("mount_setattr", libc::SYS_mount_setattr, [-100, path, 0, 0, 0], libc::EPERM),
        ("pivot_root", libc::SYS_pivot_root, [path, path, 0, 0, 0], libc::EPERM),
        ("unshare user", libc::SYS_unshare, [new_user, 0, 0, 0, 0], libc::EPERM),
        ("clone net", libc::SYS_clone, [new_net, 0, 0, 0, 0], libc::EPERM),
        ("clone3", libc::SYS_clone3, [0, 0, 0, 0, 0], libc::ENOSYS),
        ("setns", libc::SYS_setns, [0, 0, 0, 0, 0], libc::EPERM),
        ("bpf", libc::SYS_bpf, [0, 0, 0, 0, 0], libc::EPERM),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0], libc::EPERM),
        ("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0, 0], libc::EPERM),
        ("perf_event_open", libc::SYS_perf_event_open, [0, 0, 0, 0, 0], libc::EPERM),
        ("keyctl", libc::SYS_keyctl, [0, 0, 0, 0, 0], libc::EPERM),
        ("add_key", libc::SYS_add_key, [path, path, 0, 0, 0], libc::EPERM),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [0, 0, 0, 0, 0], libc::EPERM),
        ("init_module", libc::SYS_init_module, [0, 0, path, 0, 0], libc::EPERM),
        ("syslog", libc::SYS_syslog, [3, 0, 0, 0, 0], libc::EPERM),
        ("packet socket", libc::SYS_socket, [17, 3, 0, 0, 0], libc::EAFNOSUPPORT),
        ("vsock socket", libc::SYS_socket, [40, 1, 0, 0, 0], libc::EAFNOSUPPORT),
        ("crypto socket", libc::SYS_socket, [38, 5, 0, 0, 0], libc::EAFNOSUPPORT),
        ("raw socket", libc::SYS_socket, [2, 3, 1, 0, 0], libc::EPERM),
        ("type into the terminal", libc::SYS_ioctl, [0, 0x5412, path, 0, 0], libc::EPERM),
    ];
    list.into_iter().map(|(name, number, args, errno)| verdict(name, &call(number, args), errno)).collect()
}

/// The error of a system call, or its result as text.
pub(crate) fn call(number: i64, args: [i64; 5]) -> Result<i64, Error> {
    // SAFETY: every call that is tried is refused before the kernel looks at memory; where it would not be, the
    // pointers are null or to a C string.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4]) };
    if result == -1 { Err(Error::last_os_error()) } else { Ok(result) }
}

fn verdict(name: &str, result: &Result<i64, Error>, errno: i32) -> String {
    match result {
        Err(error) if error.raw_os_error() == Some(errno) => format!("ok {name}\n"),
        other => format!("WRONG {name}: {other:?}\n"),
    }
}

/// Attacks come from what process 1 starts, as a user's commands do.
fn attack_from_a_child() -> String {
    // We cannot be executed again, as nobody inside can open us; so the child is a fork.
    // SAFETY: the process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            // What a command is: an ordinary process that the exec has made dumpable.
            // SAFETY: plain numbers.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
            let report = attacks();
            // SAFETY: as in `main`.
            let mut output = ManuallyDrop::new(unsafe { File::from_raw_fd(3) });
            let _ = output.write_all(report.as_bytes());
            // SAFETY: no preconditions.
            unsafe { libc::_exit(0) }
        }
        child => {
            // SAFETY: a null status is allowed.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            String::from("ok process 1 is still there\n")
        }
    }
}

fn attacks() -> String {
    let refused = |name: &str, result: Result<(), Error>| match result {
        Err(_) => format!("ok {name}\n"),
        Ok(()) => format!("WRONG {name}: it worked\n"),
    };
    let open = |path: &str| File::open(path).map(drop);
    // SAFETY: PTRACE_ATTACH takes a process number.
    let attach = match unsafe { libc::ptrace(libc::PTRACE_ATTACH, 1, 0, 0) } {
        -1 => Err(Error::last_os_error()),
        _ => Ok(()),
    };
    let limits = [0_u64; 2];
    let first = [1_u64];
    let mask = first.as_ptr() as i64;
    // A command has a group of its own; from there, any process of a session could go into the group of another.
    let _ = call(libc::SYS_setpgid, [0; 5]);
    let join = call(libc::SYS_setpgid, [0, 1, 0, 0, 0]).map(drop);
    let own = call(libc::SYS_setpriority, [i64::from(libc::PRIO_PGRP), 0, 5, 0, 0]);
    // The kernel's answer is 20 less the priority.
    let left_alone = matches!((own, call(libc::SYS_getpriority, [0, 1, 0, 0, 0])), (Ok(0), Ok(20)));
    let limit = |process: i64| {
        let files = i64::from(libc::RLIMIT_NOFILE);
        call(libc::SYS_prlimit64, [process, files, limits.as_ptr() as i64, 0, 0]).map(drop)
    };
    let worsen = |process: i64| call(libc::SYS_setpriority, [0, process, 19, 0, 0]).map(drop);
    let everybody = i64::from(libc::PRIO_USER);
    let killed = call(libc::SYS_kill, [1, i64::from(libc::SIGKILL), 0, 0, 0]);
    let steal = Command::new("/usr/bin/bash").args(["-c", "echo stolen > /proc/1/fd/3"]).status();
    let steal = steal.and_then(|status| if status.success() { Ok(()) } else { Err(Error::other("failed")) });
    [
        refused("read its memory", open("/proc/1/mem")),
        refused("write its program", fs::OpenOptions::new().write(true).open("/proc/1/exe").map(drop)),
        refused("read its program", fs::read("/proc/1/exe").map(drop)),
        refused("read its environment", fs::read("/proc/1/environ").map(drop)),
        refused("list its descriptors", fs::read_dir("/proc/1/fd").map(drop)),
        refused("write to its listener", steal),
        refused("trace it", attach),
        refused("take its limits", limit(1)),
        refused("take a thread's limits", limit(2)),
        refused("take its priority", worsen(1)),
        refused("take a thread's priority", worsen(2)),
        refused("join its group", join),
        String::from(if left_alone { "ok its priority\n" } else { "WRONG its priority is another\n" }),
        refused("take everybody's priority", call(libc::SYS_setpriority, [everybody, 0, 19, 0, 0]).map(drop)),
        refused("take its processor", call(libc::SYS_sched_setaffinity, [2, 8, mask, 0, 0]).map(drop)),
        // The kernel takes the signal and drops it: process 1 of a namespace is not killed from inside.
        format!("ok kill gave {killed:?}\n"),
    ]
    .concat()
}
