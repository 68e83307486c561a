//! What a scenario left on the machine, looked for from outside: nothing may be left once its sandboxes are deleted.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::installation::Installation;
use crate::proc;

/// What is freed after the answer, such as a loop device, may take so long.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);
/// The server keeps so many connections to its spawner for later calls, one of them from the start.
const KEPT_CONNECTIONS: usize = 16;

/// Watches one server from its first start to its end.
pub(crate) struct Watch {
    installation: Installation,
    /// What the server and its spawner hold open before the first request.
    server: Handles,
    spawner: Handles,
    patience: Duration,
}

/// What a process holds open: connections between server and spawner, and all else.
#[derive(Debug, PartialEq, Eq)]
struct Handles {
    connections: usize,
    others: usize,
}

impl Watch {
    pub(crate) fn new(installation: Installation) -> Self {
        let (server, spawner) =
            (handles(&installation, installation.server), handles(&installation, spawner(&installation)));
        Self { installation, server, spawner, patience: PATIENCE }
    }

    /// What sandboxes left while their server goes on; empty when all is well. Waits a while until it is.
    pub(crate) async fn of_sandboxes(&self) -> Vec<String> {
        self.settle(|| {
            let mut found = self.common();
            found.extend(named("cgroup", self.installation.sandbox_cgroups()));
            found.extend(named("file", self.installation.sandbox_files()));
            let now = |pid| handles(&self.installation, pid);
            found.extend(objection("server", &self.server, &now(self.installation.server)));
            found.extend(objection("spawner", &self.spawner, &now(spawner(&self.installation))));
            found
        })
        .await
    }

    /// What is left once the server has been stopped and its spawner has nothing to hold.
    pub(crate) async fn of_server(&self) -> Vec<String> {
        self.settle(|| {
            let mut found = self.common();
            found.extend(processes(self.installation.processes()));
            found.extend(named("cgroup", self.installation.cgroups()));
            found.extend(self.table("/proc/net/unix"));
            found
        })
        .await
    }

    /// Looks until nothing is found or patience has ended.
    async fn settle(&self, look: impl Fn() -> Vec<String>) -> Vec<String> {
        let deadline = Instant::now() + self.patience;
        loop {
            let found = look();
            if found.is_empty() || Instant::now() > deadline {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn common(&self) -> Vec<String> {
        let mut found = processes(self.installation.sandbox_processes());
        found.extend(named("loop device", proc::loops(&self.installation.data_text())));
        found.extend(self.table("/proc/self/mountinfo"));
        found
    }

    /// Lines of a kernel table that name the data directory.
    fn table(&self, table: &str) -> Vec<String> {
        let data = self.installation.data_text();
        let text = proc::text(table);
        text.lines().filter(|line| line.contains(&data)).map(|line| format!("{table}: {line}")).collect()
    }
}

fn named(kind: &str, paths: Vec<PathBuf>) -> Vec<String> {
    paths.into_iter().map(|path| format!("{kind} {}", path.display())).collect()
}

fn processes(pids: Vec<u32>) -> Vec<String> {
    pids.into_iter().map(|pid| format!("process {pid}: {}", proc::command_line(pid))).collect()
}

fn objection(who: &str, before: &Handles, now: &Handles) -> Option<String> {
    let kept = before.connections + KEPT_CONNECTIONS - 1;
    let more = now.others > before.others || now.connections > kept;
    more.then(|| format!("open files of the {who}: {now:?}, at its start {before:?}"))
}

fn spawner(installation: &Installation) -> u32 {
    installation.spawner.unwrap_or(u32::MAX)
}

/// Its own files in the data directory are opened when they are first needed, and not counted.
fn handles(installation: &Installation, pid: u32) -> Handles {
    let packets = packet_sockets(pid);
    let targets =
        proc::entries(format!("/proc/{pid}/fd")).into_iter().filter_map(|fd| fs::read_link(fd).ok());
    let foreign = targets.filter(|target| target.parent() != Some(&installation.data));
    let (connections, others): (Vec<_>, Vec<_>) =
        foreign.partition(|target| packets.contains(&*target.to_string_lossy()));
    Handles { connections: connections.len(), others: others.len() }
}

/// The sockets of packets: those between server and spawner are the only ones of this kind.
fn packet_sockets(pid: u32) -> BTreeSet<String> {
    let table = proc::of(pid, "net/unix");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let packets = rows.filter(|row| row.len() > 6 && row[4] == "0005");
    packets.map(|row| format!("socket:[{}]", row[6])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Api;
    use crate::server::Server;

    #[tokio::test]
    async fn a_sandbox_that_was_left_is_found_in_each_place_and_is_gone_after_its_delete() {
        let server = Server::start_for_test().await;
        let watch = Watch::new(server.installation().await.unwrap());
        let watch = Watch { patience: Duration::ZERO, ..watch };
        let api = Api::new(&server).unwrap();
        let sandbox = api.create().await.unwrap();
        let found = watch.of_sandboxes().await;
        api.delete(&sandbox).await.unwrap();
        drop(api);
        let watch = Watch { patience: PATIENCE, ..watch };
        assert_eq!(watch.of_sandboxes().await, Vec::<String>::new());
        let _folder = server.stop().await.unwrap();
        assert_eq!(watch.of_server().await, Vec::<String>::new());
        for kind in ["process", "cgroup", "loop device", "file"] {
            assert!(found.iter().any(|line| line.starts_with(kind)), "{kind} in {found:?}");
        }
    }

    #[test]
    fn more_open_files_than_at_the_start_are_a_leak_and_kept_connections_are_none() {
        let before = Handles { connections: 1, others: 20 };
        let now = |connections, others| objection("server", &before, &Handles { connections, others });
        assert_eq!(now(16, 20), None);
        assert!(now(17, 20).is_some());
        assert!(now(1, 21).is_some_and(|text| text.contains("others: 21")));
    }
}
