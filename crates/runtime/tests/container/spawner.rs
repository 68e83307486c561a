//! The spawner's own life: it outlives its clients, is outlived by its sandboxes, and leaves when unused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandgate_runtime::{Exit, RuntimeError, Spawner, SpawnerOptions};

use crate::runner::Test;
use crate::world::{World, children, options, until};

pub(crate) const TESTS: &[Test] = &[
    ("it_has_one_thread_and_no_environment", it_has_one_thread_and_no_environment),
    ("sandboxes_survive_it_and_are_adopted", sandboxes_survive_it_and_are_adopted),
    ("its_death_at_any_moment_leaves_nothing_half_made", its_death_at_any_moment_leaves_nothing_half_made),
    ("there_is_only_one", there_is_only_one),
    ("one_that_is_killed_at_its_start_is_started_again", one_that_is_killed_at_its_start_is_started_again),
    ("it_leaves_when_unused", it_leaves_when_unused),
    ("it_outlives_its_clients", it_outlives_its_clients),
    ("garbage_from_a_client_harms_nobody", garbage_from_a_client_harms_nobody),
];

fn it_has_one_thread_and_no_environment(world: &World) {
    let pid = world.spawner_pid().expect("a spawner");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    assert!(status.contains("Threads:\t1\n"), "{status}");
    assert_eq!(fs::read(format!("/proc/{pid}/environ")).expect("environ"), b"");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).expect("cwd").to_str(), Some("/"));
    for fd in 0..3 {
        assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{fd}")).expect("fd").to_str(), Some("/dev/null"));
    }
    // Nothing but its own: the directory, the lock, the listener and the client.
    let handles = children(Path::new(&format!("/proc/{pid}/fd")));
    assert!(handles.len() <= 3 + 3 + 16, "{handles:?}");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let session = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3)).map(str::to_owned);
    assert_eq!(session, Some(pid.to_string()), "a session of its own");
}

fn sandboxes_survive_it_and_are_adopted(world: &World) {
    let (keeps, dies, goes) = (
        world.spec("keeps", "echo before >&3; while sleep 0.01; do [ -e /tmp/go ] && break; done"),
        world.spec("dies", "sleep 1000"),
        world.spec("goes", "sleep 1000"),
    );
    let (first, output) = world.create(&keeps);
    let (second, _output) = world.create(&dies);
    let (third, _output) = world.create(&goes);
    assert_eq!(output.line(), "before");
    kill_spawner(world);
    let pid = |raw: i32| Pid::from_raw(raw).expect("a pid");
    // Dies while nobody looks after it.
    kill_process(pid(second.pid), Signal::KILL).expect("kill");
    until("it is gone", || fs::metadata(format!("/proc/{}", second.pid)).is_err());
    let list = world.spawner.list().expect("a new spawner");
    let living: Vec<(&str, i32)> =
        list.iter().filter(|s| s.alive).map(|s| (s.name.as_str(), s.pid)).collect();
    assert_eq!(living, [("goes", third.pid), ("keeps", first.pid)]);
    let (again, _output) = world.create(&keeps);
    assert_eq!((again.pid, again.existing), (first.pid, true));
    // Their ids are taken.
    let newcomer = world.spec("newcomer", "sleep 1000");
    let (fourth, _output) = world.create(&newcomer);
    let range = |pid: i32| fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("a map");
    assert!(range(fourth.pid) != range(first.pid) && range(fourth.pid) != range(third.pid));
    kill_process(pid(first.pid), Signal::KILL).expect("kill");
    let exit =
        || world.spawner.list().expect("list").into_iter().find(|s| s.name == "keeps").and_then(|s| s.exit);
    until("its end is known, and how is not", || exit() == Some(Exit::Unknown));
    world.spawner.kill(&goes.name).expect("kill");
    assert!(world.loops().len() <= 1, "{:?}", world.loops());
    for spec in [&keeps, &dies, &goes, &newcomer] {
        world.delete(spec);
    }
}

