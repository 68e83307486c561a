//! The drill of `docs/runbooks/backup-and-restore.md`, with a real server and real sandboxes.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use sandgate_tests::{Sandbox, Server, long_checks, sandgate, skip};
use serde_json::{Value, json};

const BIRTH: &str = "cut -d' ' -f22 /proc/1/stat 2>/dev/null || stat -c %Y /proc/1";

fn run(verb: &str, server: &Server, args: &[&str], backup: &Path) -> Output {
    let mut command = sandgate(None);
    command.arg(verb).arg("--data-dir").arg(server.data()).args(args).arg(backup);
    command.output().expect("it starts")
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn refused(output: &Output, word: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(word), "it says `{word}`: {said}");
}

#[tokio::test]
async fn a_ledger_is_backed_up_while_it_works_and_put_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let backup = folder.path().join("backup");
    let server = Server::start().await;
    let config = json!({ "name": "kept", "env": { "TOKEN": "hush" }, "labels": { "a": "before" } });
    let kept = server.create(&config).await;
    let lost = server.create(&json!({ "name": "lost" })).await;
    let birth = kept.sh(BIRTH).await;
    succeeded(&run("backup", &server, &[], &backup));
    refused(&run("backup", &server, &[], &backup), "already");
    lost.delete().await;
    let relabelled = json!({ "labels": { "a": "after" } });
    server
        .request(reqwest::Method::PUT, &kept.path("/labels"))
        .json(&relabelled)
        .send()
        .await
        .expect("an answer");
    refused(&run("restore", &server, &["--replace"], &backup), "another Sandgate");
    server.terminate();
    refused(&run("restore", &server, &[], &backup), "--replace");
    succeeded(&run("restore", &server, &["--replace"], &backup));
    server.start_again();
    assert_eq!(kept.sh(BIRTH).await, birth, "the sandbox went on through all of it");
    assert_eq!(kept.sh("echo $TOKEN").await, "hush", "its secrets are readable");
    assert_eq!(kept.info().await["labels"]["a"], "before");
    let back = server.get("/api/sandbox/lost").await.expect(200).json();
    assert_ne!(
        back["state"], "started",
        "the ledger knows again of what was deleted, and sees that it is gone: {back}"
    );
    assert_eq!(server.delete("/api/sandbox/lost").await.status, 200);
    kept.delete().await;
}

/// How long it may take until the server has seen a sandbox often enough to name it.
const NAMED: Duration = Duration::from_secs(90);

/// What the server holds and does not know, once it is sure of it.
async fn orphans(server: &Server) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let held = server.get("/v1/orphans").await.expect(200).json()["held"].clone();
        let held = held.as_array().expect("names").clone();
        if !held.is_empty() {
            return held;
        }
        assert!(start.elapsed() < NAMED, "nothing is named");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Takes a backup, has `since` made after it, and puts it back.
async fn put_back(server: &Server) -> Sandbox<'_> {
    let folder = tempfile::tempdir().expect("a folder");
    let backup = folder.path().join("backup");
    succeeded(&run("backup", server, &[], &backup));
    let since = server.create(&json!({ "name": "since" })).await;
    server.terminate();
    succeeded(&run("restore", server, &["--replace"], &backup));
    server.start_again();
    since
}

/// A ledger from a backup knows nothing of what was made since, and is no reason to delete it. Waits for the time after
/// which a server believes that nobody knows a sandbox.
#[tokio::test]
async fn what_was_made_since_the_backup_goes_on_until_somebody_has_it_deleted() {
    if !long_checks() {
        return skip("backup::what_was_made_since_the_backup", "takes 40 s; `cargo xtask test --ci` runs it");
    }
    let server = Server::start().await;
    let since = put_back(&server).await;
    assert_eq!(server.list().await, Vec::<Value>::new());
    let held = orphans(&server).await;
    assert!(held.len() == 1 && held[0].as_str().is_some_and(|name| name.contains(&since.id)), "{held:?}");
    assert!(!server.sandbox_processes().is_empty(), "it runs");
    let deleted = server.delete("/v1/orphans").await.expect(200).json();
    assert_eq!(deleted, json!({ "deleted": 1, "failed": 0 }));
    assert_eq!(server.get("/v1/orphans").await.expect(200).json(), json!({ "held": [] }));
}
