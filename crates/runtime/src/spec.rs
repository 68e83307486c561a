//! What a sandbox's container is made of, and the rules a specification must obey.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Lap, RuntimeError};

/// Everything that decides one container. It carries no handles; those are [`Handles`].
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct ContainerSpec {
    /// The key of the container: `[a-z0-9-]{1,128}`, starting with a letter or digit.
    pub name: String,
    /// What `hostname` says inside: 1 to 63 of `[a-zA-Z0-9.-]`.
    pub hostname: String,
    /// Where the files come from that the sandbox starts with.
    pub rootfs: Rootfs,
    /// Where everything goes that the sandbox writes.
    pub disk: Disk,
    /// What the sandbox may use at most.
    pub limits: Limits,
    /// Who runs inside, as ids of the sandbox's own user namespace.
    pub user: User,
    /// The argument vector of process 1; the program itself is [`Handles::toolbox`]. Not empty.
    pub args: Vec<String>,
    /// The whole environment of process 1, name and value; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Where process 1 starts, an absolute path inside; made (and given to `user`) when it is missing.
    pub work_dir: String,
}

/// The read-only part of a sandbox's root.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub enum Rootfs {
    /// Unpacked layers with their on-disk owners, idmapped, so that owner 0 is root inside.
    Image {
        /// Absolute directories, the topmost layer first; at least one.
        layers: Vec<PathBuf>,
    },
    /// The host's own `/usr`, read-only and not idmapped, on a skeleton of ours.
    HostUsr {
        /// Idmapped directory with `/etc`, `bin -> usr/bin`, an empty `usr`, and so on.
        skeleton: PathBuf,
        /// Directory that is mounted read-only over `/usr/local`.
        usr_local: PathBuf,
    },
}

/// The file that holds a sandbox's writes, as an ext4 file system of fixed size.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Disk {
    /// Absolute path. A missing file is made (0600), an existing one is used with what it contains.
    /// Its directory must be root's alone.
    pub path: PathBuf,
    /// Size of a new file in bytes, at least [`Disk::MIN_BYTES`]; a multiple of 4096. An existing file keeps its size.
    pub bytes: u64,
}

impl Disk {
    /// The smallest disk on which a file system with a journal makes sense.
    pub const MIN_BYTES: u64 = 16 << 20;
    /// The largest: what ext4 with 4 KiB blocks can be.
    pub const MAX_BYTES: u64 = 16 << 40;
}

/// Limits that the kernel enforces; a host that cannot enforce one refuses the container, unless it is told not to.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub struct Limits {
    /// Memory in bytes, page cache and kernel memory of the sandbox included; at least 8 MiB.
    pub memory_bytes: u64,
    /// Processor time in thousandths of one core: 1000 is one core; at least 10.
    pub cpu_millis: u64,
    /// Processes and threads together; at least 2.
    pub pids: u64,
    /// Whether a limit that cannot be set on this host is left out, and the container made all the same.
    #[serde(default)]
    pub best_effort: bool,
}

/// A user inside the sandbox. Uid 0 gets a small set of capabilities, everybody else none.
#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
pub struct User {
    /// User id, below 65,536.
    pub uid: u32,
    /// Group id, below 65,536; the only group.
    pub gid: u32,
}

/// The handles that a container is given.
#[derive(Clone, Copy, Debug)]
pub struct Handles<'a> {
    /// A listening unix socket: descriptor 3 of process 1.
    pub listener: BorrowedFd<'a>,
    /// The program of process 1, best from [`crate::sealed_executable`]. Executed by descriptor, so it needs no name
    /// inside; a script does not work.
    pub toolbox: BorrowedFd<'a>,
}

/// A container that was running when the call returned.
#[derive(Debug)]
pub struct Container {
    /// Process 1 of the sandbox, as the host sees it.
    pub pid: i32,
    /// Becomes readable when process 1 ends.
    pub pidfd: OwnedFd,
    /// Whether it was running before the call. Then the given handles were not used, and the old listener serves on.
    pub existing: bool,
    /// Where the time went; empty if it was running before.
    pub laps: Vec<Lap>,
}

/// What the spawner knows about one container.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// The name from its specification.
    pub name: String,
    /// Process 1 as the host sees it; of no meaning once it is not alive.
    pub pid: i32,
    /// Whether process 1 still runs.
    pub alive: bool,
    /// How it ended; `None` while it is alive.
    pub exit: Option<Exit>,
    /// Whether a signal has stopped process 1, so that it answers nobody.
    pub suspended: bool,
    /// How many of its processes the kernel has killed because its memory was used up.
    pub oom_kills: u64,
    /// Whether process 1 itself was killed for that.
    pub ended_by_memory: bool,
}

/// How process 1 of a sandbox ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Nobody can say: its parent was a spawner that died before it.
    Unknown,
}

impl ContainerSpec {
    /// Checks every rule that needs no look at the host.
    pub fn validate(&self) -> Result<(), RuntimeError> {
        validate_name(&self.name)?;
        self.validate_process()?;
        self.rootfs.validate()?;
        self.disk.validate()?;
        self.limits.validate()?;
        check(self.user.uid < 65_536 && self.user.gid < 65_536, "user and group ids must be below 65536")
    }

