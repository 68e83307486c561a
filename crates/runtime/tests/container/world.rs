//! A run directory with its spawner, and a place for disks, that belong to a test run and go with it.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sandgate_runtime::{
    Container, ContainerSpec, Disk, Handles, Limits, Rootfs, RuntimeError, Spawner, SpawnerOptions, User,
};
use tempfile::TempDir;

use crate::host;
use crate::probe::PROBE_ARG;

pub(crate) const MIB: u64 = 1 << 20;

pub(crate) struct World {
    pub(crate) spawner: Spawner,
    pub(crate) dir: TempDir,
    pub(crate) instance: String,
    mounts: String,
}

impl World {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let instance = format!("t{}x{number}", std::process::id());
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["run", "disks"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o700)).expect("permissions");
        }
        make_skeleton(&dir.path().join("skeleton"));
        fs::create_dir_all(dir.path().join("usr_local/bin")).expect("a directory");
        let mounts = host_mounts();
        let spawner = Spawner::connect(options(dir.path(), &instance)).expect("a spawner");
        Self { spawner, dir, instance, mounts }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A sandbox on the host's `/usr` that runs `script`.
    pub(crate) fn spec(&self, name: &str, script: &str) -> ContainerSpec {
        ContainerSpec {
            name: name.into(),
            hostname: "sandbox".into(),
            rootfs: Rootfs::HostUsr { skeleton: self.path("skeleton"), usr_local: self.path("usr_local") },
            disk: Disk { path: self.path(&format!("disks/{name}.ext4")), bytes: 64 * MIB },
            limits: Limits { memory_bytes: 256 * MIB, cpu_millis: 1000, pids: 64, best_effort: false },
            user: User { uid: 1000, gid: 1000 },
            args: ["bash", "-c", script].map(Into::into).into(),
            env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            work_dir: "/home/daytona".into(),
        }
    }

    /// A sandbox that runs one of [`crate::probe`]'s functions.
    pub(crate) fn probe_spec(&self, name: &str, probe: &str) -> ContainerSpec {
        let args = ["probe", PROBE_ARG, probe].map(Into::into).into();
        ContainerSpec { args, ..self.spec(name, "") }
    }

    /// Starts it; what it writes to descriptor 3 can be read from the pipe.
    pub(crate) fn try_create(&self, spec: &ContainerSpec) -> Result<(Container, Output), RuntimeError> {
        let is_probe = spec.args.get(1).is_some_and(|arg| arg == PROBE_ARG);
        let program =
            File::open(if is_probe { "/proc/self/exe" } else { "/usr/bin/bash" }).expect("a program");
        self.try_create_with(spec, program.as_fd())
    }

    pub(crate) fn try_create_with(
        &self,
        spec: &ContainerSpec,
        toolbox: std::os::fd::BorrowedFd<'_>,
    ) -> Result<(Container, Output), RuntimeError> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let handles = Handles { listener: write.as_fd(), toolbox };
        self.spawner.create(spec, handles).map(|container| (container, Output(read)))
    }

    pub(crate) fn create(&self, spec: &ContainerSpec) -> (Container, Output) {
        self.try_create(spec).unwrap_or_else(|error| panic!("create: {}", chain(&error)))
    }

    /// Creates it and expects that to fail; returns the error with its causes.
    pub(crate) fn refuse(&self, spec: &ContainerSpec) -> (RuntimeError, String) {
        let error = self.try_create(spec).err().expect("an error");
        let text = chain(&error);
        (error, text)
    }

    /// Runs `script` in a sandbox of its own and returns what it said over descriptor 3.
    pub(crate) fn say(&self, name: &str, script: &str) -> String {
        self.say_spec(&self.spec(name, &format!("exec >&3 2>&3; {script}")))
    }

    pub(crate) fn say_spec(&self, spec: &ContainerSpec) -> String {
        let (_container, output) = self.create(spec);
        let text = output.read();
        self.delete(spec);
        text
    }

    pub(crate) fn delete(&self, spec: &ContainerSpec) {
        self.spawner
            .delete(&spec.name, &spec.disk.path)
            .unwrap_or_else(|error| panic!("delete: {}", chain(&error)));
    }

    /// Nothing of any sandbox is left: called when all have been deleted.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.spawner.list().expect("list"), [], "containers");
        assert_eq!(
            self.cgroups().iter().flat_map(|parent| children(parent)).collect::<Vec<_>>(),
            [""; 0],
            "cgroups"
        );
        let disks: Vec<String> = children(&self.path("disks"))
            .into_iter()
            .filter(|name| !name.starts_with(".template-"))
            .collect();
        assert_eq!(disks, [""; 0], "disks");
        assert_eq!(self.loops(), Vec::<PathBuf>::new(), "loop devices");
        assert_eq!(host_mounts(), self.mounts, "mounts of the host");
        let spawner = self.spawner_pid();
        assert_eq!(host::processes(&self.instance, spawner), [""; 0], "processes");
        let namespaces = spawner.map(host::held_namespaces).unwrap_or_default();
        assert_eq!(namespaces, [""; 0], "namespaces that the spawner holds");
    }

    /// Removes what a failed test has left, so that it does not fail the others.
    pub(crate) fn clear(&self) {
        for status in self.spawner.list().unwrap_or_default() {
            let _ = self.spawner.delete(&status.name, &self.path(&format!("disks/{}.ext4", status.name)));
        }
        for name in children(&self.path("disks")) {
            let _ = fs::remove_file(self.path("disks").join(name));
        }
    }

    /// Lets the spawner go, and checks that it goes, and leaves nothing.
    pub(crate) fn end(self) {
        self.assert_empty();
        let Self { spawner, dir, instance, .. } = self;
        drop(spawner);
        until("the spawner has left", || spawner_pid(dir.path()).is_none());
        assert_eq!(children(&dir.path().join("run")), ["spawner.lock"]);
        assert_eq!(cgroup_parents(&instance), Vec::<PathBuf>::new());
    }

    /// Our parent cgroups, in all hierarchies.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        cgroup_parents(&self.instance)
    }

    pub(crate) fn spawner_pid(&self) -> Option<i32> {
        spawner_pid(self.dir.path())
    }

    /// The files behind loop devices that are ours.
    pub(crate) fn loops(&self) -> Vec<PathBuf> {
        let devices = children(Path::new("/sys/block")).into_iter().filter(|name| name.starts_with("loop"));
        devices
            .filter_map(|name| fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok())
            .map(|file| PathBuf::from(file.trim()))
            .filter(|file| file.starts_with(self.dir.path()))
            .collect()
    }
}