/// Killed at another moment in each round, often in the middle of making a sandbox.
fn its_death_at_any_moment_leaves_nothing_half_made(world: &World) {
    for round in 0..12 {
        let specs: Vec<_> = (0..4).map(|n| world.spec(&format!("half-{n}"), "sleep 1000")).collect();
        let victim = world.spawner_pid().expect("a spawner");
        thread::scope(|scope| {
            let makers: Vec<_> = specs.iter().map(|spec| scope.spawn(|| world.try_create(spec))).collect();
            // Not a wait for anything: what differs from round to round is where the blow falls.
            thread::sleep(Duration::from_millis(2 * round));
            kill_process(Pid::from_raw(victim).expect("a pid"), Signal::KILL).expect("kill");
            for maker in makers {
                let made = maker.join().expect("no panic");
                assert!(matches!(made, Ok(_) | Err(RuntimeError::SpawnerLost)), "{:?}", made.err());
            }
        });
        for spec in &specs {
            world.delete(spec);
        }
        world.assert_empty();
    }
}

fn there_is_only_one(world: &World) {
    kill_spawner(world);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let spawner =
                    Spawner::connect(options(world.dir.path(), &world.instance)).expect("a spawner");
                spawner.list().expect("list");
            });
        }
    });
    let pid = world.spawner_pid().expect("a spawner");
    world.spawner.list().expect("list");
    assert_eq!(world.spawner_pid(), Some(pid));
}

fn one_that_is_killed_at_its_start_is_started_again(world: &World) {
    kill_spawner(world);
    let connect = |script: &str| {
        let program = world.path("starter");
        let _ = fs::remove_file(&program);
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("permissions");
        let options = SpawnerOptions { program, ..options(world.dir.path(), &world.instance) };
        Spawner::connect(options)
    };
    let error = connect("exit 7").expect_err("it cannot start");
    assert!(error.to_string().contains("exit status: 7): it did not say why"), "{error}");
    let (mark, program) = (world.path("mark"), std::env::current_exe().expect("our program"));
    let (mark, program) = (mark.display(), program.display());
    let script = format!("[ -e {mark} ] && exec {program} \"$@\"; : >{mark}; kill -9 $$");
    connect(&script).expect("a spawner").list().expect("list");
    world.spawner.list().expect("list");
}

fn it_leaves_when_unused(_shared: &World) {
    let world = World::new();
    let spec = world.spec("last", "sleep 1000");
    world.create(&spec);
    world.delete(&spec);
    world.end();
}

fn it_outlives_its_clients(_shared: &World) {
    let world = World::new();
    let spec = world.spec("alone", "sleep 1000");
    let (container, _output) = world.create(&spec);
    let pid = world.spawner_pid();
    let second = Spawner::connect(options(world.dir.path(), &world.instance)).expect("a second client");
    drop(second);
    assert_eq!(world.spawner_pid(), pid);
    assert!(fs::metadata(format!("/proc/{}", container.pid)).is_ok());
    world.delete(&spec);
    world.end();
}

fn garbage_from_a_client_harms_nobody(world: &World) {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    for garbage in [&b"garbage"[..], b"{}", b"\"List\"", b"{\"List\":{\"after\":null}}", &[0; 10_000]] {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("socket");
        connect(&socket, &SocketAddrUnix::new(world.path("run/spawner.sock")).expect("an address"))
            .expect("connect");
        rustix::io::write(&socket, garbage).expect("write");
        let mut answer = [0; 16];
        let end = rustix::io::read(&socket, &mut answer);
        assert!(matches!(end, Ok(0) | Err(_)), "it was answered");
    }
    let pid = world.spawner_pid();
    world.spawner.list().expect("list");
    assert_eq!(world.spawner_pid(), pid);
}

fn kill_spawner(world: &World) {
    let pid = world.spawner_pid().expect("a spawner");
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("kill");
    until("the spawner is gone", || world.spawner_pid() != Some(pid));
}
