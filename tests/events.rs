//! Who did what to which sandbox: asked for, exported, checked, and without a word of what was said inside.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use reqwest::Method;
use sandgate_tests::{Answer, Options, Sandbox, Server, sandgate, until};
use serde_json::{Value, json};

/// Stands in everything that belongs to somebody, and must not stand in any event.
const CANARY: &str = "c4n4ry-9f1d";
/// The same for what must not even stand in the ledger.
const SECRET: &str = "s3cr3t-77ab";

async fn events(server: &Server, query: &str) -> Vec<Value> {
    let body = server.get(&format!("/v1/events?{query}")).await.expect(200).json();
    body["events"].as_array().unwrap_or_else(|| panic!("events: {body}")).clone()
}

async fn export(server: &Server, query: &str) -> String {
    let request = server.request(Method::GET, &format!("/v1/events?{query}"));
    let answer = Answer::of(request.header("accept", "application/x-ndjson")).await.expect(200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    answer.text()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn field(events: &[Value], name: &str) -> Vec<String> {
    events
        .iter()
        .map(|event| event[name].as_str().unwrap_or_else(|| panic!("{name}: {event}")).to_owned())
        .collect()
}

fn audit(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = sandgate(None);
    let Output { status, stdout, stderr } = command.arg("audit").args(args).output().expect("it starts");
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

fn verify(dir: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    audit(&[&["verify", "--data-dir", dir.to_str().expect("a path")], more].concat())
}

/// `SEQ:HASH`, as `audit verify` says it.
fn head(said: &str) -> String {
    let head = said.lines().find_map(|line| line.strip_prefix("head "));
    head.unwrap_or_else(|| panic!("a head: {said}")).to_owned()
}

async fn live_a_little(sandbox: &Sandbox<'_>) {
    sandbox.sh("true").await;
    sandbox.stop().await;
    sandbox.start().await;
}

#[tokio::test]
async fn everything_that_was_done_is_told_with_who_did_it() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "name": "told" })).await;
    live_a_little(&sandbox).await;
    let id = sandbox.id.clone();
    sandbox.delete().await;
    let told = events(&server, &format!("sandbox={id}")).await;
    let kinds = [
        "requested",
        "started",
        "stop-requested",
        "stopped",
        "start-requested",
        "started",
        "delete-requested",
        "deleted",
    ];
    assert_eq!(field(&told, "kind"), kinds.map(|kind| format!("sandbox.{kind}")));
    let actors: BTreeSet<_> = field(&told, "actor").into_iter().collect();
    assert_eq!(actors.len(), 1, "{actors:?}");
    assert!(actors.iter().all(|actor| actor.starts_with("key:")), "{actors:?}");
    assert!(field(&told, "hash").iter().all(|hash| hash.len() == 64));
    assert_eq!(events(&server, "").await, told, "nothing else was done");
    let newest = server.get("/v1/events?order=desc&limit=3&kind=sandbox.st").await.expect(200).json();
    assert_eq!(
        field(newest["events"].as_array().expect("events"), "kind"),
        ["started", "start-requested", "stopped"].map(|kind| format!("sandbox.{kind}"))
    );
    let rest = events(&server, &format!("order=desc&kind=sandbox.st&after={}", newest["next"])).await;
    assert_eq!(field(&rest, "kind"), ["sandbox.stop-requested", "sandbox.started"]);
}

#[tokio::test]
async fn nobody_reads_events_without_a_key_and_wrong_questions_are_refused() {
    let server = Server::start().await;
    Answer::of(server.anonymous(Method::GET, "/v1/events")).await.api_error(401);
    for (wrong, named) in [
        ("limit=0", "limit"),
        ("limit=1001", "1000"),
        ("after=-1", "after"),
        ("sandbox=told", "UUID"),
        ("order=up", "order"),
        ("kinds=x", "`kinds`"),
    ] {
        let message = server.get(&format!("/v1/events?{wrong}")).await.api_error(400);
        assert!(message.contains(named), "{wrong}: {message}");
    }
    assert_eq!(server.get("/v1/events").await.expect(200).json(), json!({ "events": [], "next": null }));
}

