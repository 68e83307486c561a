//! What a sandbox must not be able to do.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use sandgate_runtime::{ContainerSpec, User, sealed_executable};

use crate::runner::Test;
use crate::world::{World, until};

pub(crate) const TESTS: &[Test] = &[
    ("nobody_and_root_have_few_rights", nobody_and_root_have_few_rights),
    ("forbidden_calls_are_refused", forbidden_calls_are_refused),
    ("the_host_cannot_be_changed_through_proc", the_host_cannot_be_changed_through_proc),
    ("proc_tells_little_of_the_host", proc_tells_little_of_the_host),
    ("host_files_and_processes_are_out_of_reach", host_files_and_processes_are_out_of_reach),
    ("a_setuid_file_is_reachable_by_nobody", a_setuid_file_is_reachable_by_nobody),
    ("process_one_can_be_neither_read_nor_traced_nor_killed", process_one_is_safe),
];

const ROOT: User = User { uid: 0, gid: 0 };

fn nobody_and_root_have_few_rights(world: &World) {
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'";
    let text = world.say("rights", script);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(text.contains(&format!("{set}:0000000000000000")), "{text}");
    }
    assert!(text.contains("NoNewPrivs:1") && text.contains("Seccomp:2"), "{text}");
    let mut spec = world.spec("rights0", &format!("exec >&3; {script}"));
    spec.user = ROOT;
    let text = world.say_spec(&spec);
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SETFCAP
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(text.contains(&format!("{set}:00000000800005fb")), "{text}");
    }
}

fn forbidden_calls_are_refused(world: &World) {
    for user in [User { uid: 1000, gid: 1000 }, ROOT] {
        let mut spec = world.probe_spec("calls", "calls");
        spec.user = user;
        let text = world.say_spec(&spec);
        let wrong: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
        assert!(wrong.is_empty() && text.lines().count() > 20, "as {user:?}: {text}");
    }
}

fn the_host_cannot_be_changed_through_proc(world: &World) {
    let mut spec = world.spec(
        "proc",
        "exec >&3 2>&3; for f in sys/kernel/core_pattern sys/kernel/hostname sys/vm/drop_caches sysrq-trigger \
         irq/default_smp_affinity; do echo x > /proc/$f && echo wrote $f; done; \
         for f in kcore keys timer_list interrupts kmsg; do head -c 1 /proc/$f; done; echo end; \
         mount -o remount,rw /proc/sys && echo remounted; umount /proc/sys && echo unmounted; \
         rmdir /proc/acpi && echo gone; mv /dev /dev2 && echo moved",
    );
    spec.user = ROOT;
    let core_pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern");
    let text = world.say_spec(&spec);
    for bad in ["wrote", "remounted", "unmounted", "gone\n", "moved"] {
        assert!(!text.contains(bad), "{text}");
    }
    assert!(text.contains("end"), "{text}");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern"), core_pattern);
}

fn proc_tells_little_of_the_host(world: &World) {
    let mut spec = world.spec(
        "facts",
        "exec >&3 2>/dev/null; cd /proc; for f in cmdline partitions config.gz diskstats swaps pressure/* fs/*/*; do \
         [ -n \"$(head -c 9 $f | tr '\\0' x)\" ] && echo told $f; done; ls fs pressure; \
         echo some 150000 1000000 >pressure/cpu && echo wrote; \
         free >/dev/null && ps aux >/dev/null && top -bn1 >/dev/null && df >/dev/null && echo works",
    );
    spec.user = ROOT;
    assert_eq!(world.say_spec(&spec), "fs:\n\npressure:\nworks\n");
}

fn host_files_and_processes_are_out_of_reach(world: &World) {
    let mut spec = world.spec(
        "reach",
        "exec >&3 2>&3; for p in /proc/[0-9]*; do echo pid ${p#/proc/}; done; \
         cat /etc/shadow /proc/1/root/etc/shadow; ls -d /proc/self/root/../../*/; kill -9 $HOSTPID; \
         head -c 1 /dev/vda /dev/mem /dev/kmsg; ls /srv /root /var/lib; mknod /tmp/d b 254 0; /usr/sbin/chroot / id",
    );
    spec.user = ROOT;
    spec.env.push(("HOSTPID".into(), std::process::id().to_string()));
    let text = world.say_spec(&spec);
    let pids: Vec<&str> = text.lines().filter(|line| line.starts_with("pid ")).collect();
    assert!(pids.len() <= 3 && pids.contains(&"pid 1"), "{text}");
    for denied in ["mknod: /tmp/d: Operation not permitted", "chroot: cannot change root", "No such process"]
    {
        assert!(text.contains(denied), "{denied}: {text}");
    }
    assert!(!text.contains("root:$") && !text.contains("root:*") && !text.contains("uid=0"), "{text}");
}

/// The file is on the sandbox's disk, which is mounted nowhere, in a file that only root may open.
fn a_setuid_file_is_reachable_by_nobody(world: &World) {
    let mut spec =
        world.spec("suid", "cp /usr/bin/id /suid; chmod 4755 /suid; stat -c %A /suid >&3; sleep 1000");
    spec.user = ROOT;
    let (container, output) = world.create(&spec);
    assert_eq!(output.line(), "-rwsr-xr-x");
    let mode = |path: &std::path::Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
    assert_eq!(mode(&spec.disk.path), 0o600);
    assert_eq!(mode(&world.path("disks")), 0o700);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains("overlay") || !mounts.contains("upperdir=/upper"), "{mounts}");
    // The one way there is through the process, which other users may not take.
    let inside = format!("/proc/{}/root/suid", container.pid);
    let as_nobody = Command::new("/usr/bin/cat").arg(&inside).uid(65_534).gid(65_534).output().expect("cat");
    let complaint = String::from_utf8_lossy(&as_nobody.stderr);
    assert!(complaint.contains("Permission denied"), "{complaint}");
    // Should root show somebody that way, the bit does not count on this mount. (`setpriv` keeps its rights until the
    // program starts, so it finds the file.)
    let shown =
        Command::new("setpriv").args(["--reuid=65534", "--clear-groups", &inside]).output().expect("setpriv");
    let ids = String::from_utf8_lossy(&shown.stdout);
    assert!(ids.contains("uid=65534") && !ids.contains("euid"), "{ids}");
    let table = fs::read_to_string(format!("/proc/{}/mounts", container.pid)).expect("mounts");
    let root = table.lines().find(|line| line.contains(" / overlay ")).expect("a root");
    assert!(root.contains("nosuid,nodev"), "{root}");
    world.delete(&spec);
}

/// With the program that the gateway uses: a sealed copy that may only be executed.
fn process_one_is_safe(world: &World) {
    for user in [User { uid: 1000, gid: 1000 }, ROOT] {
        let program = fs::read("/proc/self/exe").expect("our program");
        let toolbox = sealed_executable(&program).expect("a sealed program");
        let spec = ContainerSpec { user, ..world.probe_spec("one", "attack") };
        let (_container, output) =
            world.try_create_with(&spec, toolbox.as_fd()).unwrap_or_else(|error| panic!("{error:?}"));
        let text = output.read();
        let wrong: Vec<&str> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
        assert!(wrong.is_empty() && text.lines().count() >= 6, "as {user:?}: {text}");
        until("it has ended by itself", || {
            world.spawner.list().expect("list")[0].exit == Some(sandgate_runtime::Exit::Code(0))
        });
        world.delete(&spec);
    }
}
