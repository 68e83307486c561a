//! Shapes, refusals and facts.

mod support;

use http::Method;
use sandgate_toolbox_api::{
    ClientError, DirResponse, ExecuteRequest, SystemMetrics, ToolboxClient, VersionResponse,
    client::full_body,
};
use serde_json::Value;
use support::Daemon;

const JSON: Option<&str> = Some("application/json");

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn answers_have_exactly_the_keys_of_the_api() {
    let daemon = Daemon::start().await;
    let executed: Value = daemon.post_json("/process/execute", r#"{"command":"true"}"#).await.is(200).json();
    assert_eq!(keys(&executed), ["exitCode", "result"]);
    daemon.post("/files/folder?path=dir&mode=755").await.is(201);
    let info: Value = daemon.get("/files/info?path=dir").await.is(200).json();
    let of_info =
        ["group", "isDir", "modTime", "mode", "modifiedAt", "name", "owner", "path", "permissions", "size"];
    assert_eq!(keys(&info), of_info);
    let metrics: Value = daemon.get("/system/metrics").await.is(200).json();
    let of_metrics = [
        "cpuCount",
        "cpuUsedPct",
        "diskFree",
        "diskTotal",
        "diskUsed",
        "memCache",
        "memTotal",
        "memUsed",
        "timestamp",
        "timestampUnix",
    ];
    assert_eq!(keys(&metrics), of_metrics);
    let error: Value = daemon.get("/nowhere").await.is(404).json();
    assert_eq!(keys(&error), ["code", "message", "method", "path", "source", "statusCode", "timestamp"]);
    daemon.end().await;
}

#[tokio::test]
async fn facts() {
    let daemon = Daemon::start_with(|command| {
        command.env("SANDGATE_MEMORY_LIMIT", "1073741824").env("SANDGATE_CPU_MILLIS", "1500");
    })
    .await;
    assert_eq!(daemon.get("/user-home-dir").await.json::<DirResponse>().dir, "/home/me");
    assert_eq!(
        daemon.get("/work-dir").await.json::<DirResponse>().dir,
        daemon.work_dir().to_str().expect("text")
    );
    assert_eq!(daemon.get("/version").await.json::<VersionResponse>().version, env!("CARGO_PKG_VERSION"));
    daemon.get("/health").await.is(200);
    let metrics: SystemMetrics = daemon.get("/system/metrics").await.json();
    assert_eq!((metrics.mem_total, metrics.cpu_count), (1 << 30, 2));
    assert!(metrics.mem_used > 0 && metrics.disk_total >= metrics.disk_used && metrics.timestamp_unix > 0);
    daemon.end().await;
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let daemon = Daemon::start().await;
    let get = [
        "/git/status?path=x",
        "/port",
        "/port/3000/in-use",
        "/process/pty/x/connect",
        "/computeruse/display/info",
        "/files/find",
    ];
    for path in get {
        let error = daemon.get(path).await.fails(501, "NOT_SUPPORTED");
        assert!(error.message.contains("not supported"), "{}", error.message);
    }
    for path in [
        "/process/session",
        "/process/code-run",
        "/lsp/start",
        "/env",
        "/init",
        "/process/session/a/command/b/input",
    ] {
        daemon.post(path).await.fails(501, "NOT_SUPPORTED");
    }
    daemon.delete("/process/session/abc").await.fails(501, "NOT_SUPPORTED");
    daemon.get("/").await.fails(404, "NOT_FOUND");
    daemon.get("/process").await.fails(404, "NOT_FOUND");
    daemon.get("/git").await.fails(404, "NOT_FOUND");
    daemon.end().await;
}

#[tokio::test]
async fn wrong_methods() {
    let daemon = Daemon::start().await;
    daemon.get("/process/execute").await.fails(405, "METHOD_NOT_ALLOWED");
    daemon.post("/files").await.fails(405, "METHOD_NOT_ALLOWED");
    daemon.delete("/version").await.fails(405, "METHOD_NOT_ALLOWED");
    daemon.delete("/process/code-run").await.fails(405, "METHOD_NOT_ALLOWED");
    daemon.end().await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let daemon = Daemon::start().await;
    let execute = async |body: &str, kind| {
        daemon.call(Method::POST, "/process/execute", full_body(body.to_owned()), kind).await
    };
    let says = |error: sandgate_toolbox_api::ErrorBody, word: &str| {
        assert!(error.message.contains(word), "{}", error.message);
    };
    says(execute("{", JSON).await.fails(400, "INVALID_REQUEST_BODY"), "EOF");
    says(execute("{}", JSON).await.fails(400, "INVALID_REQUEST_BODY"), "command");
    says(execute(r#"{"command":7}"#, JSON).await.fails(400, "INVALID_REQUEST_BODY"), "`command`");
    says(
        execute(r#"{"command":"x","envs":{"A":1}}"#, JSON).await.fails(400, "INVALID_REQUEST_BODY"),
        "`envs.A`",
    );
    says(
        execute(r#"{"command":"x","timeout":"1"}"#, JSON).await.fails(400, "INVALID_REQUEST_BODY"),
        "`timeout`",
    );
    execute(r#"{"command":"x"}"#, Some("text/plain")).await.fails(415, "UNSUPPORTED_MEDIA_TYPE");
    execute(r#"{"command":"x"}"#, None).await.fails(415, "UNSUPPORTED_MEDIA_TYPE");
    let long = format!(r#"{{"command":"{}"}}"#, "x".repeat(17 << 20));
    execute(&long, JSON).await.fails(413, "PAYLOAD_TOO_LARGE");
    daemon.end().await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_toolbox_that_is_not_there() {
    let client = ToolboxClient::unix("/no/such/socket");
    let error = client.execute(&ExecuteRequest::new("true")).await.expect_err("nobody listens");
    assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn a_toolbox_that_dies_meanwhile_leaves_the_outcome_open() {
    let daemon = Daemon::start().await;
    let stop = format!("kill -KILL {}", daemon.pid());
    let error = daemon.client.execute(&ExecuteRequest::new(stop)).await.expect_err("it is dead");
    assert!(matches!(error, ClientError::Interrupted(_)), "{error:?}");
    assert!(!error.never_sent());
    let never_sent = async || daemon.client.health().await.is_err_and(|error| error.never_sent());
    daemon.until("no pooled connection is left", never_sent).await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_held() {
    let daemon = Daemon::start().await;
    let client = daemon.client.clone().with_answer_limit(1000);
    let error = client.execute(&ExecuteRequest::new("seq 1 1000")).await.expect_err("too long");
    assert!(matches!(error, ClientError::TooLarge { limit: 1000 }), "{error:?}");
    daemon.end().await;
}
