//! Bad input at every step: a clear error, and nothing left of the attempt.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use sandgate_runtime::{ContainerSpec, Rootfs, RuntimeError};

use crate::runner::Test;
use crate::world::{World, chain};

pub(crate) const TESTS: &[Test] = &[
    ("links_and_files_at_mount_points_are_refused", links_and_files_at_mount_points_are_refused),
    ("a_working_directory_cannot_lead_out", a_working_directory_cannot_lead_out),
    ("every_failing_step_releases_all", every_failing_step_releases_all),
    ("invalid_specifications_do_nothing", invalid_specifications_do_nothing),
    ("a_failed_start_keeps_an_old_disk", a_failed_start_keeps_an_old_disk),
];

fn links_and_files_at_mount_points_are_refused(world: &World) {
    let outside = world.path("outside");
    fs::create_dir_all(&outside).expect("a directory");
    for place in ["proc", "dev", "run", "sys", "usr"] {
        for kind in ["absolute link", "relative link", "file"] {
            let skeleton = world.path("hostile");
            fs::create_dir_all(skeleton.join("etc")).expect("a directory");
            match kind {
                "absolute link" => symlink(&outside, skeleton.join(place)).expect("a link"),
                "relative link" => symlink("etc", skeleton.join(place)).expect("a link"),
                _ => fs::write(skeleton.join(place), "").expect("a file"),
            }
            let mut spec = world.spec("hostile", ":");
            spec.rootfs = Rootfs::HostUsr { skeleton: skeleton.clone(), usr_local: world.path("usr_local") };
            let (error, text) = world.refuse(&spec);
            assert!(
                matches!(error, RuntimeError::BadRootfs(_)) && text.contains(place),
                "{kind} at {place}: {text}"
            );
            fs::remove_dir_all(&skeleton).expect("removed");
            world.assert_empty();
        }
    }
    assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 0);
}

fn a_working_directory_cannot_lead_out(world: &World) {
    let skeleton = world.path("leading");
    fs::create_dir_all(skeleton.join("usr")).expect("a directory");
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), skeleton.join(name)).expect("a link");
    }
    symlink("/proc/self/fd/5", skeleton.join("fd")).expect("a link");
    symlink("../../../../../../home", skeleton.join("up")).expect("a link");
    let mut spec = world.spec("leading", "pwd -P >&3");
    spec.rootfs = Rootfs::HostUsr { skeleton, usr_local: world.path("usr_local") };
    for magic in ["/proc/self/fd/5", "/proc/1/root", "/fd", "/proc/self/cwd"] {
        spec.work_dir = magic.into();
        let (_, text) = world.refuse(&spec);
        assert!(text.contains("working directory"), "{magic}: {text}");
    }
    spec.work_dir = "/up/daytona".into();
    // An ordinary link is followed, but its top is the sandbox's own.
    assert!(
        world.try_create(&spec).is_err() || {
            world.delete(&spec);
            true
        }
    );
    spec.work_dir = "/proc/new".into();
    world.refuse(&spec);
}

fn every_failing_step_releases_all(world: &World) {
    type Break = fn(&World, &mut ContainerSpec);
    let breaks: [(&str, Break, &str); 8] = [
        ("no directory for the disk", |w, s| s.disk.path = w.path("missing/disk.ext4"), "disk"),
        ("a directory as disk", |w, s| s.disk.path = w.path("skeleton"), "disk"),
        ("no layer", |w, s| s.rootfs = Rootfs::Image { layers: vec![w.path("missing")] }, "missing"),
        (
            "a file as layer",
            |w, s| s.rootfs = Rootfs::Image { layers: vec![w.path("skeleton/etc/passwd")] },
            "passwd",
        ),
        (
            "no usr_local",
            |w, s| s.rootfs = Rootfs::HostUsr { skeleton: w.path("skeleton"), usr_local: w.path("missing") },
            "missing",
        ),
        (
            "a file as usr_local",
            |w, s| {
                let usr_local = w.path("skeleton/etc/passwd");
                s.rootfs = Rootfs::HostUsr { skeleton: w.path("skeleton"), usr_local };
            },
            "usr/local",
        ),
        ("a file as working directory", |_, s| s.work_dir = "/etc/passwd".into(), "working directory"),
        ("a disk in proc", |_, s| s.disk.path = "/proc/disk".into(), "disk"),
    ];
    for (what, break_it, hint) in breaks {
        let mut spec = world.spec("broken", ":");
        break_it(world, &mut spec);
        let (_, text) = world.refuse(&spec);
        assert!(text.contains(hint), "{what}: {text}");
        world.assert_empty();
    }
    let text_file = File::open(world.path("skeleton/etc/passwd")).expect("a file");
    let spec = world.spec("broken", ":");
    let error = world.try_create_with(&spec, text_file.as_fd()).err().expect("not executable");
    assert!(chain(&error).contains("execute the toolbox"), "{}", chain(&error));
    world.assert_empty();
    let mut starved = world.spec("starved", ":");
    starved.env.push(("LONG".into(), "x".repeat(200_000)));
    assert!(matches!(world.refuse(&starved).0, RuntimeError::InvalidSpec(_)));
}

fn invalid_specifications_do_nothing(world: &World) {
    for name in ["", "..", "a/b", "A", "-a"] {
        let mut spec = world.spec("x", ":");
        spec.name = name.into();
        assert!(matches!(world.refuse(&spec).0, RuntimeError::InvalidSpec(_)), "{name}");
        assert!(world.spawner.kill(name).is_err() && world.spawner.delete(name, &spec.disk.path).is_err());
    }
}

fn a_failed_start_keeps_an_old_disk(world: &World) {
    let good = world.spec("old", "echo data > /home/daytona/f; sync; echo done >&3");
    let (_container, output) = world.create(&good);
    assert_eq!(output.read(), "done\n");
    world.spawner.kill("old").expect("kill");
    let mut bad = good.clone();
    bad.work_dir = "/etc/passwd".into();
    world.refuse(&bad);
    assert!(good.disk.path.exists());
    let mut again = good.clone();
    again.args[2] = "cat /home/daytona/f >&3".into();
    assert_eq!(world.say_spec(&again), "data\n");
}
