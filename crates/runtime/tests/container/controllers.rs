//! A host without one of the controllers: this one, as a spawner sees it that was started where it is out of sight.

use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sandgate_runtime::{ContainerSpec, Handles, RuntimeError, Spawner, SpawnerOptions};

use crate::runner::Test;
use crate::world::{World, until};

pub(crate) const TESTS: &[Test] = &[(
    "a_limit_that_nobody_enforces_is_refused_unless_told",
    a_limit_that_nobody_enforces_is_refused_unless_told,
)];

fn a_limit_that_nobody_enforces_is_refused_unless_told(world: &World) {
    let run_dir = world.path("run-without-pids");
    fs::create_dir(&run_dir).expect("a directory");
    fs::set_permissions(&run_dir, Permissions::from_mode(0o700)).expect("permissions");
    let (instance, program) = (format!("{}p", world.instance), spawner_without(world, "pids"));
    let options = SpawnerOptions { run_dir: run_dir.clone(), instance, program };
    let spawner = Spawner::connect(options).expect("a spawner, which can still do much");

    let mut spec = world.spec("unlimited", "sleep 1000");
    let error = create(&spawner, &spec).expect_err("a limit cannot be set");
    assert!(
        matches!(&error, RuntimeError::Unsupported { what, .. } if what == "pids limits"),
        "another error: {error}"
    );
    assert_eq!(spawner.list().expect("list"), [], "nothing is left of it");
    assert!(!spec.disk.path.exists(), "nor its disk");

    spec.limits.best_effort = true;
    create(&spawner, &spec).expect("made all the same");
    let alive: Vec<bool> = spawner.list().expect("list").iter().map(|status| status.alive).collect();
    assert_eq!(alive, [true]);
    spawner.delete(&spec.name, &spec.disk.path).expect("delete");
    drop(spawner);
    until("its spawner has left", || !run_dir.join("spawner.sock").exists());
}

fn create(spawner: &Spawner, spec: &ContainerSpec) -> Result<(), RuntimeError> {
    let (_read, write) = rustix::pipe::pipe().expect("a pipe");
    let bash = File::open("/usr/bin/bash").expect("a program");
    spawner.create(spec, Handles { listener: write.as_fd(), toolbox: bash.as_fd() }).map(drop)
}

/// A program that becomes the spawner in a mount namespace of its own, where the controller is out of sight.
fn spawner_without(world: &World, controller: &str) -> PathBuf {
    let own = std::env::current_exe().expect("our own path");
    let path = world.path("spawner-without");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c '{}; exec {} \"$@\"' sh \"$@\"\n",
        hide(world, controller),
        own.display()
    );
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("permissions");
    path
}

/// The command that takes it out of sight: its hierarchy, or its name in the one of version 2.
fn hide(world: &World, controller: &str) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    let has =
        |fields: &&Vec<&str>| fields[2] == "cgroup" && fields[3].split(',').any(|one| one == controller);
    if let Some(fields) = mounts.iter().find(has) {
        return format!("umount {}", fields[1]);
    }
    let unified = mounts.iter().find(|fields| fields[2] == "cgroup2").expect("version 2")[1];
    let file = Path::new(unified).join("cgroup.controllers");
    let less = fs::read_to_string(&file).expect("controllers").replace(controller, "");
    fs::write(world.path("controllers"), less).expect("a file");
    format!("mount --bind {} {}", world.path("controllers").display(), file.display())
}
