//! The real server, ended, refused, delayed or asked twice at each step of what it does with a real sandbox: afterwards
//! nothing is half done, and nothing is left behind.

use std::time::Instant;

use reqwest::Method;
use sandgate_tests::{Answer, Server, long_checks, until};
use serde_json::{Value, json};

const FAILPOINTS: &str = "SANDGATE_FAILPOINTS";
const NAME: &str = "one";

/// A request to the server, and the steps that it takes.
struct Operation {
    name: &'static str,
    method: Method,
    path: &'static str,
    /// What is done before.
    before: &'static [&'static str],
    /// Each with how often it is passed before the request comes to it.
    steps: &'static [(&'static str, u32)],
    /// The states that the sandbox may be in afterwards, if it was answered, and if not; none is that it is not there.
    done: &'static [&'static str],
    otherwise: &'static [&'static str],
}

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "create",
        method: Method::POST,
        path: "",
        before: &[],
        steps: &[
            ("ledger.insert.before", 0),
            ("ledger.insert.after", 0),
            ("provider.create.before", 0),
            ("container.bound", 0),
            ("container.created", 0),
            ("provider.create.after", 0),
            ("ledger.update.sandbox.started.before", 0),
            ("ledger.update.sandbox.started.after", 0),
        ],
        done: &["started"],
        otherwise: &["started", ""],
    },
    Operation {
        name: "stop",
        method: Method::POST,
        path: "/one/stop",
        before: &[],
        steps: &[
            ("ledger.update.sandbox.stop-requested.before", 0),
            ("ledger.update.sandbox.stop-requested.after", 0),
            ("provider.stop.before", 0),
            ("container.killed", 0),
            ("provider.stop.after", 0),
            ("ledger.update.sandbox.stopped.before", 0),
            ("ledger.update.sandbox.stopped.after", 0),
        ],
        done: &["stopped"],
        otherwise: &["started", "stopped"],
    },
    Operation {
        name: "start",
        method: Method::POST,
        path: "/one/start",
        before: &["/one/stop"],
        steps: &[
            ("ledger.update.sandbox.start-requested.before", 0),
            ("ledger.update.sandbox.start-requested.after", 0),
            ("provider.start.before", 0),
            ("container.bound", 1),
            ("container.created", 1),
            ("provider.start.after", 0),
            ("ledger.update.sandbox.started.before", 1),
            ("ledger.update.sandbox.started.after", 1),
        ],
        done: &["started"],
        otherwise: &["started", "stopped"],
    },
    Operation {
        name: "delete",
        method: Method::DELETE,
        path: "/one",
        before: &[],
        steps: &[
            ("ledger.update.sandbox.delete-requested.before", 0),
            ("ledger.update.sandbox.delete-requested.after", 0),
            ("provider.delete.before", 0),
            ("container.deleted", 0),
            ("container.unbound", 0),
            ("provider.delete.after", 0),
            ("ledger.update.sandbox.deleted.before", 0),
            ("ledger.update.sandbox.deleted.after", 0),
        ],
        done: &[""],
        otherwise: &["started", ""],
    },
];

/// What befalls a step. The delay is far from any deadline.
const CRASH: &str = "crash";
const OTHERS: [&str; 3] = ["error", "delay(50)", "twice"];
/// The steps at which something happens where nobody asked for the long checks.
const QUICK: [&str; 4] =
    ["ledger.insert.after", "container", "provider.stop.after", "provider.delete.before"];

async fn whatever_befalls(name: &str) {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).expect("an operation");
    let server = Server::start().await;
    let (mut cells, start) = (0, Instant::now());
    for (step, passed) in operation.steps {
        if !long_checks() && !QUICK.iter().any(|quick| step.starts_with(quick)) {
            continue;
        }
        for mode in modes(step) {
            play(&server, operation, (step, *passed), mode).await;
            cells += 1;
        }
    }
    println!("failpoints: operation={name} cells={cells} ok={cells} seconds={}", start.elapsed().as_secs());
}

