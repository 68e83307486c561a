//! The server may stop, crash and come back: its sandboxes and what it knows of them live on.

use std::process::Command;

use sandgate_tests::{Options, Server, until};
use serde_json::{Value, json};

/// The time at which the sandbox's first process was started: the same only if it was never started anew.
const BIRTH: &str = "cut -d' ' -f22 /proc/1/stat 2>/dev/null || stat -c %Y /proc/1";

async fn lives_on(end: impl FnOnce(&Server)) {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "name": "survivor", "labels": { "a": "b" } })).await;
    sandbox.sh("echo kept > note; sleep 600 >/dev/null 2>&1 &").await;
    let (birth, sleeper) = (sandbox.sh(BIRTH).await, sandbox.sh("pgrep -x sleep").await);
    let processes = server.sandbox_processes();
    end(&server);
    assert_eq!(server.sandbox_processes(), processes, "sandboxes live on without their server");
    server.start_again();
    let body = sandbox.info().await;
    assert_eq!((&body["state"], &body["name"]), (&json!("started"), &json!("survivor")));
    assert_eq!(sandbox.sh("cat note").await, "kept");
    assert_eq!(sandbox.sh(BIRTH).await, birth, "the sandbox's first process is the same");
    assert_eq!(sandbox.sh("pgrep -x sleep").await, sleeper, "commands in the background go on");
    sandbox.delete().await;
}

#[tokio::test]
async fn sandboxes_outlive_a_server_that_is_asked_to_stop() {
    lives_on(|server| assert!(server.terminate().success())).await;
}

#[tokio::test]
async fn sandboxes_outlive_a_server_that_is_killed() {
    lives_on(Server::kill).await;
}

/// An upgrade: another binary serves the same data, and the process that holds the sandboxes goes on as it.
#[tokio::test]
async fn another_build_takes_the_sandboxes_over() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let (birth, spawner) = (sandbox.sh(BIRTH).await, server.spawner().expect("a spawner"));
    let folder = tempfile::tempdir().expect("a folder");
    let newer = folder.path().join("sandgate");
    std::fs::copy(sandgate_tests::binary(), &newer).expect("a copy");
    assert!(server.terminate().success());
    server.start_again_as(&newer);
    assert_eq!(server.spawner(), Some(spawner), "the same process");
    let program = std::fs::read_link(format!("/proc/{spawner}/exe")).expect("its program");
    assert_eq!(program, newer);
    assert_eq!(sandbox.sh(BIRTH).await, birth);
    let second = server.create(&json!({})).await;
    assert_eq!(second.sh("echo alive").await, "alive");
    sandbox.delete().await;
    second.delete().await;
}

/// Whoever creates, runs and deletes meanwhile notices nothing but a delay.
#[tokio::test]
async fn a_spawner_that_is_killed_and_frozen_under_load_costs_nobody_anything() {
    const ROUNDS: usize = 6;
    let server = Server::start().await;
    let keeper = server.create(&json!({})).await;
    let birth = keeper.sh(BIRTH).await;
    let over = std::sync::atomic::AtomicBool::new(false);
    let worker = async || {
        let mut cycles = 0;
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            let sandbox = server.create(&json!({})).await;
            assert_eq!(sandbox.sh("echo alive").await, "alive");
            sandbox.delete().await;
            cycles += 1;
        }
        cycles
    };
    let trouble = async {
        for round in 0..ROUNDS {
            let spawner = server.spawner().expect("a spawner");
            let signal = if round % 2 == 0 { "-KILL" } else { "-STOP" };
            Command::new("kill").args([signal, &spawner.to_string()]).status().expect("kill starts");
            until("another one serves", async || server.spawner().is_some_and(|pid| pid != spawner)).await;
            let sandbox = server.create(&json!({})).await;
            sandbox.delete().await;
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (first, second, third, ()) = tokio::join!(worker(), worker(), worker(), trouble);
    println!("{} cycles through {ROUNDS} dead and frozen spawners", first + second + third);
    assert!(first > 0 && second > 0 && third > 0);
    assert_eq!(keeper.sh(BIRTH).await, birth);
    keeper.delete().await;
}

#[tokio::test]
async fn a_sandbox_that_was_stopped_stays_stopped() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    sandbox.sh("echo kept > note").await;
    sandbox.stop().await;
    server.kill();
    server.start_again();
    assert_eq!(sandbox.info().await["state"], "stopped");
    sandbox.start().await;
    assert_eq!(sandbox.sh("cat note").await, "kept");
    sandbox.delete().await;
}

#[tokio::test]
async fn the_key_stays_valid_and_a_second_server_is_refused() {
    let server = Server::start().await;
    server.terminate();
    server.start_again();
    assert_eq!(server.list().await, Vec::<Value>::new());
    let second = server.start_second();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success(), "a second server on the same data directory must not start");
    assert!(words.contains("already") || words.contains("another"), "it says why: {words}");
    assert_eq!(server.list().await, Vec::<Value>::new(), "the first one still answers");
}

#[tokio::test]
async fn a_key_of_ones_own_is_taken_from_the_environment() {
    let key = format!("dtn_{}", "7".repeat(64));
    let env = vec![("SANDGATE_API_KEY".to_owned(), key.clone())];
    let server = Server::start_with(Options { env, ..Options::default() }).await;
    assert_eq!(server.key(), key);
    assert_eq!(server.list().await, Vec::<Value>::new());
    assert!(!server.data().join("api-key").exists(), "a key that somebody has already is not written down");
}

/// The database in the data directory.
fn database(server: &Server) -> std::path::PathBuf {
    let files =
        std::fs::read_dir(server.data()).expect("the data directory").flatten().map(|entry| entry.path());
    let mut databases = files
        .filter(|file| std::fs::read(file).is_ok_and(|content| content.starts_with(b"SQLite format 3\0")));
    databases.next().expect("a database")
}

/// Changes the four bytes at `offset` of the database's header.
fn stamp(server: &Server, offset: usize, value: u32) {
    let file = database(server);
    let mut content = std::fs::read(&file).expect("the database");
    content[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    std::fs::write(&file, content).expect("the database can be written");
}

fn assert_refused(server: &Server) {
    let refused = server.start_second();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "it must not start: {words}");
    assert!(words.contains("database") || words.contains("ledger"), "it says what is wrong: {words}");
}

#[tokio::test]
async fn a_newer_or_foreign_database_is_refused_untouched() {
    let server = Server::start().await;
    assert!(server.terminate().success());
    // `user_version`, which counts migrations, and `application_id`, which says whose file this is.
    for (offset, value) in [(60, 1_000_000), (68, 0x1234_5678)] {
        let original = std::fs::read(database(&server)).expect("the database");
        stamp(&server, offset, value);
        let stamped = std::fs::read(database(&server)).expect("the database");
        assert_refused(&server);
        assert_eq!(std::fs::read(database(&server)).expect("the database"), stamped, "it was not written to");
        std::fs::write(database(&server), original).expect("the database can be written");
    }
    server.start_again();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let server = Server::start().await;
    assert!(server.terminate().success());
    let file = database(&server);
    let original = std::fs::read(&file).expect("the database");
    std::fs::write(&file, "this is a letter to a friend, and no database at all".repeat(100))
        .expect("it is written");
    assert_refused(&server);
    std::fs::write(&file, original).expect("it is written");
    server.start_again();
}