    fn validate_process(&self) -> Result<(), RuntimeError> {
        let host = self.hostname.as_bytes();
        check(
            (1..=63).contains(&host.len())
                && host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')),
            "the host name must be 1 to 63 letters, digits, dots and dashes",
        )?;
        check(!self.args.is_empty(), "the argument vector is empty")?;
        check(self.args.iter().all(|arg| !arg.contains('\0')), "an argument contains a zero byte")?;
        for (name, value) in &self.env {
            let good = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
            check(good, "an environment name is empty or contains `=`, or a zero byte is in it")?;
        }
        check(self.work_dir.len() < 4096, "the working directory's path is too long")?;
        validate_path(Path::new(&self.work_dir), "working directory")
    }
}

impl Rootfs {
    fn validate(&self) -> Result<(), RuntimeError> {
        match self {
            Self::Image { layers } => {
                check((1..=120).contains(&layers.len()), "an image has 1 to 120 layers")?;
                layers.iter().try_for_each(|layer| validate_path(layer, "layer"))
            }
            Self::HostUsr { skeleton, usr_local } => {
                validate_path(skeleton, "skeleton")?;
                validate_path(usr_local, "usr_local")
            }
        }
    }
}

impl Disk {
    fn validate(&self) -> Result<(), RuntimeError> {
        validate_path(&self.path, "disk")?;
        check(self.path.file_name().is_some(), "the disk's path names no file")?;
        let size = self.bytes;
        check(
            (Self::MIN_BYTES..=Self::MAX_BYTES).contains(&size) && size.is_multiple_of(4096),
            "a disk has 16 MiB to 16 TiB, in steps of 4096 bytes",
        )
    }
}

impl Limits {
    fn validate(self) -> Result<(), RuntimeError> {
        check((8 << 20..=1 << 50).contains(&self.memory_bytes), "memory must be 8 MiB to 1 PiB")?;
        check((10..=10_000_000).contains(&self.cpu_millis), "cpu must be 10 to 10,000,000 thousandths")?;
        check((2..=4_194_304).contains(&self.pids), "pids must be 2 to 4,194,304")
    }
}

/// Whether `name` may key a container: it becomes a directory name in the cgroup tree.
pub(crate) fn validate_name(name: &str) -> Result<(), RuntimeError> {
    let bytes = name.as_bytes();
    let good = (1..=128).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes[0] != b'-';
    check(good, "the name must be 1 to 128 of `a-z0-9-`, not starting with a dash")
}

/// Whether `path` is absolute, without `..` and without zero bytes.
pub(crate) fn validate_path(path: &Path, what: &str) -> Result<(), RuntimeError> {
    let plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    let good = path.is_absolute() && plain && !path.as_os_str().as_encoded_bytes().contains(&0);
    check(good, &format!("the path of the {what} must be absolute and free of `..`"))
}

fn check(good: bool, complaint: &str) -> Result<(), RuntimeError> {
    if good { Ok(()) } else { Err(RuntimeError::InvalidSpec(complaint.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "sandgate-a-1".into(),
            hostname: "sandbox".into(),
            rootfs: Rootfs::Image { layers: vec!["/layer".into()] },
            disk: Disk { path: "/disks/a".into(), bytes: 64 << 20 },
            limits: Limits { memory_bytes: 64 << 20, cpu_millis: 1000, pids: 64, best_effort: false },
            user: User { uid: 1000, gid: 1000 },
            args: vec!["toolbox".into()],
            env: vec![("PATH".into(), "/bin".into())],
            work_dir: "/home/daytona".into(),
        }
    }

    #[test]
    fn a_plain_specification_is_valid() {
        spec().validate().expect("valid");
    }

    #[test]
    fn each_rule_refuses_its_offender() {
        type Break = fn(&mut ContainerSpec);
        let breaks: [(&str, Break); 18] = [
            ("empty name", |s| s.name.clear()),
            ("slash in name", |s| s.name = "a/b".into()),
            ("dots as name", |s| s.name = "..".into()),
            ("upper case name", |s| s.name = "A".into()),
            ("long name", |s| s.name = "a".repeat(129)),
            ("host name with space", |s| s.hostname = "a b".into()),
            ("no args", |s| s.args.clear()),
            ("zero byte in arg", |s| s.args[0] = "a\0b".into()),
            ("equals in env name", |s| s.env[0].0 = "A=B".into()),
            ("relative work dir", |s| s.work_dir = "home".into()),
            ("parent in work dir", |s| s.work_dir = "/a/../b".into()),
            ("no layers", |s| s.rootfs = Rootfs::Image { layers: vec![] }),
            ("relative layer", |s| s.rootfs = Rootfs::Image { layers: vec!["layer".into()] }),
            ("tiny disk", |s| s.disk.bytes = 4096),
            ("odd disk", |s| s.disk.bytes += 1),
            ("no memory", |s| s.limits.memory_bytes = 0),
            ("no pids", |s| s.limits.pids = 0),
            ("foreign uid", |s| s.user.uid = 65_536),
        ];
        for (what, break_it) in breaks {
            let mut broken = spec();
            break_it(&mut broken);
            assert!(matches!(broken.validate(), Err(RuntimeError::InvalidSpec(_))), "{what} was accepted");
        }
    }
}
