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
    ("too_many_clients_are_turned_away", too_many_clients_are_turned_away),
    ("another_build_takes_over_in_the_same_process", another_build_takes_over_in_the_same_process),
    ("a_program_that_cannot_run_takes_nothing_over", a_program_that_cannot_run_takes_nothing_over),
    ("one_that_is_frozen_is_replaced", one_that_is_frozen_is_replaced),
    ("it_has_no_right_that_it_does_not_need", it_has_no_right_that_it_does_not_need),
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
    // Nothing but its own: the directory, the lock, the listener, the stage, what it waits on, and clients.
    let handles = children(Path::new(&format!("/proc/{pid}/fd")));
    assert!(handles.len() <= 3 + 6 + 16, "{handles:?}");
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

/// Whoever comes too late is cut off, and everybody else is served.
fn too_many_clients_are_turned_away(world: &World) {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let address = SocketAddrUnix::new(world.path("run/spawner.sock")).expect("an address");
    let sockets: Vec<_> = (0..600)
        .map(|_| {
            let flags = SocketFlags::CLOEXEC;
            let socket =
                socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("socket");
            connect(&socket, &address).expect("connect");
            socket
        })
        .collect();
    let mut answer = [0; 16];
    let last = sockets.last().expect("a socket");
    assert_eq!(rustix::io::read(last, &mut answer).unwrap_or(0), 0, "the last one is cut off");
    world.spawner.list().expect("an old client is served");
    drop(sockets);
    let spec = world.spec("after-the-crowd", "sleep 1000");
    world.create(&spec);
    world.delete(&spec);
}

/// The test's own program under another name, which is another file.
fn other_build(world: &World, name: &str) -> SpawnerOptions {
    let program = world.path(name);
    fs::copy(std::env::current_exe().expect("our program"), &program).expect("a copy");
    SpawnerOptions { program, ..options(world.dir.path(), &world.instance) }
}

fn another_build_takes_over_in_the_same_process(_shared: &World) {
    let world = World::new();
    let specs = [world.spec("first", "sleep 1000"), world.spec("second", "sleep 1000; exit 7")];
    let living = specs.each_ref().map(|spec| world.create(spec).0);
    let pid = world.spawner_pid().expect("a spawner");
    let mut watch = world.spawner.watch().expect("a watch");
    let newer = other_build(&world, "newer");
    let program = newer.program.clone();
    let client = Spawner::connect(newer).expect("the same spawner");
    assert_eq!(world.spawner_pid(), Some(pid), "the process is the same");
    assert_eq!(fs::read_link(format!("/proc/{pid}/exe")).expect("its program"), program);
    let alive: Vec<i32> = client.list().expect("list").iter().filter(|c| c.alive).map(|c| c.pid).collect();
    assert_eq!(alive, [living[0].pid, living[1].pid]);
    // Clients from before are still served. They are of the older build, so a new connection of theirs would take over again.
    assert_eq!(world.spawner.status("first").expect("status").map(|status| status.pid), Some(living[0].pid));
    // It is still their parent, so how they end is known; and whoever watched goes on to hear of it.
    kill_process(Pid::from_raw(living[0].pid).expect("a pid"), Signal::KILL).expect("kill");
    until("it is told", || watch.poll().expect("the connection lives").as_deref() == Some("first"));
    let exit = || client.status("first").expect("status").and_then(|status| status.exit);
    until("its end is known", || exit() == Some(Exit::Signal(9)));
    let third = world.spec("third", "sleep 1000");
    world.create(&third);
    // No descriptor of the take-over is left in it, nor in a sandbox.
    let handles = children(Path::new(&format!("/proc/{pid}/fd"))).len();
    assert!(handles < 40, "{handles} descriptors");
    for spec in specs.iter().chain([&third]) {
        world.delete(spec);
    }
    drop((client, watch));
    world.end();
}

fn a_program_that_cannot_run_takes_nothing_over(_shared: &World) {
    let world = World::new();
    let spec = world.spec("stays", "sleep 1000");
    let (container, _output) = world.create(&spec);
    let pid = world.spawner_pid();
    let program = world.path("no-program");
    fs::write(&program, "not a program").expect("a file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("permissions");
    let options = SpawnerOptions { program, ..options(world.dir.path(), &world.instance) };
    let client = Spawner::connect(options).expect("the spawner as it is");
    assert_eq!(client.list().expect("list")[0].pid, container.pid);
    assert_eq!(world.spawner_pid(), pid);
    let second = world.spec("inherits-nothing", "ls /proc/self/fd | wc -l >&3; sleep 1000");
    let (_container, output) = world.create(&second);
    assert!(output.line().parse::<usize>().expect("a number") <= 6, "a sandbox has inherited descriptors");
    world.delete(&spec);
    world.delete(&second);
    drop(client);
    world.end();
}

fn one_that_is_frozen_is_replaced(_shared: &World) {
    let world = World::new();
    let specs = ["one", "two"].map(|name| world.spec(name, "sleep 1000"));
    let before = specs.each_ref().map(|spec| world.create(spec).0.pid);
    let frozen = world.spawner_pid().expect("a spawner");
    kill_process(Pid::from_raw(frozen).expect("a pid"), Signal::STOP).expect("stop");
    let newcomer = world.spec("newcomer", "sleep 1000");
    world.create(&newcomer);
    assert_ne!(world.spawner_pid(), Some(frozen));
    let after =
        specs.each_ref().map(|spec| world.spawner.status(&spec.name).expect("status").expect("known").pid);
    assert_eq!(after, before, "its sandboxes were adopted");
    // A fresh client meets a frozen one as well.
    let frozen = world.spawner_pid().expect("a spawner");
    kill_process(Pid::from_raw(frozen).expect("a pid"), Signal::STOP).expect("stop");
    let client = Spawner::connect(options(world.dir.path(), &world.instance)).expect("a spawner");
    client.ping().expect("an answer");
    drop(client);
    for spec in specs.iter().chain([&newcomer]) {
        world.delete(spec);
    }
    world.end();
}

fn it_has_no_right_that_it_does_not_need(world: &World) {
    let pid = world.spawner_pid().expect("a spawner");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        u64::from_str_radix(line.trim(), 16).expect("a number")
    };
    let [module, raw_io, boot, time, bpf] = [16, 17, 22, 25, 39].map(|number| 1_u64 << number);
    for name in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(set(name) & (module | raw_io | boot | time | bpf), 0, "{name}");
    }
    assert!(status.contains("Seccomp:\t2\n"), "{status}");
}

fn kill_spawner(world: &World) {
    let pid = world.spawner_pid().expect("a spawner");
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("kill");
    until("the spawner is gone", || world.spawner_pid() != Some(pid));
}
