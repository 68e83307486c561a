//! A server whose disk is nearly full, full, or refuses writes: what it answers, and that it comes back by itself.

use std::fs::File;
use std::io::{Read as _, copy, repeat};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use sandgate_tests::{Answer, Options, Server, skip, until, wait_until};
use serde_json::json;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A small disk in memory, which goes with this.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), c"size=384m,mode=0700")
            .expect("a small disk");
        Self(dir)
    }

    /// A server that keeps everything on it, and so many MiB free.
    async fn server(&self, min_free_mib: u64) -> Server {
        let config = Some(format!("[disk]\nmin_free_mib = {min_free_mib}\n"));
        let parent = Some(self.0.path().to_owned());
        Server::start_with(Options { config, parent, ..Options::default() }).await
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Takes all the room but so many MiB.
    fn fill_but(&self, mib: u64) {
        let found = rustix::fs::statvfs(self.0.path()).expect("the disk");
        let free = found.f_bavail * found.f_frsize;
        let mut file = File::options().append(true).create(true).open(self.filler()).expect("a file");
        // On the last page it may be full.
        let _ = copy(&mut repeat(1).take(free.saturating_sub(mib * MIB)), &mut file);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("remove the filler");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

/// What the server says to a create that it refuses.
async fn refused(server: &Server, status: u16, words: &[&str]) {
    assert_says(&server.post_json("/api/sandbox", &json!({})).await, status, words);
}

fn assert_says(answer: &Answer, status: u16, words: &[&str]) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    for word in words {
        assert!(text.contains(word), "it says `{word}`: {text}");
    }
}

#[tokio::test]
async fn below_its_reserve_nothing_is_begun_and_everything_goes_on() {
    let disk = Disk::new();
    let server = disk.server(64).await;
    let (running, stopped) = (server.create(&json!({})).await, server.create(&json!({})).await);
    stopped.stop().await;
    disk.fill_but(40);
    refused(&server, 507, &["MiB free", "keeps 64", "delete sandboxes"]).await;
    assert_says(&server.post(&stopped.path("/start")).await, 507, &["INSUFFICIENT_STORAGE"]);
    assert_eq!(running.sh("echo alive").await, "alive");
    assert_eq!(server.list().await.len(), 2, "nothing was written of what was refused");
    disk.make_room();
    stopped.start().await;
    server.create(&json!({})).await.delete().await;
    running.delete().await;
    stopped.delete().await;
}

#[tokio::test]
async fn on_a_full_disk_sandboxes_can_be_ended_and_it_is_over_by_itself() {
    let disk = Disk::new();
    let server = disk.server(0).await;
    let (first, second) = (server.create(&json!({})).await, server.create(&json!({})).await);
    let mut made = Vec::new();
    until("no sandbox is made", async || {
        // The ledger may give some room back while it is being filled.
        disk.fill_but(0);
        let answer = server.post_json("/api/sandbox", &json!({})).await;
        made.extend((answer.status == 200).then(|| answer.json()["id"].as_str().expect("an id").to_owned()));
        answer.status == 507
    })
    .await;
    refused(&server, 507, &["full"]).await;
    assert_eq!(first.sh("echo alive").await, "alive");
    first.delete().await;
    disk.make_room();
    until("a sandbox is made", async || {
        let answer = server.post_json("/api/sandbox", &json!({ "name": "again" })).await;
        answer.status == 200
    })
    .await;
    for id in made.iter().map(String::as_str).chain(["again"]) {
        assert_eq!(server.delete(&format!("/api/sandbox/{id}")).await.status, 200, "{id}");
    }
    second.delete().await;
}

/// A kernel does not make a file system read-only under open files, so that the calls are made to answer as if.
#[tokio::test]
async fn a_disk_that_refuses_writes_loses_nothing_and_it_is_over_by_itself() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        return skip("a_disk_that_refuses_writes", "needs strace");
    }
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "name": "one" })).await;
    let read_only = ReadOnly::make(&server);
    refused(&server, 503, &["read-only", "try again"]).await;
    assert_says(&server.delete(&sandbox.path("")).await, 503, &["SERVICE_UNAVAILABLE"]);
    assert_eq!(sandbox.info().await["state"], "started");
    assert_eq!(server.list().await.len(), 1);
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    read_only.end();
    server.create(&json!({})).await.delete().await;
    server.kill();
    server.start_again();
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    sandbox.delete().await;
}

/// While this lasts, the files of a server's ledger cannot be written.
struct ReadOnly {
    strace: Child,
    server: u32,
}

impl ReadOnly {
    fn make(server: &Server) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64,ftruncate"]);
        strace.args(["-e", "inject=pwrite64,ftruncate:error=EROFS"]);
        for file in ["ledger.db", "ledger.db-wal"] {
            strace.arg("-P").arg(server.data().join(file));
        }
        let strace = strace.args(["-p", &server.pid().to_string()]).spawn().expect("strace");
        let read_only = Self { strace, server: server.pid() };
        assert!(wait_until(|| read_only.traced().all(|traced| traced)), "it is traced");
        read_only
    }

    /// Of each thread of the server, whether it is traced.
    fn traced(&self) -> impl Iterator<Item = bool> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.server)).expect("the server runs");
        threads.flatten().map(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    }

    fn end(mut self) {
        kill_process(Pid::from_child(&self.strace), Signal::INT).expect("strace runs");
        self.strace.wait().expect("strace ends");
        assert!(wait_until(|| !self.traced().any(|traced| traced)), "it is let go");
    }
}