#[tokio::test]
async fn each_key_a_death_and_a_restart_are_told_apart() {
    let key = "a-key-of-our-own-of-good-length";
    let options =
        || Options { env: vec![("SANDGATE_API_KEY".to_owned(), key.to_owned())], ..Options::default() };
    let server = Server::start_with(options()).await;
    let sandbox = server.create(&json!({})).await;
    for process in server.sandbox_processes() {
        let killed = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
        assert!(killed.is_ok());
    }
    until("its death is told", async || sandbox.info().await["state"] == "stopped").await;
    sandbox.start().await;
    let told = events(&server, &format!("sandbox={}", sandbox.id)).await;
    let (kinds, actors) = (field(&told, "kind"), field(&told, "actor"));
    let death = actors.iter().position(|actor| actor == "provider").expect("a death");
    assert_eq!(kinds[death], "sandbox.stopped");
    assert!(
        told[death]["detail"].as_str().is_some_and(|detail| detail.contains("first process")),
        "{told:?}"
    );
    assert!(actors.iter().enumerate().all(|(n, actor)| n == death || actor == &actors[0]), "{actors:?}");
    sandbox.delete().await;
}

#[tokio::test]
async fn the_log_is_exported_and_checked_beside_a_running_server() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    live_a_little(&sandbox).await;
    let (code, said, _) = verify(&server.data(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("6 events are sound, 1 to 6\n") && said.contains("--head"), "{said}");
    let known = head(&said);
    sandbox.delete().await;

    let everything = export(&server, "").await;
    assert_eq!(lines(&everything), events(&server, "limit=1000").await);
    let (code, exported, complaint) =
        audit(&["export", "--data-dir", server.data().to_str().expect("a path")]);
    assert_eq!((code, exported.as_str()), (Some(0), everything.as_str()), "{complaint}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.ndjson");
    let check = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).expect("write");
        audit(&[&["verify", "--file", file.to_str().expect("a path")], more].concat())
    };
    assert_eq!(check(&everything, &["--head", &known]).0, Some(0));
    let newer = export(&server, "after=6").await;
    assert_eq!(lines(&newer).len(), 2);
    assert_eq!(check(&newer, &["--after", &known]).0, Some(0));

    let (code, _, complaint) = check(&everything.replacen("sandbox.stopped", "sandbox.changed", 1), &[]);
    assert!(code == Some(1) && complaint.contains("event 4 "), "{complaint}");
    let cut = everything.lines().take(4).collect::<Vec<_>>().join("\n");
    assert_eq!(check(&cut, &[]).0, Some(0), "nobody can see a cut end without a head");
    let (code, _, complaint) = check(&cut, &["--head", &known]);
    assert!(code == Some(1) && complaint.contains("event 6 was there"), "{complaint}");
}

#[tokio::test]
async fn a_ledger_at_rest_is_checked_without_a_trace() {
    let server = Server::start().await;
    assert!(server.terminate().success());
    let data = server.data();
    let files = || -> BTreeSet<_> {
        std::fs::read_dir(&data).expect("list").map(|entry| entry.expect("an entry").file_name()).collect()
    };
    let before = files();
    let (code, said, complaint) = verify(&data, &[]);
    assert_eq!((code, said.starts_with("there are no events\n")), (Some(0), true), "{said}{complaint}");
    assert_eq!(files(), before);
    let (code, _, complaint) = verify(&data.join("missing"), &[]);
    assert!(code == Some(1) && complaint.contains("missing"), "{complaint}");
    server.start_again();
}

