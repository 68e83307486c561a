//! The toolbox as pid 1 of namespaces of its own, as an ordinary user: what a sandbox is, without the rest.

mod support;

use std::time::Duration;

use sandgate_toolbox_api::{ExecuteRequest, FileInfo};
use support::{Daemon, can_unshare};

/// Ends it: pid 1 takes no signal, so the program that holds its namespace is ended.
async fn end(daemon: Daemon) {
    daemon.kill_processes();
    daemon.end().await;
}

#[tokio::test]
async fn no_signal_from_inside_ends_it() {
    if !can_unshare() {
        return;
    }
    let daemon = Daemon::start_as_init(|_| {}).await;
    assert_eq!(daemon.run("echo $PPID").await.result, "1\n");
    for _ in 0..10 {
        daemon.run("for s in $(seq 1 64); do kill -$s 1; kill -$s 1; done 2>/dev/null; true").await;
        daemon.run("for i in $(seq 1 300); do kill -SEGV 1; kill -BUS 1; kill -CHLD 1; done; true").await;
    }
    assert_eq!(daemon.run("echo alive").await.result, "alive\n");
    end(daemon).await;
}

#[tokio::test]
async fn it_cannot_be_looked_into() {
    if !can_unshare() {
        return;
    }
    let daemon = Daemon::start_as_init(|command| {
        command.env("SECRET", "s");
    })
    .await;
    let looked = daemon
        .run("cat /proc/1/environ; ls /proc/1/fd; cat /proc/1/mem; readlink /proc/1/exe; true")
        .await
        .result;
    assert!(!looked.contains("SECRET"), "{looked}");
    assert_eq!(looked.matches("ermission denied").count(), 3, "{looked}");
    end(daemon).await;
}

#[tokio::test]
async fn orphans_are_reaped() {
    if !can_unshare() {
        return;
    }
    let daemon = Daemon::start_as_init(|_| {}).await;
    daemon.run("for i in $(seq 1 50); do (sleep 0.01 >/dev/null 2>&1 &); done; (setsid sleep 0.01 >/dev/null 2>&1 &)").await;
    let zombies = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '; true";
    daemon.until("none is left", async || daemon.run(zombies).await.result == "0\n").await;
    end(daemon).await;
}

#[tokio::test]
async fn orphans_are_reaped_while_a_dead_shell_is_kept() {
    if !can_unshare() {
        return;
    }
    let daemon = Daemon::start_as_init(|_| {}).await;
    // The shell ends at once and stays a zombie as long as its background child holds the output.
    let client = daemon.client.clone();
    let held =
        tokio::spawn(
            async move { client.execute(&ExecuteRequest::new("sleep 1000 & echo $! > holder")).await },
        );
    let holder = daemon.work_dir().join("holder");
    daemon
        .until("it holds", async || std::fs::read_to_string(&holder).is_ok_and(|pid| pid.ends_with('\n')))
        .await;
    daemon.run("for i in $(seq 1 20); do (sleep 0.01 >/dev/null 2>&1 &); done").await;
    let zombies = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '; true";
    daemon.until("only that shell is left", async || daemon.run(zombies).await.result == "1\n").await;
    daemon.run("kill $(cat holder)").await;
    assert_eq!(held.await.expect("a task").expect("an answer").exit_code, 0);
    daemon.until("none is left", async || daemon.run(zombies).await.result == "0\n").await;
    end(daemon).await;
}

#[tokio::test]
async fn limits_are_in_force_before_the_command_begins() {
    if !can_unshare() {
        return;
    }
    let daemon = Daemon::start_as_init(|command| {
        command.env("SANDGATE_PIDS_LIMIT", "80");
    })
    .await;
    for _ in 0..50 {
        let limits = daemon.run("ulimit -u; ulimit -Hu; cat /proc/self/oom_score_adj").await;
        assert_eq!(limits.result, "64\n64\n500\n");
    }
    assert_ne!(daemon.run("ulimit -u 65").await.exit_code, 0, "it cannot be raised");
    end(daemon).await;
}

#[tokio::test]
async fn a_fork_bomb_leaves_the_toolbox_able_to_act() {
    if !can_unshare() {
        return;
    }
    let daemon = Daemon::start_as_init(|command| {
        command.env("SANDGATE_PIDS_LIMIT", "80");
    })
    .await;
    let client = daemon.client.clone();
    let bomb = tokio::spawn(async move {
        let request =
            ExecuteRequest { timeout: Some(3), ..ExecuteRequest::new("b() { b | b & }; b; sleep 1000") };
        client.execute(&request).await
    });
    let refused = "for i in $(seq 1 3); do (exit 0) & done; wait";
    let limited = async || daemon.run(refused).await.result.contains("fork");
    daemon.until("it has used up every process", limited).await;
    // Builtins still run, and so do file calls.
    assert_eq!(daemon.run("echo still here").await.result, "still here\n");
    let _: Vec<FileInfo> = daemon.get("/files?path=/").await.is(200).json();
    assert!(bomb.await.expect("a task").is_err(), "the bomb ran into its time limit");
    // What the bomb's dead parents left behind was killed with it.
    daemon.until("it is over", async || daemon.run("true & wait $! && echo ok").await.result == "ok\n").await;
    end(daemon).await;
}

#[tokio::test]
async fn rights_are_those_of_the_user() {
    if !can_unshare() {
        return;
    }
    let daemon = Daemon::start_as_init(|_| {}).await;
    daemon.run("echo text > file; mkdir dir; echo x > dir/y; chmod 000 file; chmod 000 dir").await;
    daemon.get("/files/download?path=file").await.fails(403, "FILE_ACCESS_DENIED");
    daemon.get("/files?path=dir").await.fails(403, "FILE_ACCESS_DENIED");
    daemon.get("/files/info?path=dir/y").await.fails(403, "FILE_ACCESS_DENIED");
    daemon.post("/files/permissions?path=/etc&owner=1000").await.fails(403, "FILE_ACCESS_DENIED");
    daemon.post("/files/permissions?path=/etc&mode=777").await.fails(403, "FILE_ACCESS_DENIED");
    daemon.delete("/files?path=/etc/hostname").await.fails(403, "FILE_ACCESS_DENIED");
    let uri = "/files/upload-v2?path=/etc/new-file";
    let kind = Some("application/octet-stream");
    let body = || sandgate_toolbox_api::client::full_body("x");
    daemon.call(http::Method::POST, uri, body(), kind).await.fails(403, "FILE_ACCESS_DENIED");
    daemon.run("chmod 400 file").await;
    daemon
        .call(http::Method::POST, "/files/upload-v2?path=file", body(), kind)
        .await
        .fails(403, "FILE_ACCESS_DENIED");
    daemon.post("/files/permissions?path=file&mode=600").await.is(200);
    daemon.call(http::Method::POST, "/files/upload-v2?path=file", body(), kind).await.is(200);
    daemon.run("chmod 700 dir").await;
    tokio::time::timeout(Duration::from_secs(20), end(daemon)).await.expect("it ends");
}
