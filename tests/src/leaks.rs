//! What a server and its sandboxes leave on a machine, looked for from outside. Keyed by data directory and instance,
//! so that tests which run side by side do not see each other's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use crate::host::{column, command_line, entries, namespace, pids, text};

/// Connections to the process that holds the sandboxes: the only sockets of this kind. A few are kept for later calls.
pub(crate) const PACKETS: &str = "sequenced packet socket";
pub(crate) const KEPT_PACKETS: usize = 16;

/// Watches one installation from its first start to its end.
pub(crate) struct LeakGuard {
    data: PathBuf,
    /// Name of the control group that all its sandboxes share.
    cgroup: String,
    /// What the server holds open while it has no sandbox.
    handles: BTreeMap<String, usize>,
    /// Network namespaces that its sandboxes were seen in.
    namespaces: Mutex<BTreeSet<PathBuf>>,
}

impl LeakGuard {
    /// Takes the baseline of a server that has just started.
    pub(crate) fn new(data: &Path, instance: &str, server: u32) -> Self {
        let handles = handles(server, data);
        let cgroup = format!("sandgate-{instance}");
        Self { data: data.to_owned(), cgroup, handles, namespaces: Mutex::default() }
    }

    /// Of programs that kept their data somewhere in `folder`. Their instances are told by the processes that held their
    /// sandboxes, which are there for a moment longer; one that has gone already took along what carries its name.
    pub(crate) fn of_programs(folder: &Path) -> Vec<Self> {
        let guard = |instance: &str| Self::new(folder, instance, std::process::id());
        let any = guard("none");
        let lines: Vec<_> = any.processes().into_iter().map(|pid| text(pid, "cmdline")).collect();
        let instances = lines.iter().filter_map(|line| line.trim_end_matches('\0').rsplit('\0').next());
        instances.map(guard).chain([any]).collect()
    }

    /// Remembers the namespaces of the sandboxes that live now.
    pub(crate) fn observe(&self) {
        let host = fs::read_link("/proc/self/ns/net").expect("our own network namespace");
        let seen = self.sandbox_processes().into_iter().filter_map(namespace);
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.extend(seen.filter(|namespace| *namespace != host));
    }

    /// What sandboxes left behind, while their server goes on running.
    pub(crate) fn of_sandboxes(&self, server: u32) -> Vec<String> {
        let mut found = self.common();
        found.extend(self.files());
        let now = handles(server, &self.data);
        for (kind, count) in now {
            let before = self.handles.get(&kind).copied().unwrap_or_default();
            if count > before.max(if kind == PACKETS { KEPT_PACKETS } else { 0 }) {
                found.push(format!("the server holds {count} of {kind}, {before} when it started"));
            }
        }
        found
    }

    /// What is left once the server and the process that holds its sandboxes should both be gone.
    pub(crate) fn of_server(&self) -> Vec<String> {
        let mut found = self.common();
        found.extend(self.processes().into_iter().map(|pid| format!("process {pid}: {}", command_line(pid))));
        found.extend(self.cgroups().into_iter().map(|folder| format!("cgroup {}", folder.display())));
        found.extend(self.table("/proc/net/unix"));
        found.extend(self.rules());
        found
    }

    /// Ends what a failed test left running, so that it does not disturb the next one.
    pub(crate) fn kill_sandboxes(&self) {
        for pid in self.sandbox_processes() {
            // It may have ended by itself since it was listed.
            let _ = Pid::from_raw(pid.cast_signed()).map(|pid| kill_process(pid, Signal::KILL));
        }
    }

    /// How many there are of each kind of thing that sandboxes have on this machine.
    pub(crate) fn census(&self) -> BTreeMap<String, u64> {
        let namespaces: BTreeSet<_> = self.sandbox_processes().into_iter().filter_map(namespace).collect();
        let groups = self.cgroups().into_iter().flat_map(entries).filter(|entry| entry.is_dir());
        let counts = [
            ("control groups", groups.count()),
            ("files", self.files().len()),
            ("loop devices", self.loops().len()),
            ("mounts", self.table("/proc/self/mountinfo").len()),
            ("network namespaces", namespaces.len()),
            ("processes in sandboxes", self.sandbox_processes().len()),
            ("unix sockets", self.table("/proc/net/unix").len()),
        ];
        counts.into_iter().map(|(kind, count)| (kind.to_owned(), count as u64)).collect()
    }