#[tokio::test]
async fn a_create_is_whole_whatever_befalls_a_step() {
    whatever_befalls("create").await;
}

#[tokio::test]
async fn a_stop_is_whole_whatever_befalls_a_step() {
    whatever_befalls("stop").await;
}

#[tokio::test]
async fn a_start_is_whole_whatever_befalls_a_step() {
    whatever_befalls("start").await;
}

#[tokio::test]
async fn a_delete_is_whole_whatever_befalls_a_step() {
    whatever_befalls("delete").await;
}

#[tokio::test]
async fn a_failpoint_that_there_is_not_is_refused_by_name() {
    let server = Server::start().await;
    server.terminate();
    for (line, named) in [("provider.create.before=explode", "explode"), ("nowhere=crash", "nowhere")] {
        let output = server.start_second_in(FAILPOINTS, line);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && words.contains(named), "{words}");
    }
}

/// Within the provider a step is no message that could be sent twice; and its answer is given once.
fn modes(step: &str) -> Vec<&'static str> {
    let others = if long_checks() { &OTHERS[..] } else { &OTHERS[..1] };
    let fits = |mode: &&&str| **mode != "twice" || step.ends_with(".before");
    [CRASH].into_iter().chain(others.iter().filter(fits).copied()).collect()
}

async fn play(server: &Server, operation: &Operation, (step, passed): (&str, u32), mode: &str) {
    let cell = format!("{}: {step}={passed}*off->1*{mode}", operation.name);
    assert!(server.terminate().success(), "{cell}");
    server.start_again_with(FAILPOINTS, &format!("{step}={passed}*off->1*{mode}"));
    prepare(server, operation).await;
    let answer = ask(server, operation).await;
    assert_eq!(answer.is_none(), mode == CRASH, "{cell}: {answer:?}");
    let answered = answer.as_ref().is_some_and(|answer| answer.status < 300);
    if answer.is_none() {
        // The process that has aborted is reaped, and another one is started.
        server.kill();
        server.start_again();
    } else if !answered {
        assert!(server.terminate().success(), "{cell}");
        server.start_again();
    }
    rest(server, if answered { operation.done } else { operation.otherwise }, &cell).await;
}

/// Nothing befalls what is before.
async fn prepare(server: &Server, operation: &Operation) {
    if operation.path.is_empty() {
        return;
    }
    let _ = server.post_json("/api/sandbox", &json!({ "name": NAME })).await.expect(200);
    server.observe();
    for path in operation.before {
        let _ = server.post(&format!("/api/sandbox{path}")).await.expect(200);
    }
}

/// The answer; none from a server that ends before it has given one.
async fn ask(server: &Server, operation: &Operation) -> Option<Answer> {
    let request = server.request(operation.method.clone(), &format!("/api/sandbox{}", operation.path));
    let request = if operation.path.is_empty() { request.json(&json!({ "name": NAME })) } else { request };
    Answer::of_one_that_may_die(request).await.ok()
}

/// Waits until the sandbox is as it may be; one that runs must answer. Then it is deleted.
async fn rest(server: &Server, allowed: &[&str], cell: &str) {
    let mut rows = Vec::new();
    until(cell, async || {
        rows = server.list().await;
        rows.len() < 2 && allowed.contains(&rows.first().map_or("", state))
    })
    .await;
    server.observe();
    for row in rows {
        let id = row["id"].as_str().expect("an id");
        if state(&row) == "started" {
            let command = json!({ "command": "echo alive" });
            let answer = server.post_json(&format!("/toolbox/{id}/process/execute"), &command).await;
            assert_eq!(
                (answer.status, answer.text().contains("alive")),
                (200, true),
                "{cell}: {}",
                answer.text()
            );
        }
        let deleted = server.delete(&format!("/api/sandbox/{id}")).await;
        assert_eq!(deleted.status, 200, "{cell}: {}", deleted.text());
    }
    assert_eq!(server.list().await, Vec::<Value>::new(), "{cell}");
}

fn state(row: &Value) -> &str {
    row["state"].as_str().unwrap_or("no state")
}
