//! `POST /v1/run`: one command in a sandbox of its own, heard while it runs, and nothing left of it afterwards.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, Response};
use sandgate_tests::{Answer, Server, long_checks, skip, until};
use serde_json::{Value, json};

/// An answer that is still coming.
struct Lines {
    response: Response,
    buffer: Vec<u8>,
}

/// All that came.
#[derive(Debug, Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    last: Value,
}

impl Lines {
    async fn of(server: &Server, body: &Value) -> Self {
        let response = server.request(Method::POST, "/v1/run").json(body).send().await.expect("an answer");
        let status = response.status();
        assert!(status == 200, "{status}: {}", response.text().await.unwrap_or_default());
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self { response, buffer: Vec::new() }
    }

    /// The next line; `None` at the end, before which there is no half line.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            match self.response.chunk().await.expect("the answer goes on") {
                Some(chunk) => self.buffer.extend(chunk),
                None if self.buffer.is_empty() => return None,
                None => panic!("half a line at the end: {}", String::from_utf8_lossy(&self.buffer)),
            }
        }
    }

    /// The id in the first line.
    async fn sandbox(&mut self) -> String {
        let first = self.next().await.expect("a first line");
        first["sandbox"]["id"].as_str().unwrap_or_else(|| panic!("a sandbox: {first}")).to_owned()
    }

    async fn rest(mut self) -> Heard {
        let mut heard = Heard::default();
        while let Some(line) = self.next().await {
            assert_eq!(heard.last, Value::Null, "nothing comes after the last line");
            let (key, value) = line.as_object().and_then(|line| line.iter().next()).expect("an object");
            let text = value.as_str().unwrap_or_default();
            match key.as_str() {
                "stdout" => heard.stdout.extend(text.as_bytes()),
                "stderr" => heard.stderr.extend(text.as_bytes()),
                "stdoutBase64" => heard.stdout.extend(STANDARD.decode(text).expect("base64")),
                "stderrBase64" => heard.stderr.extend(STANDARD.decode(text).expect("base64")),
                _ => heard.last = line,
            }
        }
        heard
    }
}

async fn run(server: &Server, body: &Value) -> Heard {
    let mut lines = Lines::of(server, body).await;
    lines.sandbox().await;
    let heard = lines.rest().await;
    assert_eq!(server.list().await, Vec::<Value>::new(), "the sandbox is deleted before the answer ends");
    heard
}

async fn until_none_is_left(server: &Server) {
    until("no sandbox is left", async || server.list().await.is_empty()).await;
    until("no process is left", async || server.sandbox_processes().is_empty()).await;
}

#[tokio::test]
async fn a_command_is_heard_and_its_sandbox_gone() {
    let server = Server::start().await;
    let both = "echo 1; echo 2 >&2; echo 3; echo 4 >&2; echo $GREETING $PWD; cat; exit 7";
    let heard =
        run(&server, &json!({ "command": both, "env": { "GREETING": "hello" }, "cwd": "/tmp" })).await;
    assert_eq!(String::from_utf8_lossy(&heard.stdout), "1\n3\nhello /tmp\n");
    assert_eq!(String::from_utf8_lossy(&heard.stderr), "2\n4\n");
    assert_eq!(heard.last, json!({ "exit": { "code": 7 } }));
    let argv = json!({ "argv": ["printf", "[%s]", "", "a b", "it's", "$HOME", "l1\nl2", "-n"] });
    assert_eq!(run(&server, &argv).await.stdout, b"[][a b][it's][$HOME][l1\nl2][-n]");
}

#[tokio::test]
async fn an_end_is_told_as_it_was() {
    let server = Server::start().await;
    for (body, exit) in [
        (json!({ "command": "true" }), json!({ "code": 0 })),
        (json!({ "command": "exit 255" }), json!({ "code": 255 })),
        (json!({ "command": "kill -KILL $$" }), json!({ "signal": "KILL" })),
        (json!({ "argv": ["bash", "-c", "kill -SEGV $$"] }), json!({ "signal": "SEGV" })),
        (json!({ "command": "sleep 1000 & sleep 1000", "timeout": 1 }), json!({ "timeout": true })),
        (json!({ "argv": ["no-such-program"] }), json!({ "code": 127 })),
    ] {
        assert_eq!(run(&server, &body).await.last, json!({ "exit": exit }), "{body}");
    }
}

