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
    "openat",
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

/// No create takes as long as this, whatever fails.
const LIMIT: Duration = Duration::from_secs(30);

fn every_call_of_a_create_may_fail(world: &World) {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("\nSKIPPED: failing system calls need strace\n");
        return;
    }
    let most = if std::env::var_os("SANDGATE_TEST_LONG").is_some() { 50 } else { 4 };
    let spec = world.spec("injected", "sleep 1000");
    // Makes the disk's template, so that all that follow make the same calls.
    world.create(&spec);
    world.delete(&spec);
    let (mut cases, mut refused) = (0, 0);
    for call in CALLS {
        for number in 1..=most {
            let case = fail(world, &spec, call, number);
            if !case.injected {
                assert!(case.error.is_none(), "{call} {number}: {:?}", case.error);
                break;
            }
            cases += 1;
            refused += usize::from(case.error.is_some());
        }
    }
    println!("{cases} failures injected, {refused} creates refused");
    assert!(refused > CALLS.len(), "most calls are needed");
}

/// What became of one create.
struct Case {
    /// Whether the call was made that often.
    injected: bool,
    error: Option<RuntimeError>,
}

/// Makes the call fail the `number`th time that the spawner or the child makes it.
fn fail(world: &World, spec: &ContainerSpec, call: &str, number: u32) -> Case {
    let injector = Injector::attach(world, call, number);
    let (sender, answer) = mpsc::channel();
    let result = thread::scope(|scope| {
        scope.spawn(move || sender.send(world.try_create(spec).map(drop)));
        let answer = answer.recv_timeout(LIMIT);
        // Before anything else: as long as it is there nobody can be sure of anything.
        let injected = injector.detach();
        (answer, injected)
    });
    let (Ok(result), injected) = result else { panic!("{call} {number}: no answer in {LIMIT:?}") };
    let error = result.err();
    if let Some(error) = &error {
        assert!(names_a_step(error), "{call} {number}: {}", chain(error));
    }
    world.delete(spec);
    world.assert_empty();
    world.create(spec);
    world.delete(spec);
    world.assert_empty();
    Case { injected, error }
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
