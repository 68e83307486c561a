//! What happens to a sandbox unasked is told at once, with its cause, without anybody asking it for something. The times
//! are printed; `docs/performance.md` has those of a quiet machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sandgate_tests::{Sandbox, Server, until};
use serde_json::{Value, json};

/// Shorter than any period in which something is looked at without a reason, and long enough for a machine under load.
/// The promise is a second.
const SOON: Duration = Duration::from_secs(5);

/// The first processes of all sandboxes, as the host numbers them.
fn first_process(server: &Server) -> String {
    server.sandbox_processes().into_iter().min().expect("a first process").to_string()
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().expect("kill starts").success());
}

/// Asks the control plane alone until it says `state`; returns the cause.
async fn told(sandbox: &Sandbox<'_>, state: &str) -> String {
    let start = Instant::now();
    let mut body = Value::Null;
    until("the state is told", async || {
        body = sandbox.info().await;
        body["state"] == state
    })
    .await;
    println!("{state} after {} ms: {}", start.elapsed().as_millis(), body["errorReason"]);
    assert!(start.elapsed() < SOON, "told after {:?}", start.elapsed());
    body["errorReason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_first_process_killed_from_outside() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    sandbox.sh("echo kept > note; sync").await;
    signal("-KILL", &first_process(&server));
    let cause = told(&sandbox, "stopped").await;
    assert!(cause.contains("killed from outside, by signal 9"), "{cause}");
    sandbox.start().await;
    assert_eq!(sandbox.info().await["errorReason"], Value::Null);
    assert_eq!(sandbox.sh("cat note").await, "kept");
    sandbox.delete().await;
}

#[tokio::test]
async fn a_first_process_stopped_from_outside() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let first = first_process(&server);
    signal("-STOP", &first);
    let cause = told(&sandbox, "error").await;
    assert!(cause.contains("stopped by a signal"), "{cause}");
    let refused = sandbox.execute(&json!({ "command": "true" })).await;
    assert!(refused.status >= 400 && refused.text().contains("stopped by a signal"), "{}", refused.text());
    signal("-CONT", &first);
    told(&sandbox, "started").await;
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    // The other way out: stop and start.
    signal("-STOP", &first);
    told(&sandbox, "error").await;
    sandbox.stop().await;
    sandbox.start().await;
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    sandbox.delete().await;
}

/// Whoever held it before, and whether or not a server runs: a stopped first process is seen.
#[tokio::test]
async fn a_first_process_that_was_stopped_before_anybody_looked() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let first = first_process(&server);
    signal("-STOP", &first);
    told(&sandbox, "error").await;
    let spawner = server.spawner().expect("a spawner");
    signal("-KILL", &spawner.to_string());
    until("another one serves", async || server.spawner().is_some_and(|pid| pid != spawner)).await;
    let refused = sandbox.execute(&json!({ "command": "true" })).await;
    assert!(refused.status >= 400, "{}", refused.text());
    assert_eq!(sandbox.info().await["state"], "error");
    signal("-CONT", &first);
    // It is no child of the one that serves now, so only a request finds out.
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    server.kill();
    signal("-STOP", &first);
    server.start_again();
    let answer = sandbox.execute(&json!({ "command": "true" })).await;
    assert!(answer.status >= 400, "{}", answer.text());
    told(&sandbox, "error").await;
    signal("-CONT", &first);
    sandbox.delete().await;
}

/// A lack of memory that is over is not what a later death is put down to.
#[tokio::test]
async fn a_death_after_a_lack_of_memory_has_its_own_cause() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "memory": 1 })).await;
    sandbox.fails("head -c 3G /dev/zero | tail").await;
    until("it is told", async || sandbox.info().await["errorReason"].is_string()).await;
    for _ in 0..3 {
        sandbox.sh("sleep 0.3").await;
    }
    signal("-KILL", &first_process(&server));
    let cause = told(&sandbox, "stopped").await;
    assert!(cause.contains("from outside, by signal 9"), "{cause}");
    sandbox.delete().await;
}

/// A request that is being answered when its toolbox stops gets an answer as well.
#[tokio::test]
async fn whoever_waits_for_a_mute_toolbox_is_told() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let first = first_process(&server);
    let command = json!({ "command": "sleep 600" });
    let stop = async {
        until("the command runs", async || server.sandbox_processes().len() > 2).await;
        signal("-STOP", &first);
    };
    let (answer, ()) = tokio::join!(sandbox.execute(&command), stop);
    assert_eq!(answer.status, 502, "{}", answer.text());
    sandbox.delete().await;
}