#[tokio::test]
async fn the_generated_key_and_the_given_one_are_two_actors() {
    const GIVEN: &str = "a-key-of-our-own-of-good-length";
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    assert!(server.terminate().success());
    server.start_again_with("SANDGATE_API_KEY", GIVEN);
    let stop = server.anonymous(Method::POST, &sandbox.path("/stop")).bearer_auth(GIVEN);
    assert_eq!(Answer::of(stop).await.status, 200);
    sandbox.delete().await;
    let actors = field(&events(&server, "").await, "actor");
    let (generated, given) = (&actors[0], &actors[2]);
    assert!(generated.starts_with("key:") && given.starts_with("key:") && generated != given, "{actors:?}");
    let expected = [generated, generated, given, given, generated, generated];
    assert_eq!(actors.iter().collect::<Vec<_>>(), expected);
    let mine = Answer::of(server.anonymous(Method::GET, "/v1/events").bearer_auth(GIVEN)).await.expect(200);
    assert_eq!(mine.json()["events"].as_array().map(Vec::len), Some(6), "both speak for one organization");
}

/// What the manual says of the chain is enough to check it without us.
#[tokio::test]
async fn the_program_of_the_manual_checks_an_export() {
    let manual = include_str!("../docs/events.md");
    let program =
        manual.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let failed = server.post_json("/api/sandbox", &json!({ "snapshot": "no-such" })).await;
    assert_ne!(failed.status, 200);
    sandbox.delete().await;
    let folder = tempfile::tempdir().expect("a folder");
    let check = |text: &str| {
        let file = folder.path().join("events.ndjson");
        std::fs::write(&file, text).expect("write");
        let events = std::fs::File::open(file).expect("open");
        std::process::Command::new("python3").args(["-c", program]).stdin(events).output().expect("python3")
    };
    let everything = export(&server, "").await;
    assert!(lines(&everything).iter().any(|event| event["detail"].is_string()), "{everything}");
    let sound = check(&everything);
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stderr));
    assert!(!check(&everything.replacen("sandbox.failed", "sandbox.stopped", 1)).status.success());
}

/// A canary is put everywhere a client can put something; what is logged as events has none of it.
#[tokio::test]
async fn events_hold_no_secret_and_no_output() {
    let key = format!("{SECRET}-and-then-some-more");
    let env = vec![("SANDGATE_API_KEY".to_owned(), key)];
    let server = Server::start_with(Options { env, ..Options::default() }).await;
    let config =
        json!({ "name": format!("{CANARY}-name"), "env": { "A": SECRET }, "labels": { "team": CANARY } });
    let sandbox = server.create(&config).await;
    sandbox.sh(&format!("echo {SECRET} | tee /tmp/{SECRET} >&2")).await;
    let file = format!("/tmp/{SECRET}-up");
    assert_eq!(sandbox.upload(&file, SECRET.as_bytes()).await.status, 200);
    assert_eq!(sandbox.download(&file).await.body, SECRET.as_bytes());
    let labels = json!({ "labels": { CANARY: CANARY } });
    let labelled = server.request(Method::PUT, &sandbox.path("/labels")).json(&labels);
    assert_eq!(Answer::of(labelled).await.status, 200);
    live_a_little(&sandbox).await;
    let run = json!({ "command": format!("echo {SECRET}; exit 3"), "env": { "A": SECRET } });
    server.post_json("/v1/run", &run).await;
    server
        .post_json("/api/sandbox", &json!({ "name": CANARY, "snapshot": "no-such", "env": { "A": SECRET } }))
        .await;
    sandbox.delete().await;

    let (code, exported, complaint) =
        audit(&["export", "--data-dir", server.data().to_str().expect("a path")]);
    assert_eq!(code, Some(0), "{complaint}");
    assert!(exported.lines().count() >= 10, "{exported}");
    for (place, text) in [("the export", exported), ("the API", export(&server, "").await)] {
        assert!(!text.contains(CANARY) && !text.contains(SECRET), "{place}: {text}");
    }
    let mut labelled = false;
    for file in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(server.data().join(file)).expect("read");
        let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds(SECRET), "{file}");
        labelled |= holds(CANARY);
    }
    assert!(labelled, "what is no secret is found where it belongs");
}
