//! Rights, the kernel's version, and the features that a sandbox is made of.

use std::error::Error;
use std::fs;
use std::path::Path;

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::Finding;
use super::Status::{Absent, Degraded, Missing};
use super::Subject::Kernel;
use super::idmap;
use crate::mount::FileSystem;
use crate::{sealed_executable, sys};

/// With idmapped layers below an overlay.
const OLDEST: (u32, u32) = (5, 19);
/// With descriptors of unattached mounts as layers.
const LAYERS_BY_DESCRIPTOR: (u32, u32) = (6, 15);
/// The capability that mounts and namespaces are made with.
const SYS_ADMIN: u64 = 1 << 21;
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
const UPGRADE: &str = "use a newer kernel, 6.1 or later";

pub(super) fn findings(place: &Path) -> Vec<Finding> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    vec![
        rights(&status),
        version(&release),
        namespaces(),
        Finding::needed(
            Kernel,
            "clone3",
            clone3(),
            "allow clone3 in the system call filter of the container",
        ),
        Finding::needed(Kernel, "overlay", overlay(), "load it: `modprobe overlay`"),
        layers(&release),
        idmapped(place),
        Finding::needed(
            Kernel,
            "seccomp filters",
            seccomp(&status),
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        landlock(),
        Finding::needed(Kernel, "pidfd", pidfd(), UPGRADE),
        Finding::needed(Kernel, "executable memory files", memory_file(), "`sysctl vm.memfd_noexec=1`, or 0"),
    ]
}

fn rights(status: &str) -> Finding {
    let root = rustix::process::geteuid().is_root();
    let found = match (root, capabilities(status) & SYS_ADMIN != 0) {
        (true, true) => return Finding::ok(Kernel, "rights", "root, with the right to mount"),
        (true, false) => "root, but without CAP_SYS_ADMIN",
        (false, _) => "not root; what follows is what can be seen without",
    };
    Finding::ok(Kernel, "rights", found).lacking(Missing, "no sandbox can be made", "run it as root")
}

fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:\t"));
    line.and_then(|bits| u64::from_str_radix(bits, 16).ok()).unwrap_or_default()
}

fn version(release: &str) -> Finding {
    let found = Finding::ok(Kernel, "version", release);
    if number(release) >= OLDEST {
        return found;
    }
    found.lacking(Missing, "images cannot be shared between sandboxes", UPGRADE)
}

/// The first two numbers of a kernel's release.
fn number(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn namespaces() -> Finding {
    let lacking: Vec<_> =
        NAMESPACES.into_iter().filter(|name| !Path::new("/proc/self/ns").join(name).exists()).collect();
    let seen = if lacking.is_empty() { Ok(NAMESPACES.join(", ")) } else { Err(lacking.join(", ") + " lack") };
    Finding::needed(Kernel, "namespaces", seen, "use a kernel with all kinds of namespaces")
}

/// Without arguments the kernel refuses it as invalid, where it knows it and lets it through.
fn clone3() -> Result<String, String> {
    match sys::refusal_of_clone3().raw_os_error() {
        Some(libc::EINVAL) => Ok("available".into()),
        _ => Err("blocked or unknown; is this a container with a system call filter?".into()),
    }
}

fn overlay() -> Result<String, String> {
    if fs::read_to_string("/proc/filesystems")
        .is_ok_and(|all| all.lines().any(|line| line.ends_with("\toverlay")))
    {
        return Ok("available".into());
    }
    // Asking for it makes the kernel load its module, as the first sandbox would.
    FileSystem::open("overlay").map(|_| "available as a module".into()).map_err(|error| error.to_string())
}

fn layers(release: &str) -> Finding {
    let found = Finding::ok(Kernel, "layers by descriptor", "yes; the host's mount table stays as it is");
    if number(release) >= LAYERS_BY_DESCRIPTOR {
        return found;
    }
    Finding { detail: "no (since Linux 6.15); layers go by path".into(), ..found }.lacking(
        Degraded,
        "making a sandbox takes a little longer",
        "none is needed; a newer kernel removes it",
    )
}

fn idmapped(place: &Path) -> Finding {
    let what = "idmapped mounts";
    if !rustix::process::geteuid().is_root() || !one_thread() {
        return Finding::ok(Kernel, what, "not tried; the self-test shows it");
    }
    let seen = idmap::try_on(place).map(|()| format!("on the file system of {}", place.display()));
    let why = |error: crate::RuntimeError| chain(&error);
    Finding::needed(Kernel, what, seen.map_err(why), "put the data directory on ext4, xfs or btrfs")
}

fn one_thread() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

fn seccomp(status: &str) -> Result<String, String> {
    if status.contains("\nSeccomp:\t") { Ok("available".into()) } else { Err("not in this kernel".into()) }
}

/// Nothing of ours uses it: whoever it restricts may not mount.
fn landlock() -> Finding {
    match sys::landlock_version() {
        Ok(version) => Finding::ok(Kernel, "Landlock", format!("version {version}")),
        Err(error) => {
            Finding { status: Absent, ..Finding::ok(Kernel, "Landlock", format!("{error}; not needed")) }
        }
    }
}

fn pidfd() -> Result<String, String> {
    pidfd_open(getpid(), PidfdFlags::empty()).map(|_| "available".into()).map_err(|error| error.to_string())
}

fn memory_file() -> Result<String, String> {
    sealed_executable(b"").map(|_| "allowed".into()).map_err(|error| chain(&error))
}

fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(number("6.1.0-44-cloud-amd64"), (6, 1));
        assert_eq!(number("5.4"), (5, 4));
        assert_eq!(number("unknown"), (0, 0));
        assert_eq!(version("5.4.0-generic").status, Missing);
        assert_eq!(version("6.10.0").status, crate::host::Status::Ok);
        assert_eq!(layers("6.9.12").status, Degraded);
    }

    #[test]
    fn the_effective_capabilities_are_read() {
        assert_eq!(
            capabilities("CapPrm:\t0\nCapEff:\t00000000a82425fb\n") & SYS_ADMIN,
            SYS_ADMIN & 0xa824_25fb
        );
        assert_eq!(capabilities("CapEff:\t000001ffffffffff\n") & SYS_ADMIN, SYS_ADMIN);
    }
}
