//! What a client may get wrong: each time a clear error in the right shape, and nothing created or left.

use reqwest::Method;
use sandgate_tests::{Answer, Server, raw};
use serde_json::{Value, json};

/// Panics unless this body is refused, and nothing came of it. Returns the message.
async fn refused(server: &Server, config: &Value) -> String {
    let message = server.post_json("/api/sandbox", config).await.api_error(400);
    assert_eq!(server.list().await, Vec::<Value>::new(), "nothing was created for {config}");
    message
}

#[tokio::test]
async fn a_config_that_cannot_be_met_is_refused_by_name() {
    let server = Server::start().await;
    let message = refused(&server, &json!({ "snapshot": "no-such-snapshot" })).await;
    assert!(message.contains("no-such-snapshot"), "{message}");
    for (config, word) in [
        (json!({ "cpu": 100_000 }), "cpu"),
        (json!({ "cpu": 0 }), "cpu"),
        (json!({ "memory": 1_000_000 }), "memory"),
        (json!({ "memory": -1 }), "memory"),
        (json!({ "disk": 9_223_372_036_854_775_807_i64 }), "disk"),
        (json!({ "disk": 1.5 }), "disk"),
        (json!({ "env": { "1BAD": "x" } }), "env"),
        (json!({ "env": { "A=B": "x" } }), "env"),
        (json!({ "env": { "NUL": "a\u{0}b" } }), "env"),
        (json!({ "labels": { "count": 5 } }), "labels"),
        (json!({ "autoStopInterval": -5 }), "auto-stop"),
        (json!({ "name": "x".repeat(100_000) }), "name"),
        (json!({ "user": "../root" }), "user"),
    ] {
        let message = refused(&server, &config).await;
        assert!(
            message.to_lowercase().contains(&word.to_lowercase()),
            "{config}: `{message}` names `{word}`"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_of_ours_is_refused() {
    let server = Server::start().await;
    let post = || server.request(Method::POST, "/api/sandbox");
    let typed = |body: &'static str| post().header("content-type", "application/json").body(body);
    for body in ["{", "[]", "null", "\"text\"", "{\"env\":[]}", "{\"cpu\":\"many\"}", "\u{0}", ""] {
        Answer::of(typed(body)).await.api_error(400);
    }
    let plain = Answer::of(post().header("content-type", "text/plain").body("{}")).await;
    assert!([400, 415].contains(&plain.status), "{}", plain.text());
    plain.api_error(plain.status);
    assert_eq!(server.list().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let server = Server::start().await;
    let head = |length: &str| {
        let key = server.key();
        format!(
            "POST /api/sandbox HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nConnection: close\r\n{length}\r\n\r\n"
        )
    };
    let (status, answer) =
        raw::exchange(&server.url(), head("Content-Length: 1099511627776").as_bytes()).await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer.contains("\"statusCode\":413") && answer.contains("\"message\""), "{answer}");
    // Without a length it is refused where the limit is passed: here are 8 MiB in pieces of one.
    let piece = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let chunked = head("Transfer-Encoding: chunked") + &piece.repeat(8) + "0\r\n\r\n";
    let (status, answer) = raw::exchange(&server.url(), chunked.as_bytes()).await;
    assert_eq!(status, 413, "{answer}");
    assert_eq!(server.list().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_body_of_absurd_depth_is_refused() {
    let server = Server::start().await;
    let body = format!("{{\"labels\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let request = server.request(Method::POST, "/api/sandbox").header("content-type", "application/json");
    Answer::of(request.body(body)).await.api_error(400);
}

#[tokio::test]
async fn nobody_comes_in_without_the_right_key() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let inside = format!("/toolbox/{}/process/execute", sandbox.id);
    for path in ["/api/sandbox", &sandbox.path(""), "/api/sandbox/nobody"] {
        Answer::of(server.anonymous(Method::GET, path)).await.api_error(401);
        let wrong = format!("dtn_{}", "0".repeat(64));
        Answer::of(server.anonymous(Method::GET, path).bearer_auth(wrong)).await.api_error(401);
        let basic = server.anonymous(Method::GET, path).basic_auth("user", Some(server.key()));
        Answer::of(basic).await.api_error(401);
    }
    let command = json!({ "command": "touch /home/daytona/intruder" });
    let stranger = Answer::of(server.anonymous(Method::POST, &inside).json(&command)).await;
    assert_eq!(stranger.status, 401, "{}", stranger.text());
    assert_eq!(sandbox.sh("ls -A /home/daytona | grep intruder || true").await, "");
    sandbox.delete().await;
}

#[tokio::test]
async fn a_key_never_reaches_the_sandbox() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    let everything = sandbox.sh("env; cat /proc/self/environ | tr '\\0' '\\n'").await;
    assert!(!everything.contains(server.key()));
    sandbox.delete().await;
}

#[tokio::test]
async fn paths_cannot_leave_the_sandbox() {
    let server = Server::start().await;
    let secret = tempfile::NamedTempFile::new().expect("a file on the host");
    std::fs::write(secret.path(), "host secret").expect("it can be written");
    let outside = secret.path().display();
    let sandbox = server.create(&json!({})).await;
    for path in
        [format!("{outside}"), format!("../../../../../..{outside}"), format!("/proc/1/root{outside}")]
    {
        let answer = sandbox.download(&path).await;
        assert!([403, 404].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    for path in ["", "a\u{0}b"] {
        let (code, _) = sandbox.download(path).await.toolbox_error(400);
        assert!(["INVALID_FILE_PATH", "BAD_REQUEST", "INVALID_REQUEST_BODY"].contains(&&*code), "{code}");
    }
    let (code, _) = sandbox.download("/no/such/file").await.toolbox_error(404);
    assert_eq!(code, "FILE_NOT_FOUND");
    sandbox.delete().await;
}

#[tokio::test]
async fn a_raw_path_reaches_nothing_but_its_own_sandbox() {
    let server = Server::start().await;
    let (one, other) = (server.create(&json!({})).await, server.create(&json!({})).await);
    other.sh("echo private > note").await;
    for trick in [
        format!("/toolbox/{}/%2e%2e/{}/files/download?path=note", one.id, other.id),
        format!("/toolbox/{}/../{}/files/download?path=note", one.id, other.id),
        format!("/toolbox/{}%2f..%2f{}/files/download?path=note", one.id, other.id),
        format!("/toolbox/{}/..%2f..%2f..%2fapi%2fsandbox", one.id),
        format!("/toolbox/{}//{}/files/download?path=note", one.id, other.id),
        "/toolbox/../../etc/passwd".to_owned(),
        "/toolbox/%00/files?path=/".to_owned(),
        "/api/sandbox/%2e%2e%2f%2e%2e".to_owned(),
    ] {
        let (status, answer) = raw::get(&server.url(), &trick, server.key()).await;
        assert!((400..500).contains(&status), "{trick}: {answer}");
        assert!(!answer.contains("private") && !answer.contains("root:"), "{trick}: {answer}");
    }
    one.delete().await;
    other.delete().await;
}

#[tokio::test]
async fn requests_that_are_no_http_leave_the_server_answering() {
    let server = Server::start().await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(1024 * 1024));
    for request in ["GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", &long] {
        let (status, _) = raw::exchange(&server.url(), request.as_bytes()).await;
        assert!((400..506).contains(&status), "{status}");
    }
    // Two lengths that disagree are how requests are smuggled past a relay.
    let smuggled = format!(
        "POST /api/sandbox HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\nContent-Length: 60\r\nConnection: close\r\n\r\n{{}}",
        server.key()
    );
    let (status, answer) = raw::exchange(&server.url(), smuggled.as_bytes()).await;
    assert_eq!(status, 400, "{answer}");
    assert_eq!(server.list().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_bad_command_is_refused_by_the_toolbox() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    for request in [
        json!({ "command": "" }),
        json!({ "command": "  \n " }),
        json!({}),
        json!({ "command": "true", "envs": { "1BAD": "x" } }),
        json!({ "command": "true", "timeout": -1 }),
        json!({ "command": 5 }),
    ] {
        sandbox.execute(&request).await.toolbox_error(400);
    }
    let absent =
        sandbox.execute(&json!({ "command": "true", "cwd": "/no/such/folder" })).await.expect(200).json();
    assert_eq!(absent["exitCode"], -1, "{absent}");
    let unknown = Answer::of(sandbox.toolbox(Method::GET, "/no/such/route")).await;
    unknown.toolbox_error(404);
    sandbox.delete().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_half_sandbox() {
    let server = Server::start().await;
    for _ in 0..5 {
        let request = server.request(Method::POST, "/api/sandbox").json(&json!({})).send();
        // Long enough for the request to be sent, too short for most answers.
        drop(tokio::time::timeout(std::time::Duration::from_millis(3), request).await);
    }
    // What was created all the same is known, and so it can be deleted.
    sandgate_tests::until("every sandbox is settled", async || {
        server.list().await.iter().all(|sandbox| sandbox["state"] == "started")
    })
    .await;
    for sandbox in server.list().await {
        let id = sandbox["id"].as_str().expect("an id");
        drop(server.delete(&format!("/api/sandbox/{id}")).await.expect(200));
    }
}