    fn common(&self) -> Vec<String> {
        let mut found = self.table("/proc/self/mountinfo");
        found.extend(self.loops());
        found.extend(self.living_namespaces());
        let sandboxes = self.sandbox_processes().into_iter();
        found.extend(sandboxes.map(|pid| format!("process {pid} in {}: {}", self.cgroup, command_line(pid))));
        let groups = self.cgroups().into_iter().flat_map(entries).filter(|entry| entry.is_dir());
        found.extend(groups.map(|folder| format!("cgroup {}", folder.display())));
        found
    }

    /// Disks and sockets of single sandboxes. What is kept for all of them has a name of its own.
    fn files(&self) -> Vec<String> {
        let folders = ["disks", "run", "sockets"].map(|folder| entries(self.data.join(folder)));
        let single = folders.into_iter().flatten().filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with(".template") && !name.starts_with("spawner")
        });
        single.map(|file| format!("file {}", file.display())).collect()
    }

    /// The control groups of this installation, one in each hierarchy.
    fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = entries(root).into_iter().chain([root.to_owned()]);
        hierarchies.map(|hierarchy| hierarchy.join(&self.cgroup)).filter(|folder| folder.is_dir()).collect()
    }

    /// Rules of the host's packet filter that bear our name; none where there is no such filter.
    fn rules(&self) -> Vec<String> {
        let Ok(said) = Command::new("nft").args(["list", "ruleset"]).output() else { return Vec::new() };
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let ours = text.lines().filter(|line| line.contains(&self.cgroup));
        ours.map(|line| format!("packet filter: {}", line.trim())).collect()
    }

    fn loops(&self) -> Vec<String> {
        let devices = entries("/sys/block").into_iter();
        let ours = devices.filter(|device| {
            let file = fs::read_to_string(device.join("loop/backing_file")).unwrap_or_default();
            file.starts_with(&*self.data.to_string_lossy())
        });
        ours.map(|device| format!("loop device {}", device.display())).collect()
    }

    /// The kernel gives the number of a namespace that is gone to the next one, which may well be in another
    /// installation's sandbox: what is in there is not ours.
    fn living_namespaces(&self) -> Vec<String> {
        let seen = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let others = pids().into_iter().filter(|pid| !self.is_of_another_installation(*pid));
        let alive: BTreeSet<_> = others.filter_map(namespace).collect();
        seen.intersection(&alive).map(|namespace| format!("namespace {}", namespace.display())).collect()
    }

    fn is_of_another_installation(&self, pid: u32) -> bool {
        let groups = text(pid, "cgroup");
        groups.contains("/sandgate-") && !groups.contains(&format!("/{}", self.cgroup))
    }

    pub(crate) fn sandbox_processes(&self) -> Vec<u32> {
        let group = format!("/{}", self.cgroup);
        pids().into_iter().filter(|pid| text(*pid, "cgroup").contains(&group)).collect()
    }

    /// Processes that were started with our data directory: the server and the holder of its sandboxes.
    fn processes(&self) -> Vec<u32> {
        let data = self.data.to_string_lossy();
        let ours =
            |pid: &u32| text(*pid, "cmdline").contains(&*data) || text(*pid, "environ").contains(&*data);
        pids().into_iter().filter(|pid| *pid != std::process::id()).filter(ours).collect()
    }

    pub(crate) fn spawner(&self) -> Option<u32> {
        self.processes().into_iter().find(|pid| text(*pid, "cmdline").contains("__spawner"))
    }

    /// Lines of a kernel table that name our data directory.
    fn table(&self, table: &str) -> Vec<String> {
        let text = fs::read_to_string(table).unwrap_or_default();
        let ours = text.lines().filter(|line| line.contains(&*self.data.to_string_lossy()));
        ours.map(|line| format!("{table}: {line}")).collect()
    }
}

