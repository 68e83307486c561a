//! The published Python SDK, unchanged, against the real server: the cases are in `tests/python`.

use std::path::{Path, PathBuf};
use std::process::Command;

use sandgate_tests::{Options, Server, long_checks, setting, skip};
use serde_json::Value;

/// The environment that holds the SDK.
fn python() -> PathBuf {
    let venv = setting("SANDGATE_TEST_VENV").expect("no Python environment: run `cargo xtask test`");
    Path::new(&venv).join("bin/python")
}

/// Runs one file of cases against a server of its own.
async fn run(cases: &str) {
    run_with(Options::default(), cases).await;
}

async fn run_with(options: Options, cases: &str) {
    let server = Server::start_with(options).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let status = Command::new(python())
        .args(["-B", "-m", "pytest", "-p", "no:cacheprovider", "--durations=3", "--quiet", cases])
        .current_dir(folder)
        .env("DAYTONA_API_URL", format!("{}/api", server.url()))
        .env("DAYTONA_API_KEY", server.key())
        .env("SANDGATE_PID", server.pid().to_string())
        .status()
        .expect("Python starts");
    assert!(status.success(), "{cases} ended with {status}");
    assert_eq!(server.list().await, Vec::<Value>::new(), "{cases} deleted its sandboxes");
}

#[tokio::test]
async fn lifecycle() {
    run("test_lifecycle.py").await;
}

/// Sandboxes have a field then that Daytona's do not.
#[tokio::test]
async fn lifecycle_where_a_limit_does_not_bind() {
    let env = vec![("SANDGATE_ALLOW_UNENFORCED_LIMITS".to_owned(), "true".to_owned())];
    run_with(Options { env, hidden: Some("memory"), ..Options::default() }, "test_lifecycle.py").await;
}

#[tokio::test]
async fn commands() {
    run("test_commands.py").await;
}

#[tokio::test]
async fn quotas() {
    let config = Some("[quota]\ncpu = 2\ncreates_per_minute = 3\n".to_owned());
    run_with(Options { config, ..Options::default() }, "test_quotas.py").await;
}

#[tokio::test]
async fn files() {
    run("test_files.py").await;
}

#[tokio::test]
async fn a_file_of_a_gibibyte() {
    if !long_checks() {
        return skip("python_sdk::a_file_of_a_gibibyte", "takes long; `cargo xtask test --ci` runs it");
    }
    run("test_large_file.py").await;
}