pub(crate) fn options(dir: &Path, instance: &str) -> SpawnerOptions {
    SpawnerOptions { run_dir: dir.join("run"), instance: instance.into(), program: "/proc/self/exe".into() }
}

/// Waits for a state, for at most twenty seconds.
pub(crate) fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "not reached: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The reading end of descriptor 3.
pub(crate) struct Output(OwnedFd);

impl Output {
    /// Everything until the last writer has closed.
    pub(crate) fn read(self) -> String {
        let mut text = String::new();
        File::from(self.0).read_to_string(&mut text).expect("text");
        text
    }

    /// The next line, without its end.
    pub(crate) fn line(&self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while rustix::io::read(&self.0, &mut byte).expect("a byte") == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("text")
    }
}

/// The process that serves the run directory below `dir`.
fn spawner_pid(dir: &Path) -> Option<i32> {
    let run_dir = dir.join("run");
    children(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok()).find(|pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        args.get(1) == Some(&b"__spawner".as_slice())
            && args.get(2) == Some(&run_dir.as_os_str().as_encoded_bytes())
    })
}

fn cgroup_parents(instance: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let points = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let hierarchies =
        points.filter(|fields| fields[2].starts_with("cgroup")).map(|fields| fields[1].to_owned());
    let parents = hierarchies.map(|point| Path::new(&point).join(format!("sandgate-{instance}")));
    parents.filter(|parent| parent.exists()).collect()
}

/// The names of the directories (all entries, outside a cgroup) in `path`.
pub(crate) fn children(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a directory").filter_map(Result::ok);
    let is_cgroup = path.starts_with("/sys/fs/cgroup");
    let wanted = entries.filter(|entry| !is_cgroup || entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> = wanted.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn host_mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").expect("mounts")
}

fn make_skeleton(root: &Path) {
    for name in ["etc", "usr", "home", "root", "var"] {
        fs::create_dir_all(root.join(name)).expect("a directory");
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).expect("a link");
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/bash\ndaytona:x:1000:1000::/home/daytona:/bin/bash\n",
    )
    .expect("passwd");
}
