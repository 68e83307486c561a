//! Limits bind, and hurt the sandbox that goes over them alone.

use std::fs;

use sandgate_runtime::ContainerSpec;

use crate::runner::Test;
use crate::world::{MIB, World, until};

pub(crate) const TESTS: &[Test] = &[
    ("a_memory_hog_dies_and_its_sandbox_lives", a_memory_hog_dies_and_its_sandbox_lives),
    ("what_is_counted_by_user_is_each_sandboxes_own", what_is_counted_by_user_is_each_sandboxes_own),
    ("what_the_kernel_keeps_for_a_user_is_finite", what_the_kernel_keeps_for_a_user_is_finite),
    ("a_fork_bomb_stops", a_fork_bomb_stops),
    ("a_busy_loop_gets_its_share", a_busy_loop_gets_its_share),
    ("a_full_disk_is_the_sandboxes_own", a_full_disk_is_the_sandboxes_own),
    ("a_disk_without_inodes_starts_again", a_disk_without_inodes_starts_again),
];

fn a_memory_hog_dies_and_its_sandbox_lives(world: &World) {
    let mut spec = world.spec("hog", "(head -c 400M /dev/zero | tail -c 400M >/dev/null); echo \"hog ended with ${PIPESTATUS[*]} $?\" >&3; echo alive >&3");
    spec.limits.memory_bytes = 64 * MIB;
    let text = world.say_spec(&spec);
    assert!(text.contains("137") && text.ends_with("alive\n"), "{text}");
}

fn what_is_counted_by_user_is_each_sandboxes_own(world: &World) {
    let hog = world.probe_spec("inotify-hog", "inotify hog");
    let (_container, output) = world.create(&hog);
    let complaint = output.line();
    assert!(complaint.contains("Too many open files") && !complaint.starts_with("0 "), "{complaint}");
    rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).expect("one for the host's root");
    assert_eq!(world.say_spec(&world.probe_spec("inotify-other", "inotify")), "1 all\n");
    world.delete(&hog);
}

fn what_the_kernel_keeps_for_a_user_is_finite(world: &World) {
    let text = world.say("rlimits", "ulimit -Hi; ulimit -Hq; ulimit -Hl");
    let limits: Vec<u64> = text.lines().map(|line| line.parse().expect("finite")).collect();
    // Signals, bytes, and units of 1,024 bytes.
    assert!(
        limits.len() == 3 && limits.iter().zip([8192, 819_200, 8192]).all(|(is, most)| *is <= most),
        "{text}"
    );
}

fn a_fork_bomb_stops(world: &World) {
    let mut spec = world.spec(
        "bomb",
        "n=0; while sleep 1000 & do n=$((n+1)); [ $n -ge 100 ] && break; done 2>&3; echo $n >&3",
    );
    spec.limits.pids = 16;
    let (_container, output) = world.create(&spec);
    let complaint = output.line();
    assert!(complaint.contains("Resource temporarily unavailable"), "{complaint}");
    assert_eq!(processes(world, &spec), 16);
    world.delete(&spec);
}

/// By the kernel's own counters: of the periods in which it wanted to run, it was throttled in most.
fn a_busy_loop_gets_its_share(world: &World) {
    let mut spec = world.spec("busy", "while :; do :; done");
    spec.limits.cpu_millis = 100;
    let (_container, _output) = world.create(&spec);
    let file = world
        .cgroups()
        .into_iter()
        .map(|parent| parent.join(&spec.name).join("cpu.stat"))
        .find(|file| fs::read_to_string(file).is_ok_and(|text| text.contains("nr_throttled")))
        .expect("counters");
    let counter = |name: &str| -> u64 {
        let text = fs::read_to_string(&file).expect("counters");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.parse().ok()).expect("a number")
    };
    until("it has run for a while", || counter("nr_periods") >= 20);
    let (throttled, periods) = (counter("nr_throttled"), counter("nr_periods"));
    assert!(throttled * 2 >= periods, "throttled in {throttled} of {periods} periods");
    world.delete(&spec);
}

fn a_full_disk_is_the_sandboxes_own(world: &World) {
    let spec = world.spec("full", "head -c 200M /dev/zero > /home/daytona/big 2>&3; stat -c %s /home/daytona/big >&3; rm /home/daytona/big; echo small > /home/daytona/small && cat /home/daytona/small >&3");
    let (_container, output) = world.create(&spec);
    let text = output.read();
    assert!(text.contains("No space left on device"), "{text}");
    let size: u64 = text.lines().find_map(|line| line.parse().ok()).expect("a size");
    assert!(size < 64 * MIB, "{text}");
    assert!(text.ends_with("small\n"), "{text}");
    let file = fs::metadata(&spec.disk.path).expect("the disk");
    assert_eq!(file.len(), 64 * MIB);
    world.delete(&spec);
}

/// More than once, and with what the start before has left taken as well.
fn a_disk_without_inodes_starts_again(world: &World) {
    let fill = "cd /home/daytona; mkdir -p many; cd many; seq 1 5000 | xargs touch 2>/dev/null; \
        df --output=iavail / | tail -n 1 >&3; ls | wc -l >&3; echo end >&3; sleep 1000";
    let mut spec = world.spec("inodes", fill);
    // A small disk has few of them: a little over four thousand.
    spec.disk.bytes = 16 * MIB;
    let mut before = 1000;
    for round in 0..4 {
        let (_container, output) = world.create(&spec);
        let lines: Vec<String> =
            std::iter::repeat_with(|| output.line()).take_while(|line| line != "end").collect();
        assert_eq!(lines[0].trim(), "0", "round {round}: inodes are left: {lines:?}");
        let files: u64 = lines[1].trim().parse().expect("a number");
        assert!(files >= before, "round {round}: {files} files after {before}");
        before = files;
        world.spawner.kill(&spec.name).expect("kill");
    }
    world.delete(&spec);
}

fn processes(world: &World, spec: &ContainerSpec) -> usize {
    let unified = world.cgroups().into_iter().find(|parent| parent.join("cgroup.events").exists());
    let file = unified.expect("a cgroup of version 2").join(&spec.name).join("cgroup.procs");
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}
