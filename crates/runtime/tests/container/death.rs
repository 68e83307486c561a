//! What happens to a sandbox unasked is told at once, with what is needed to say why.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sandgate_runtime::{ContainerStatus, Exit, Limits, User, Watch};

use crate::runner::Test;
use crate::world::{MIB, World, until};

pub(crate) const TESTS: &[Test] = &[
    ("a_kill_from_outside_is_told", a_kill_from_outside_is_told),
    ("an_end_of_its_own_is_told_with_its_code", an_end_of_its_own_is_told_with_its_code),
    (
        "a_stopped_first_process_is_told_and_so_is_its_going_on",
        a_stopped_first_process_is_told_and_so_is_its_going_on,
    ),
    ("a_kill_for_want_of_memory_is_told", a_kill_for_want_of_memory_is_told),
    ("what_was_asked_for_is_not_news", what_was_asked_for_is_not_news),
    ("a_watch_ends_with_its_spawner", a_watch_ends_with_its_spawner),
];

/// The next name, which must come soon.
fn next(watch: &mut Watch) -> String {
    let mut name = None;
    let start = Instant::now();
    until("news", || {
        name = watch.poll().expect("the spawner lives");
        name.is_some()
    });
    println!("told after {} ms", start.elapsed().as_millis());
    name.expect("a name")
}

fn status(world: &World, name: &str) -> ContainerStatus {
    world.spawner.status(name).expect("an answer").expect("a known container")
}

fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw).expect("a pid")
}

fn a_kill_from_outside_is_told(world: &World) {
    let mut watch = world.spawner.watch().expect("a watch");
    let spec = world.spec("victim", "sleep 1000");
    let (container, _output) = world.create(&spec);
    kill_process(pid(container.pid), Signal::KILL).expect("kill");
    assert_eq!(next(&mut watch), "victim");
    let seen = status(world, "victim");
    assert_eq!((seen.alive, seen.exit, seen.oom_kills), (false, Some(Exit::Signal(9)), 0));
    world.delete(&spec);
}

fn an_end_of_its_own_is_told_with_its_code(world: &World) {
    let mut watch = world.spawner.watch().expect("a watch");
    let spec = world.spec("leaver", "exit 7");
    world.create(&spec);
    assert_eq!(next(&mut watch), "leaver");
    assert_eq!(status(world, "leaver").exit, Some(Exit::Code(7)));
    world.delete(&spec);
}

fn a_stopped_first_process_is_told_and_so_is_its_going_on(world: &World) {
    let mut watch = world.spawner.watch().expect("a watch");
    let spec = world.spec("sleeper", "sleep 1000");
    let (container, _output) = world.create(&spec);
    for (signal, suspended) in [(Signal::STOP, true), (Signal::CONT, false), (Signal::STOP, true)] {
        kill_process(pid(container.pid), signal).expect("a signal");
        assert_eq!(next(&mut watch), "sleeper");
        let seen = status(world, "sleeper");
        assert_eq!((seen.alive, seen.suspended), (true, suspended));
    }
    world.delete(&spec);
}

fn a_kill_for_want_of_memory_is_told(world: &World) {
    let mut watch = world.spawner.watch().expect("a watch");
    // The hog volunteers to be the one that dies.
    let hog = "(echo 1000 >/proc/self/oom_score_adj; head -c 1G /dev/zero | tail); sleep 1000";
    let mut spec = world.spec("hog", hog);
    spec.user = User { uid: 0, gid: 0 };
    spec.limits = Limits { memory_bytes: 32 * MIB, ..spec.limits };
    world.create(&spec);
    assert_eq!(next(&mut watch), "hog");
    let seen = status(world, "hog");
    assert!(seen.alive && seen.oom_kills > 0, "{seen:?}");
    world.delete(&spec);
    // Where process 1 is the only one there is, its end is by the same cause.
    let mut alone = world.spec("alone", "x=y; while :; do x=$x$x; done");
    alone.limits = spec.limits;
    world.create(&alone);
    until("it has ended", || !status(world, "alone").alive);
    assert!(status(world, "alone").oom_kills > 0, "{:?}", status(world, "alone"));
    assert_eq!(status(world, "alone").exit, Some(Exit::Signal(9)));
    world.delete(&alone);
}

fn what_was_asked_for_is_not_news(world: &World) {
    let mut watch = world.spawner.watch().expect("a watch");
    let spec = world.spec("asked", "sleep 1000");
    world.create(&spec);
    world.spawner.kill("asked").expect("kill");
    world.create(&spec);
    world.delete(&spec);
    let other = world.spec("other", "exit 1");
    world.create(&other);
    assert_eq!(next(&mut watch), "other", "the first news is of the other one");
    world.delete(&other);
}

fn a_watch_ends_with_its_spawner(world: &World) {
    let mut watch = world.spawner.watch().expect("a watch");
    kill_process(pid(world.spawner_pid().expect("a spawner")), Signal::KILL).expect("kill");
    until("it is known", || watch.poll().is_err());
    let start = Instant::now();
    let mut again = world.spawner.watch().expect("the next spawner");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(again.poll().expect("it lives"), None);
}
