//! Create, stop, start and delete, in any order and many at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use sandgate_runtime::Exit;

use crate::runner::Test;
use crate::world::{World, children, until};

pub(crate) const TESTS: &[Test] = &[
    ("create_is_keyed_by_name", create_is_keyed_by_name),
    ("stop_and_start_keep_files", stop_and_start_keep_files),
    ("removing_what_is_not_there_succeeds", removing_what_is_not_there_succeeds),
    ("a_dead_container_is_replaced", a_dead_container_is_replaced),
    ("twenty_at_once", twenty_at_once),
    ("a_disk_serves_one_sandbox_at_a_time", a_disk_serves_one_sandbox_at_a_time),
    ("many_are_listed_in_order", many_are_listed_in_order),
    ("many_lives_cost_no_descriptor", many_lives_cost_no_descriptor),
];

fn create_is_keyed_by_name(world: &World) {
    let spec = world.spec("key", "sleep 1000");
    let (first, _output) = world.create(&spec);
    let (second, output) = world.create(&spec);
    assert_eq!(first.pid, second.pid);
    assert!(!first.existing && second.existing);
    // Nobody holds the second listener: it was not used.
    assert_eq!(output.read(), "");
    world.delete(&spec);
    until("both handles say that it has ended", || {
        [&first, &second].iter().all(|container| is_readable(&container.pidfd))
    });
}

fn stop_and_start_keep_files(world: &World) {
    let mut spec = world.spec("keep", "echo kept > /home/daytona/file; sync; echo written >&3; sleep 1000");
    let (_container, output) = world.create(&spec);
    assert_eq!(output.line(), "written");
    let others = ["other1", "other2", "other3"].map(|name| world.spec(name, "sleep 1000"));
    for other in &others {
        world.spawner.kill(&spec.name).expect("kill");
        assert!(!world.loops().contains(&spec.disk.path), "a loop device is left");
        assert!(spec.disk.path.exists());
        // Takes the range of ids that was freed: owners do not depend on it.
        world.create(other);
        spec.args[2] = "cat /home/daytona/file >&3; stat -c %U /home/daytona/file >&3; sleep 1000".into();
        let (container, output) = world.create(&spec);
        assert!(!container.existing);
        assert_eq!((output.line().as_str(), output.line().as_str()), ("kept", "daytona"));
    }
    for spec in others.iter().chain([&spec]) {
        world.delete(spec);
        assert!(!spec.disk.path.exists());
    }
}

fn removing_what_is_not_there_succeeds(world: &World) {
    world.spawner.kill("never-was").expect("kill");
    world.spawner.delete("never-was", &world.path("disks/never-was.ext4")).expect("delete");
    let spec = world.spec("twice", "sleep 1000");
    world.create(&spec);
    for _ in 0..2 {
        world.spawner.kill(&spec.name).expect("kill");
    }
    for _ in 0..2 {
        world.delete(&spec);
    }
}

fn a_dead_container_is_replaced(world: &World) {
    let spec = world.spec("again", "exit 3");
    for _ in 0..5 {
        let (container, _output) = world.create(&spec);
        assert!(!container.existing);
        // The next one comes at once, while this one is still being taken down.
        until("it has ended", || is_readable(&container.pidfd));
    }
    until("the last has ended", || world.spawner.list().expect("list")[0].exit == Some(Exit::Code(3)));
    world.delete(&spec);
}

fn twenty_at_once(world: &World) {
    let specs: Vec<_> =
        (0..20).map(|n| world.spec(&format!("many-{n}"), "echo here >&3; sleep 1000")).collect();
    thread::scope(|scope| {
        for spec in &specs {
            scope.spawn(|| {
                let (_container, output) = world.create(spec);
                assert_eq!(output.line(), "here");
            });
        }
    });
    let list = world.spawner.list().expect("list");
    assert!(list.iter().all(|status| status.alive));
    assert_eq!(list.iter().map(|status| status.pid).collect::<BTreeSet<_>>().len(), 20);
    thread::scope(|scope| {
        for spec in &specs {
            scope.spawn(|| world.delete(spec));
        }
    });
}

fn a_disk_serves_one_sandbox_at_a_time(world: &World) {
    let first = world.spec("disk1", "sleep 1000");
    let mut second = world.spec("disk2", "sleep 1000");
    second.disk = first.disk.clone();
    world.create(&first);
    let (_, text) = world.refuse(&second);
    assert!(text.contains("in use by another sandbox"), "{text}");
    let error = world.spawner.delete("disk3", &first.disk.path).expect_err("in use");
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(world.spawner.list().expect("list")[0].alive);
    world.delete(&first);
}

fn many_are_listed_in_order(world: &World) {
    let specs = ["c", "a", "b"].map(|name| world.spec(name, "sleep 1000"));
    for spec in &specs {
        world.create(spec);
    }
    let names: Vec<String> =
        world.spawner.list().expect("list").into_iter().map(|status| status.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for spec in &specs {
        world.delete(spec);
    }
}

fn many_lives_cost_no_descriptor(world: &World) {
    let spec = world.spec("life", "exit 0");
    let mut broken = world.spec("life", "exit 0");
    broken.work_dir = "/etc/passwd".into();
    let one_round = || {
        world.create(&spec);
        world.spawner.kill(&spec.name).expect("kill");
        world.create(&spec);
        world.delete(&spec);
        world.refuse(&broken);
    };
    let descriptors =
        || children(Path::new(&format!("/proc/{}/fd", world.spawner_pid().expect("a spawner")))).len();
    one_round();
    let before = descriptors();
    for _ in 0..10 {
        one_round();
    }
    assert_eq!(descriptors(), before);
}

fn is_readable(handle: &std::os::fd::OwnedFd) -> bool {
    let mut handles = [rustix::event::PollFd::new(handle, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut handles, Some(&now)) == Ok(1)
}