/// The cgroup of version 2 that the process is in.
fn cgroup(pid: &str) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/")).expect("one of version 2");
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    roots.map(|root| root.join(path)).into_iter().find(|group| group.is_dir()).expect("a cgroup")
}

/// No signal tells of this one: only that it does not answer.
#[tokio::test]
async fn a_toolbox_that_hangs() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let freezer = cgroup(&first_process(&server)).join("cgroup.freeze");
    fs::write(&freezer, "1").expect("frozen");
    let answer = sandbox.execute(&json!({ "command": "true" })).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let cause = told(&sandbox, "error").await;
    assert!(cause.contains("does not answer"), "{cause}");
    fs::write(&freezer, "0").expect("thawed");
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    told(&sandbox, "started").await;
    sandbox.delete().await;
}

/// However long a command takes and however busy it keeps its sandbox, that is no fault.
#[tokio::test]
async fn a_sandbox_that_is_busy_is_not_broken() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "cpu": 1 })).await;
    let hogs = "for n in $(seq 40); do timeout 4 sh -c 'while :; do :; done' & done; wait; echo done";
    assert_eq!(sandbox.sh(hogs).await, "done");
    let body = sandbox.info().await;
    assert_eq!((&body["state"], &body["errorReason"]), (&json!("started"), &Value::Null));
    sandbox.delete().await;
}

#[tokio::test]
async fn a_process_killed_for_want_of_memory() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "memory": 1 })).await;
    assert_eq!(sandbox.info().await["errorReason"], Value::Null);
    let outcome = sandbox.run("head -c 3G /dev/zero | tail").await;
    assert_ne!(outcome.code, 0);
    let start = Instant::now();
    let mut body = Value::Null;
    until("the cause is told", async || {
        body = sandbox.info().await;
        body["errorReason"].is_string()
    })
    .await;
    assert!(start.elapsed() < SOON, "told after {:?}", start.elapsed());
    assert_eq!(body["state"], "started", "the sandbox itself lives on");
    assert!(body["errorReason"].as_str().is_some_and(|why| why.contains("memory")), "{body}");
    sandbox.stop().await;
    sandbox.start().await;
    assert_eq!(sandbox.info().await["errorReason"], Value::Null, "it was of the life before");
    sandbox.delete().await;
}

#[tokio::test]
async fn a_death_while_no_server_runs() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let first = first_process(&server);
    server.kill();
    signal("-KILL", &first);
    server.start_again();
    let cause = told(&sandbox, "stopped").await;
    assert!(cause.contains("killed from outside, by signal 9"), "the spawner has seen it: {cause}");
    sandbox.delete().await;
}

/// The spawner, which holds all sandboxes, is killed and frozen: sandboxes live on, and what happens is still told.
#[tokio::test]
async fn a_spawner_that_is_killed_or_frozen_costs_no_truth() {
    for name in ["-KILL", "-STOP"] {
        let server = Server::start().await;
        let sandbox = server.create(&json!({})).await;
        let other = server.create(&json!({})).await;
        let firsts = server.sandbox_processes();
        let spawner = server.spawner().expect("a spawner");
        signal(name, &spawner.to_string());
        let start = Instant::now();
        let third = server.create(&json!({})).await;
        assert!(start.elapsed() < SOON, "a create took {:?} after {name}", start.elapsed());
        assert_ne!(server.spawner(), Some(spawner), "another one has taken its place");
        for living in [&sandbox, &other, &third] {
            assert_eq!(living.sh("echo alive").await, "alive");
        }
        // One dies while the next spawner is dead, or frozen, as well.
        signal(name, &server.spawner().expect("a spawner").to_string());
        signal("-KILL", &firsts.iter().min().expect("a process").to_string());
        let start = Instant::now();
        until("the death is told", async || {
            let states = [sandbox.info().await, other.info().await].map(|body| body["state"].clone());
            states.contains(&json!("stopped")) && states.contains(&json!("started"))
        })
        .await;
        println!("told {} ms after {name}", start.elapsed().as_millis());
        assert!(start.elapsed() < SOON, "told after {:?}", start.elapsed());
        for sandbox in [sandbox, other, third] {
            sandbox.delete().await;
        }
    }
}