/// What a server holds open, by kind. Connections of clients are the clients' business, and its own files in the data
/// directory are opened when they are needed.
pub(crate) fn handles(server: u32, data: &Path) -> BTreeMap<String, usize> {
    let tcp = [text(server, "net/tcp"), text(server, "net/tcp6")].concat();
    let (clients, packets) =
        (column(&tcp, 9, |_| true), column(&text(server, "net/unix"), 6, |row| row[4] == "0005"));
    let mut kinds = BTreeMap::new();
    for handle in entries(format!("/proc/{server}/fd")) {
        let Ok(target) = fs::read_link(handle) else { continue };
        // Of a server whose clock is turned by a test; named for the process, so that the next one has another.
        if target.starts_with("/dev/shm") && target.to_string_lossy().contains("faketime_shm") {
            continue;
        }
        let target = target.to_string_lossy().into_owned();
        let socket =
            target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
        let kind = match &target {
            _ if packets.contains(socket) => PACKETS,
            _ if clients.contains(socket) || Path::new(&target).parent() == Some(data) => continue,
            _ => target.split(":[").next().unwrap_or_default(),
        };
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
    }
    kinds
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Child;

    use super::*;
    use crate::wait::wait_until;

    /// A guard of an installation that is only a folder, watching this very test as its server.
    fn guard(folder: &Path, instance: &str) -> LeakGuard {
        LeakGuard::new(folder, instance, std::process::id())
    }

    fn contains(found: &[String], word: &str) -> bool {
        found.iter().any(|line| line.contains(word))
    }

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }

    #[test]
    fn a_process_and_its_control_group_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path(), "planted1");
        assert_eq!(guard.of_server(), Vec::<String>::new());
        let group = cgroup_root().join("sandgate-planted1");
        fs::create_dir(&group).expect("a control group");
        let child =
            Command::new("sleep").arg("600").env("DATA", folder.path()).spawn().expect("sleep starts");
        let child = Ended(child);
        fs::write(group.join("cgroup.procs"), child.0.id().to_string()).expect("it can be moved");
        let (found, pid) = (guard.of_server(), child.0.id());
        drop(child);
        fs::remove_dir(&group).expect("an empty control group");
        assert!(contains(&found, &format!("process {pid} in sandgate-planted1")), "{found:?}");
        assert!(contains(&found, &format!("process {pid}: sleep 600")), "{found:?}");
        assert!(contains(&found, &format!("cgroup {}", group.display())), "{found:?}");
        assert_eq!(guard.of_server(), Vec::<String>::new());
    }

    #[test]
    fn files_sockets_and_handles_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path(), "planted2");
        for name in ["disks", "run", "sockets"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        fs::write(folder.path().join("disks/.template-1.ext4"), "").expect("a file that is kept");
        assert_eq!(guard.files(), Vec::<String>::new());
        fs::write(folder.path().join("disks/one.ext4"), "").expect("a file");
        let path = folder.path().join("run/one.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let found = guard.of_sandboxes(std::process::id());
        assert!(
            contains(&found, "file") && contains(&found, "one.ext4") && contains(&found, "one.sock"),
            "{found:?}"
        );
        assert!(contains(&found, "of socket"), "{found:?}");
        assert!(contains(&guard.of_server(), "/proc/net/unix"));
        drop(listener);
        assert!(!contains(&guard.of_server(), "/proc/net/unix"));
    }

    #[test]
    fn a_mount_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path(), "planted3");
        let mount = |args: &[&str]| Command::new(args[0]).args(&args[1..]).arg(folder.path()).status();
        assert!(mount(&["mount", "-t", "tmpfs", "planted"]).expect("mount starts").success());
        let found = guard.of_server();
        assert!(mount(&["umount"]).expect("umount starts").success());
        assert!(contains(&found, "mountinfo"), "{found:?}");
        assert_eq!(guard.of_server(), Vec::<String>::new());
    }

    #[test]
    fn a_rule_of_the_packet_filter_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path(), "planted5");
        let nft =
            |verb: &str| Command::new("nft").args([verb, "table", "inet", "sandgate-planted5"]).status();
        let Ok(made) = nft("add") else {
            return crate::skip("a_rule_of_the_packet_filter_is_found", "there is no nft here");
        };
        assert!(made.success());
        let found = guard.of_server();
        assert!(nft("delete").expect("nft starts").success());
        assert!(contains(&found, "packet filter"), "{found:?}");
        assert_eq!(guard.of_server(), Vec::<String>::new());
    }

    #[test]
    fn a_loop_device_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = guard(folder.path(), "planted4");
        let disk = folder.path().join("disk");
        fs::write(&disk, vec![0; 1 << 20]).expect("a disk");
        let made =
            Command::new("losetup").args(["--find", "--show"]).arg(&disk).output().expect("losetup starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let found = guard.of_server();
        let device = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        assert!(
            Command::new("losetup").args(["--detach", &device]).status().expect("losetup starts").success()
        );
        assert!(contains(&found, "loop device"), "{found:?}");
        assert!(wait_until(|| guard.of_server().is_empty()), "{:?}", guard.of_server());
    }

    /// The hierarchy in which processes can be moved without limits of their own.
    fn cgroup_root() -> PathBuf {
        let unified = Path::new("/sys/fs/cgroup/unified");
        if unified.is_dir() { unified.to_owned() } else { PathBuf::from("/sys/fs/cgroup") }
    }
}
