//! Every system call that a create makes, made to fail: the answer is an error that names a step, nothing is left of the
//! attempt, and the next create works. `strace` makes the calls fail, in the spawner and in the child.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandgate_runtime::{ContainerSpec, RuntimeError};

use crate::runner::Test;
use crate::world::{World, chain, until};

pub(crate) const TESTS: &[Test] = &[("every_call_of_a_create_may_fail", every_call_of_a_create_may_fail)];

/// The calls, several under one count where systems differ in which they make.
const CALLS: [&str; 15] = [
    "clone3",
    "open,openat",
    "openat2",
    "mkdir,mkdirat",
    "write",
    "setxattr",
    "sendmsg",
    "recvmsg",
    "fsopen",
    "fsconfig",
    "fsmount",
    "open_tree",
    "mount_setattr",
    "move_mount",
    "pivot_root",
];

/// More of them, for the long checks.
const MORE: [&str; 12] = [
    "socketpair,socket",
    "ioctl",
    "flock",
    "fstat,newfstatat,fstatfs,statx",
    "dup2,close_range",
    "read",
    "unshare",
    "sethostname,setsid,setgroups",
    "mount,umount2,chdir,fchdir,getcwd",
    "capset,seccomp,prlimit64,setpriority",
    "execveat",
    RIGHTS,
];

/// A spawner that cannot become itself again ends, and the call is made anew with the next one.
const RIGHTS: &str = "prctl,setresuid,setresgid";

/// No create takes as long as this, whatever fails.
const LIMIT: Duration = Duration::from_secs(30);

fn every_call_of_a_create_may_fail(world: &World) {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("\nSKIPPED: failing system calls need strace\n");
        return;
    }
    let spec = world.spec("injected", "sleep 1000");
    // Makes the disk's template, so that all that follow make the same calls.
    world.create(&spec);
    world.delete(&spec);
    let (more, most) =
        if std::env::var_os("SANDGATE_TEST_LONG").is_some() { (&MORE[..], 50) } else { (&[][..], 4) };
    let (mut injected, mut refused) = (0, 0);
    for call in CALLS.iter().chain(more) {
        let cases = (1..=most).map(|number| fail(world, &spec, call, number));
        for case in cases.take_while(|case| case.injected) {
            injected += 1;
            refused += usize::from(case.refused);
        }
    }
    println!("{injected} failures injected, {refused} creates refused");
    assert!(refused > CALLS.len(), "most calls are needed");
}

/// What became of one create.
struct Case {
    /// Whether the call was made that often.
    injected: bool,
    refused: bool,
}

/// Makes the call fail the `number`th time that the spawner or the child makes it.
fn fail(world: &World, spec: &ContainerSpec, call: &str, number: u32) -> Case {
    let injector = Injector::attach(world, call, number);
    let spawner = injector.spawner;
    let (sender, answer) = mpsc::channel();
    let (result, injected) = thread::scope(|scope| {
        scope.spawn(move || sender.send(world.try_create(spec).map(drop)));
        let answer = answer.recv_timeout(LIMIT);
        // Before anything else is asked of the spawner, which would fail as well.
        (answer, injector.detach())
    });
    let result = result.unwrap_or_else(|_| panic!("{call} {number}: no answer in {LIMIT:?}"));
    if let Err(error) = &result {
        assert!(injected && names_a_step(error), "{call} {number}: {}", chain(error));
    }
    assert!(call == RIGHTS || world.spawner_pid() == Some(spawner), "{call} {number}: the spawner has ended");
    world.delete(spec);
    world.assert_empty();
    world.create(spec);
    world.delete(spec);
    world.assert_empty();
    Case { injected, refused: result.is_err() }
}

fn names_a_step(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::Io { .. } | RuntimeError::Unsupported { .. } | RuntimeError::DiedInSetup(_))
}

/// A `strace` of the spawner and of all that it starts.
struct Injector {
    strace: Child,
    spawner: i32,
    log: PathBuf,
}

impl Injector {
    fn attach(world: &World, call: &str, number: u32) -> Self {
        let spawner = world.spawner_pid().expect("a spawner");
        let log = world.path("strace.log");
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-p", &spawner.to_string(), "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error=EIO:when={number}"), "-o"])
            .arg(&log)
            .stdin(Stdio::null())
            .spawn()
            .expect("strace");
        let injector = Self { strace, spawner, log };
        until("it is traced", || injector.tracer() != Some(0));
        injector
    }

    /// Whoever traces the spawner, if that lives.
    fn tracer(&self) -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.spawner)).ok()?;
        status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
    }

    /// Lets everybody go; whether a call was made to fail.
    fn detach(mut self) -> bool {
        let pid = Pid::from_child(&self.strace);
        // It may have ended with the spawner.
        let _ = kill_process(pid, Signal::INT);
        self.strace.wait().expect("strace ends");
        until("it is not traced", || matches!(self.tracer(), None | Some(0)));
        fs::read_to_string(&self.log).expect("a log").contains("(INJECTED)")
    }
}
