//! Which way the runtime takes with the kernel that it meets, and what that kernel offers: the facts of
//! `docs/runtimes.md`, each printed in a line of its own.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat};
use rustix::mount::{FsOpenFlags, OpenTreeFlags, fsconfig_set_fd, fsopen, open_tree};

use crate::probe::call;
use crate::runner::Test;
use crate::world::World;

pub(crate) const TESTS: &[Test] = &[
    ("the_kernel_offers_what_the_table_says", the_kernel_offers_what_the_table_says),
    ("an_overlay_takes_descriptors_where_it_can", an_overlay_takes_descriptors_where_it_can),
];

/// A kernel's major and minor number.
type Version = (u32, u32);

/// Something that newer kernels have, the first version that has it, and whether this one does.
type Feature = (&'static str, Version, fn(&World) -> io::Result<()>);

const FEATURES: &[Feature] = &[
    ("cgroup.kill", (5, 14), cgroup_kill),
    ("MFD_EXEC", (6, 3), |_| executable_memory()),
    ("overlay: descriptors", (6, 13), |_| overlay_of(directory(CWD, "/usr")?.as_fd())),
    ("overlay: descriptors of unattached mounts", (6, 15), |_| overlay_of_an_unattached("/usr")),
];

fn the_kernel_offers_what_the_table_says(world: &World) {
    fact("kernel", &release());
    let controllers = unified(world).with_file_name("cgroup.controllers");
    fact("controllers of cgroup v2", fs::read_to_string(controllers).expect("controllers").trim());
    fact("cgroup hierarchies that limits are in", &world.cgroups().len().to_string());
    for (name, since, probe) in FEATURES {
        let answer = probe(world);
        fact(name, &answer.as_ref().map_or_else(ToString::to_string, |()| "yes".into()));
        assert_eq!(
            answer.is_ok(),
            version() >= *since,
            "{name}, said to be there since {since:?}: {answer:?}"
        );
    }
    fact("Landlock", &landlock());
}

/// The sandbox's own table of mounts says how its root's layers were named: by the paths that lead to descriptors, or,
/// where the kernel was given the descriptors themselves, by where these are on their own file system.
fn an_overlay_takes_descriptors_where_it_can(world: &World) {
    let spec = world.spec("layers", "sleep 1000");
    let (container, _output) = world.create(&spec);
    let table = fs::read_to_string(format!("/proc/{}/mounts", container.pid)).expect("mounts");
    world.delete(&spec);
    let root = table.lines().find(|line| line.contains(" / overlay ")).expect("a root");
    let by_path = root.contains("upperdir=/proc/self/fd/");
    assert!(by_path || root.contains("upperdir=/upper,"), "{root}");
    fact("overlay layers were given by", if by_path { "path" } else { "descriptor" });
    assert_eq!(by_path, version() < (6, 15), "{root}");
}

/// One line for whoever reads the output, such as `cargo xtask vm-test`.
fn fact(name: &str, value: &str) {
    println!("fact {name}: {value}");
}

fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn version() -> Version {
    let release = release();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().expect("a major number"), numbers.next().expect("a minor number"))
}

/// Our parent cgroup of version 2.
fn unified(world: &World) -> PathBuf {
    let is_unified = |parent: &PathBuf| parent.join("cgroup.events").exists();
    world.cgroups().into_iter().find(is_unified).expect("a cgroup of version 2")
}

fn cgroup_kill(world: &World) -> io::Result<()> {
    fs::metadata(unified(world).join("cgroup.kill")).map(drop)
}

fn executable_memory() -> io::Result<()> {
    memfd_create("probe", MemfdFlags::CLOEXEC | MemfdFlags::EXEC)?;
    Ok(())
}

fn overlay_of_an_unattached(path: &str) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    // Closing it would dissolve the mount.
    let mount = open_tree(CWD, path, flags)?;
    overlay_of(directory(mount.as_fd(), ".")?.as_fd())
}

fn overlay_of(layer: BorrowedFd<'_>) -> io::Result<()> {
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    Ok(fsconfig_set_fd(overlay.as_fd(), "lowerdir+", layer)?)
}

fn directory(at: BorrowedFd<'_>, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(at, path.as_ref(), flags, Mode::empty())?)
}

/// The version of its interface, or why there is none.
fn landlock() -> String {
    const ASK: i64 = 1;
    call(libc::SYS_landlock_create_ruleset, [0, 0, ASK, 0, 0])
        .map_or_else(|error| error.to_string(), |version| format!("version {version}"))
}
