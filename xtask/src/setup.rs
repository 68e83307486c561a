//! What the other verbs need from this machine: checked each time, installed only where it is missing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::invoke;
use crate::project::Project;

/// The system's own Python: the one that sandboxes of the default image see.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// How a missing thing shows, and the Debian package that brings it.
struct Need {
    probe: Probe,
    package: &'static str,
}

enum Probe {
    /// One of these files exists.
    File(&'static [&'static str]),
    /// The system's Python can import this.
    Module(&'static str),
}

const NEEDS: &[Need] = &[
    Need { probe: Probe::File(&[PYTHON]), package: "python3" },
    Need { probe: Probe::Module("ensurepip"), package: "python3-venv" },
    Need { probe: Probe::Module("pip"), package: "python3-pip" },
    Need { probe: Probe::File(&["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]), package: "e2fsprogs" },
    Need { probe: Probe::File(&["/usr/bin/curl"]), package: "curl" },
    Need { probe: Probe::File(&["/usr/bin/tar"]), package: "tar" },
    Need { probe: Probe::File(&["/usr/bin/setpriv"]), package: "util-linux" },
    Need { probe: Probe::File(&["/usr/bin/strace"]), package: "strace" },
    Need { probe: Probe::File(&["/usr/bin/sqlite3"]), package: "sqlite3" },
    Need { probe: Probe::File(&["/usr/bin/faketime"]), package: "faketime" },
    Need { probe: Probe::File(&["/usr/bin/cc"]), package: "build-essential" },
    Need {
        probe: Probe::File(&["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]),
        package: "ca-certificates",
    },
];

/// What virtual machines need beside [`NEEDS`]: an emulator, and what their disks are made with and of.
const NEEDS_OF_MACHINES: &[Need] = &[
    Need { probe: Probe::File(&["/usr/bin/qemu-system-x86_64"]), package: "qemu-system-x86" },
    Need { probe: Probe::File(&["/bin/busybox"]), package: "busybox-static" },
    Need { probe: Probe::File(&["/sbin/depmod"]), package: "kmod" },
    Need { probe: Probe::File(&["/usr/bin/mount", "/bin/mount"]), package: "mount" },
    Need { probe: Probe::File(&["/usr/bin/free"]), package: "procps" },
];

/// Makes sure that a server can run here and be talked to.
pub(crate) fn tools() -> Result<()> {
    // Whoever owns our own entry in /proc is who we run as.
    let owner = std::fs::metadata("/proc/self").context("/proc is not mounted")?.uid();
    ensure!(owner == 0, "sandboxes are made by root: run this as root, or with `sudo -E env PATH=$PATH`");
    provide(NEEDS)
}

/// Makes sure that virtual machines of Debian can be made and run here, too.
pub(crate) fn virtual_machines() -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the virtual machines run this machine's programs, and are x86_64");
    tools()?;
    provide(NEEDS_OF_MACHINES)?;
    ensure!(invoke::exists("apt-get"), "the kernels are Debian's, and apt-get is not here to fetch them");
    Ok(())
}

/// Installs what is missing of `needs`.
fn provide(needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        invoke::exists("apt-get"),
        "missing here, by the names of their Debian packages: {}; install them and try again",
        missing.join(" ")
    );
    install(&missing)?;
    let missing = self::missing(needs);
    ensure!(missing.is_empty(), "still missing after the installation: {}", missing.join(" "));
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<&'static str> {
    needs.iter().filter(|need| !need.probe.present()).map(|need| need.package).collect()
}

impl Probe {
    fn present(&self) -> bool {
        match self {
            Self::File(places) => places.iter().any(|place| Path::new(place).exists()),
            Self::Module(name) => {
                let mut python = Command::new(PYTHON);
                python.args(["-c", &format!("import {name}")]).stdin(Stdio::null());
                invoke::output(&mut python).is_ok_and(|output| output.status.success())
            }
        }
    }
}

fn install(packages: &[&str]) -> Result<()> {
    eprintln!("installing {}", packages.join(" "));
    update_lists()?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages);
    invoke::run(install.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()))
}

/// Asks the archive which packages there are.
pub(crate) fn update_lists() -> Result<()> {
    invoke::run(Command::new("apt-get").args(["update", "--quiet"]).stdin(Stdio::null()))
}

/// The Python environment with the published SDK, made or renewed when its pinned list has changed.
pub(crate) fn venv(project: &Project) -> Result<PathBuf> {
    let venv = project.target.join("venv");
    let lists = project.root.join("tests/python");
    let wanted = [read(&lists.join("requirements.txt"))?, read(&lists.join("constraints.txt"))?].concat();
    let stamp = venv.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(venv);
    }
    make_venv(&venv, &lists)?;
    std::fs::write(stamp, wanted)?;
    Ok(venv)
}

fn make_venv(venv: &Path, lists: &Path) -> Result<()> {
    eprintln!("making the Python environment in {}", venv.display());
    invoke::run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]);
    pip.arg("--requirement").arg(lists.join("requirements.txt"));
    pip.arg("--constraint").arg(lists.join("constraints.txt"));
    invoke::run(pip.stdin(Stdio::null()))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
