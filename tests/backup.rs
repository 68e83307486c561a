//! The drill of `docs/runbooks/backup-and-restore.md`, with a real server and real sandboxes.

use std::path::Path;
use std::process::Output;

use sandgate_tests::{Server, sandgate};
use serde_json::json;

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