#[tokio::test]
async fn a_line_comes_while_the_command_runs() {
    let server = Server::start().await;
    let command = "echo begun; while ! test -e go; do sleep 0.02; done; echo done";
    let mut lines = Lines::of(&server, &json!({ "command": command, "labels": { "team": "a" } })).await;
    let id = lines.sandbox().await;
    server.observe();
    assert_eq!(lines.next().await, Some(json!({ "stdout": "begun\n" })));
    let seen = server.get(&format!("/api/sandbox/{id}")).await.expect(200).json();
    assert_eq!(seen["labels"], json!({ "team": "a", "sandgate.run": "true" }));
    assert_eq!((&seen["state"], &seen["autoDeleteInterval"]), (&json!("started"), &json!(0)));
    let upload = format!("/toolbox/{id}/files/upload-v2?path=go");
    drop(Answer::of(server.request(Method::POST, &upload).body("x")).await.expect(200));
    assert_eq!(lines.rest().await.stdout, b"done\n");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_exact() {
    let server = Server::start().await;
    let every = "for i in $(seq 0 255); do printf \"\\\\x$(printf %02x $i)\"; done; printf '\\xe2\\x82' >&2";
    let heard = run(&server, &json!({ "command": every })).await;
    assert_eq!(heard.stdout, (0..=255).collect::<Vec<u8>>());
    assert_eq!(heard.stderr, b"\xe2\x82");
}

#[tokio::test]
async fn fifty_megabytes_are_exact_and_do_not_stay_in_memory() {
    let server = Server::start().await;
    drop(run(&server, &json!({ "command": "true" })).await);
    let before = peak_memory(server.pid());
    let heard = run(&server, &json!({ "command": "yes 0123456789abcde | head -c 52428800" })).await;
    assert!(heard.stdout == b"0123456789abcde\n".repeat(52_428_800 / 16), "{} bytes", heard.stdout.len());
    assert_eq!(heard.last, json!({ "exit": { "code": 0 } }));
    let grown = peak_memory(server.pid()) - before;
    assert!(grown < 16 << 10, "the server has grown by {grown} KiB");
}

/// In KiB, the most that it ever had.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn a_client_that_goes_while_the_sandbox_is_made_leaves_nothing() {
    let server = Server::start().await;
    for pause in 0..10 {
        let request =
            server.request(Method::POST, "/v1/run").json(&json!({ "command": "sleep 1000" })).send();
        // From before it is sent until after it runs.
        drop(tokio::time::timeout(Duration::from_millis(pause * 4), request).await);
    }
    until_none_is_left(&server).await;
}

