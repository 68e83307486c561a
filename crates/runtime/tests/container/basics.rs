//! What a sandbox is, seen from inside and from the host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use sandgate_runtime::{Exit, Rootfs, User};

use crate::runner::Test;
use crate::world::{World, children, until};

pub(crate) const TESTS: &[Test] = &[
    ("identity_is_what_the_specification_says", identity_is_what_the_specification_says),
    ("every_namespace_is_its_own", every_namespace_is_its_own),
    ("ids_are_a_range_of_the_sandbox_alone", ids_are_a_range_of_the_sandbox_alone),
    ("only_the_given_descriptors_are_open", only_the_given_descriptors_are_open),
    ("the_root_is_complete_and_nothing_else", the_root_is_complete_and_nothing_else),
    ("the_exit_is_recorded", the_exit_is_recorded),
    ("an_image_has_its_owners_mapped", an_image_has_its_owners_mapped),
    ("a_tty_can_be_had", a_tty_can_be_had),
];

fn identity_is_what_the_specification_says(world: &World) {
    let mut spec = world.spec("who", "exec >&3; id -u; id -g; id -G; hostname; pwd; tr '\\0' '\\n' </proc/1/environ; nice; ulimit -c; umask");
    spec.env = [("PATH", "/usr/bin"), ("GREETING", "hello world")].map(|(n, v)| (n.into(), v.into())).into();
    spec.work_dir = "/srv/new/place".into();
    spec.hostname = "a.example".into();
    let text = world.say_spec(&spec);
    let expected = "1000\n1000\n1000\na.example\n/srv/new/place\n\
        PATH=/usr/bin\nGREETING=hello world\n0\n0\n0022\n";
    assert_eq!(text, expected);
}

fn every_namespace_is_its_own(world: &World) {
    let spec = world.spec("ns", "sleep 1000");
    let (container, _output) = world.create(&spec);
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
        assert_ne!(of("self"), of(&container.pid.to_string()), "{kind}");
    }
    let text = fs::read_to_string(format!("/proc/{}/status", container.pid)).expect("status");
    assert!(text.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")), "{text}");
    world.delete(&spec);
    let inside = world.say("nscg", "cut -d: -f3 /proc/self/cgroup | sort -u");
    // Controllers that we do not use stay as they were.
    assert!(inside.lines().all(|path| !path.contains("sandgate") && !path.contains("..")), "{inside}");
    let net = world.say("nslo", "cat /proc/net/dev | tail -n +3; exec 5<>/dev/tcp/127.0.0.1/9 || true");
    assert!(net.contains("lo:") && net.contains("Connection refused"), "loopback is not up: {net}");
}

fn ids_are_a_range_of_the_sandbox_alone(world: &World) {
    let specs = ["ids1", "ids2"].map(|name| world.spec(name, "sleep 1000"));
    let containers = specs.each_ref().map(|spec| world.create(spec).0);
    let owners =
        containers.each_ref().map(|c| fs::metadata(format!("/proc/{}", c.pid)).expect("a process").uid());
    assert_eq!((owners[0] - 1000) % 65_536, 1_000_000 % 65_536);
    assert!(owners[0].abs_diff(owners[1]) >= 65_536, "{owners:?}");
    for (spec, container) in specs.iter().zip(&containers) {
        let map = fs::read_to_string(format!("/proc/{}/uid_map", container.pid)).expect("a map");
        assert_eq!(map.split_whitespace().last(), Some("65536"));
        world.delete(spec);
    }
}

fn only_the_given_descriptors_are_open(world: &World) {
    let text = world.say_spec(&world.probe_spec("fds", "descriptors"));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["0 /dev/null", "1 /dev/null", "2 /dev/null"], "{text}");
    assert!(lines[3].starts_with("3 pipe:"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
}

fn the_root_is_complete_and_nothing_else(world: &World) {
    let text = world.say("root", "ls /; echo; ls /dev; echo; ls /home /root /var /run /sys; stat -c %a:%U /tmp; cut -d' ' -f2 /proc/mounts");
    let mut parts = text.split("\n\n");
    let words =
        |part: Option<&str>| part.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(parts.next()), "bin dev etc home lib lib64 proc root run sbin sys tmp usr var");
    assert_eq!(words(parts.next()), "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero");
    assert!(text.contains("1777:root"), "{text}");
    assert!(!text.contains("/etc/"), "a mount of the host is visible: {text}");
    let text = world
        .say("rw", "echo x > /usr/x; echo x > /usr/local/x; echo x > /home/daytona/x && cat /home/daytona/x");
    assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
    assert!(text.ends_with("x\n"), "{text}");
}

fn the_exit_is_recorded(world: &World) {
    for (name, script, exit) in [
        ("code", "exit 7", Exit::Code(7)),
        ("zero", ":", Exit::Code(0)),
        ("signal", "enable -f x kill; sleep 1000", Exit::Signal(9)),
    ] {
        let spec = world.spec(name, script);
        let (container, _output) = world.create(&spec);
        if matches!(exit, Exit::Signal(_)) {
            let pid = rustix::process::Pid::from_raw(container.pid).expect("a pid");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
        }
        until("its end is known", || world.spawner.list().expect("list")[0].exit == Some(exit));
        let status = &world.spawner.list().expect("list")[0];
        assert_eq!((status.name.as_str(), status.alive), (name, false));
        until("its cgroups are gone", || world.cgroups().iter().all(|parent| children(parent).is_empty()));
        until("its loop device is gone", || world.loops().is_empty());
        world.delete(&spec);
    }
}

fn an_image_has_its_owners_mapped(world: &World) {
    let base = world.path("image-base");
    let top = world.path("image-top");
    for program in ["/bin/bash", "/usr/bin/stat"] {
        copy_program(program, &base);
    }
    fs::create_dir_all(&top).expect("a directory");
    fs::write(top.join("note"), "from the top layer").expect("a file");
    std::os::unix::fs::chown(top.join("note"), Some(5), Some(7)).expect("chown");
    fs::write(base.join("note"), "from the base").expect("a file");
    let mut spec = world.spec("image", "exec >&3 2>&3; echo $(</note); stat -c %u:%g /note /bin/bash; echo $UID; echo x > /note && stat -c %u:%g /note");
    spec.rootfs = Rootfs::Image { layers: vec![top.clone(), base.clone()] };
    spec.user = User { uid: 0, gid: 0 };
    let text = world.say_spec(&spec);
    assert_eq!(text, "from the top layer\n5:7\n0:0\n0\n5:7\n");
    assert_eq!(fs::read_to_string(top.join("note")).expect("a file"), "from the top layer");
}

/// Copies a program and the libraries it needs, with their paths.
fn copy_program(program: &str, root: &Path) {
    let output = Command::new("ldd").arg(program).output().expect("ldd").stdout;
    let libraries = String::from_utf8(output).expect("text");
    for file in libraries.split_whitespace().filter(|word| word.starts_with('/')).chain([program]) {
        let target = root.join(file.trim_start_matches('/'));
        fs::create_dir_all(target.parent().expect("a parent")).expect("a directory");
        fs::copy(file, &target).expect("a copy");
    }
}

fn a_tty_can_be_had(world: &World) {
    let text = world.say("tty", "script -qec 'tty; test -t 0 && echo yes' /dev/null </dev/null");
    assert!(text.contains("/dev/pts/0") && text.contains("yes"), "{text}");
}
