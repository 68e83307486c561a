//! The machine that a sandbox sees is as large as the sandbox.

use std::fs;

use sandgate_runtime::{ContainerSpec, User};

use crate::runner::Test;
use crate::world::{MIB, World};

pub(crate) const TESTS: &[Test] = &[
    ("processors_are_as_many_as_the_limit", processors_are_as_many_as_the_limit),
    ("memory_is_as_much_as_the_limit", memory_is_as_much_as_the_limit),
    ("programs_read_what_the_machine_says", programs_read_what_the_machine_says),
    ("nobody_changes_what_the_machine_says", nobody_changes_what_the_machine_says),
];

/// A sandbox of this size that writes what `script` says to descriptor 3.
fn sized(world: &World, name: &str, (cpu_millis, mebibytes): (u64, u64), script: &str) -> ContainerSpec {
    let mut spec = world.spec(name, &format!("exec >&3 2>&3; {script}"));
    (spec.limits.cpu_millis, spec.limits.memory_bytes) = (cpu_millis, mebibytes * MIB);
    spec
}

fn host(path: &str) -> String {
    fs::read_to_string(path).expect("a file of the host")
}

fn processors_of(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count()
}

fn processors_are_as_many_as_the_limit(world: &World) {
    let all = processors_of(&host("/proc/cpuinfo"));
    let script = "grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; \
        cd /sys/devices/system/cpu; cat online present possible; grep ^btime /proc/stat";
    for cpu_millis in [100, 1000, 1500, 64_000] {
        let shown = all.min(usize::try_from(cpu_millis).expect("a number").div_ceil(1000));
        let text = world.say_spec(&sized(world, "processors", (cpu_millis, 256), script));
        let lines: Vec<&str> = text.lines().collect();
        let range = if shown == 1 { "0".into() } else { format!("0-{}", shown - 1) };
        let count = shown.to_string();
        assert_eq!(lines[..4], [&count, &count, &range, &range], "{cpu_millis} thousandths: {text}");
        assert_eq!(lines[4], host("/sys/devices/system/cpu/possible").trim(), "the highest number there is");
        assert!(host("/proc/stat").lines().any(|line| line == lines[5]), "{text}");
    }
}

fn memory_is_as_much_as_the_limit(world: &World) {
    for mebibytes in [64, 777] {
        let spec = sized(world, "memory", (1000, mebibytes), "cat /proc/meminfo");
        let text = world.say_spec(&spec);
        for (line, kib) in [
            ("MemTotal", mebibytes << 10),
            ("MemFree", mebibytes << 10),
            ("MemAvailable", mebibytes << 10),
            ("Cached", 0),
            ("SwapTotal", 0),
        ] {
            assert!(text.contains(&format!("{:<16}{kib:>8} kB\n", format!("{line}:"))), "{line}: {text}");
        }
        let names = |text: &str| {
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(n, _)| n.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&text), names(&host("/proc/meminfo")), "the lines are the kernel's own");
    }
}

fn programs_read_what_the_machine_says(world: &World) {
    let script = "getconf _NPROCESSORS_ONLN; set -- $(free -b); echo $8; ps aux >/dev/null; \
        top -bn1 >/dev/null; vmstat >/dev/null && echo works";
    let text = world.say_spec(&sized(world, "programs", (1000, 128), script));
    assert_eq!(text, "1\n134217728\nworks\n");
}

fn nobody_changes_what_the_machine_says(world: &World) {
    let script = "for f in /proc/cpuinfo /proc/meminfo /proc/stat /sys/devices/system/cpu/online; do \
        echo x >$f && echo wrote $f; rm -f $f && echo removed $f; chmod 777 $f && echo opened $f; \
        umount $f && echo unmounted $f; done 2>/dev/null; \
        mkdir /sys/x /sys/kernel/x 2>/dev/null && echo made; ls -A /sys/kernel; find /sys -type f | wc -l";
    for user in [User { uid: 1000, gid: 1000 }, User { uid: 0, gid: 0 }] {
        let spec = ContainerSpec { user, ..sized(world, "fixed", (1000, 128), script) };
        assert_eq!(world.say_spec(&spec), "3\n", "as {user:?}");
    }
    assert_eq!(world.say_spec(&sized(world, "after", (1000, 128), "head -c 9 /proc/cpuinfo")), "processor");
}