#[tokio::test]
async fn a_client_that_goes_while_the_command_runs_leaves_nothing() {
    let server = Server::start().await;
    for command in ["echo begun; sleep 1000", "echo begun; setsid sleep 1000 & wait", "yes"] {
        let mut lines = Lines::of(&server, &json!({ "command": command })).await;
        let id = lines.sandbox().await;
        server.observe();
        assert!(lines.next().await.is_some());
        drop(server.get(&format!("/api/sandbox/{id}")).await.expect(200));
        drop(lines);
        until_none_is_left(&server).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_only_its_own_command() {
    let server = Server::start().await;
    let mut slow = Lines::of(&server, &json!({ "command": "head -c 30000000 /dev/zero | tr '\\0' x" })).await;
    slow.sandbox().await;
    let before = peak_memory(server.pid());
    for _ in 0..3 {
        let mut other = Lines::of(&server, &json!({ "command": "echo quick" })).await;
        other.sandbox().await;
        assert_eq!(other.rest().await.stdout, b"quick\n");
    }
    let grown = peak_memory(server.pid()) - before;
    assert!(grown < 16 << 10, "the server has grown by {grown} KiB");
    assert_eq!(server.list().await.len(), 1, "the command waits for its reader");
    assert_eq!(slow.rest().await.stdout.len(), 30_000_000);
}

#[tokio::test]
async fn a_reader_that_waits_and_then_goes_leaves_nothing() {
    let server = Server::start().await;
    let mut lines = Lines::of(&server, &json!({ "command": "yes" })).await;
    lines.sandbox().await;
    assert_eq!(server.list().await.len(), 1);
    drop(lines);
    until_none_is_left(&server).await;
}

/// Its time is over whether or not anybody reads what it says.
#[tokio::test]
async fn a_client_that_does_not_read_cannot_keep_its_sandbox_beyond_the_time() {
    let server = Server::start().await;
    let mut lines = Lines::of(&server, &json!({ "command": "yes", "timeout": 1 })).await;
    lines.sandbox().await;
    server.observe();
    until_none_is_left(&server).await;
    assert_eq!(lines.rest().await.last, json!({ "exit": { "timeout": true } }));
}

/// A toolbox that stops in the middle says nothing for ever; the server notices by itself.
#[tokio::test]
async fn a_toolbox_that_falls_silent_ends_the_answer() {
    let server = Server::start().await;
    let mut lines = Lines::of(&server, &json!({ "command": "echo begun; sleep 1000" })).await;
    lines.sandbox().await;
    server.observe();
    assert_eq!(lines.next().await, Some(json!({ "stdout": "begun\n" })));
    let first = server.sandbox_processes().into_iter().min().expect("a first process");
    std::process::Command::new("kill").args(["-STOP", &first.to_string()]).status().expect("kill starts");
    let last = lines.rest().await.last;
    assert!(
        last["error"]["message"].as_str().is_some_and(|text| text.contains("stopped by a signal")),
        "{last}"
    );
    until_none_is_left(&server).await;
}

#[tokio::test]
async fn two_at_once_do_not_meet() {
    let server = Server::start().await;
    let body = |word: &str| json!({ "command": format!("echo {word} > mine; sleep 0.2; cat mine; ls") });
    let (one, two) = (body("one"), body("two"));
    let (mut one, mut two) = tokio::join!(Lines::of(&server, &one), Lines::of(&server, &two));
    assert_ne!(one.sandbox().await, two.sandbox().await);
    let (one, two) = tokio::join!(one.rest(), two.rest());
    assert_eq!((one.stdout, two.stdout), (b"one\nmine\n".to_vec(), b"two\nmine\n".to_vec()));
}

#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_made() {
    let server = Server::start().await;
    for (body, word) in [
        (json!({}), "command"),
        (json!({ "command": "true", "argv": ["true"] }), "argv"),
        (json!({ "command": " \n" }), "command"),
        (json!({ "command": "a\u{0}b" }), "NUL"),
        (json!({ "command": 5 }), "command"),
        (json!({ "argv": [] }), "argv"),
        (json!({ "argv": [""] }), "argv"),
        (json!({ "argv": ["-x"] }), "dash"),
        (json!({ "argv": ["true", 5] }), "argv"),
        (json!({ "command": "true", "timeout": -1 }), "timeout"),
        (json!({ "command": "true", "timeout": 1.5 }), "timeout"),
        (json!({ "command": "true", "cpu": 0 }), "cpu"),
        (json!({ "command": "true", "memory": 1_000_000 }), "memory"),
        (json!({ "command": "true", "env": { "A-B": "x" } }), "A-B"),
        (json!({ "command": "true", "labels": { "count": 5 } }), "labels"),
        (json!({ "command": "true", "user": "../root" }), "user"),
        (json!({ "command": "true", "snapshot": "no-such-snapshot" }), "no-such-snapshot"),
        (json!({ "command": "true", "cwd": "/no/such/folder" }), "/no/such/folder"),
        (json!({ "argv": ["true", "x".repeat(300_000)] }), "argument list too long"),
    ] {
        let message = server.post_json("/v1/run", &body).await.api_error(400);
        assert!(message.contains(word), "`{message}` names `{word}`");
        assert_eq!(server.list().await, Vec::<Value>::new());
    }
    Answer::of(server.anonymous(Method::POST, "/v1/run").json(&json!({ "command": "true" })))
        .await
        .api_error(401);
    server.get("/v1/run").await.api_error(405);
    for path in ["/v1", "/v1/", "/v1/runs", "/v1/run/x"] {
        server.post_json(path, &json!({ "command": "true" })).await.api_error(404);
    }
}

#[tokio::test]
async fn a_sandbox_that_is_taken_away_is_told() {
    let server = Server::start().await;
    let mut lines = Lines::of(&server, &json!({ "command": "sleep 1000" })).await;
    let id = lines.sandbox().await;
    drop(server.delete(&format!("/api/sandbox/{id}")).await.expect(200));
    let last = lines.rest().await.last;
    assert_eq!(last["error"]["code"], "BAD_GATEWAY", "{last}");
    assert!(last["error"]["message"].as_str().is_some_and(|text| text.contains("sandbox")), "{last}");
}

#[tokio::test]
async fn a_server_that_is_stopped_ends_the_command_and_its_sandbox() {
    let server = Server::start().await;
    let mut lines = Lines::of(&server, &json!({ "command": "sleep 1000" })).await;
    lines.sandbox().await;
    server.observe();
    assert!(server.terminate().success());
    let last = lines.rest().await.last;
    assert_eq!(last["error"]["code"], "SERVICE_UNAVAILABLE", "{last}");
    server.start_again();
    assert_eq!(server.list().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_server_that_is_killed_ends_the_command_and_leaves_the_rest_to_the_interval() {
    let server = Server::start().await;
    let mut lines = Lines::of(&server, &json!({ "command": "sleep 4242" })).await;
    let id = lines.sandbox().await;
    server.observe();
    let sleeps = || server.sandbox_processes().into_iter().any(|pid| command_line(pid).contains("4242"));
    until("it sleeps", async || sleeps()).await;
    server.kill();
    until("the command is gone", async || !sleeps()).await;
    server.start_again();
    let left = server.get(&format!("/api/sandbox/{id}")).await.expect(200).json();
    assert_eq!((&left["autoStopInterval"], &left["autoDeleteInterval"]), (&json!(5), &json!(0)), "{left}");
    drop(server.delete(&format!("/api/sandbox/{id}")).await.expect(200));
}

fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

#[tokio::test]
async fn a_silent_command_is_not_taken_for_idleness() {
    if !long_checks() {
        return skip("run::a_silent_command_is_not_taken_for_idleness", "it takes two minutes");
    }
    let server = Server::start().await;
    // The shortest interval that can be set, the timers' period, and some more.
    let mut lines = Lines::of(&server, &json!({ "command": "sleep 90; echo done" })).await;
    let id = lines.sandbox().await;
    drop(server.post(&format!("/api/sandbox/{id}/autostop/1")).await.expect(200));
    let heard = lines.rest().await;
    assert_eq!((heard.stdout, heard.last), (b"done\n".to_vec(), json!({ "exit": { "code": 0 } })));
}
