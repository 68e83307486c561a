//! Hosts that hold sandboxes to their limits and hosts that do not: what `sandgate doctor` says of them, and whether
//! a server starts there. The latter is this host, seen without one of its cgroup controllers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use sandgate_tests::{Options, Server, processes_of, sandgate, wait_until};
use serde_json::{Value, json};

/// What limits a sandbox has.
const LIMITS: [&str; 4] = ["memory limit", "cpu limit", "pids limit", "disk limit"];

/// Runs it with its data to be in `folder`, and waits until nothing of it is left there.
fn end(mut command: Command, folder: &Path) -> Output {
    let output = command.output().expect("it starts");
    let gone = wait_until(|| processes_of(folder).is_empty());
    assert!(gone, "processes are left: {:?}", processes_of(folder));
    output
}

fn doctor(hidden: Option<&str>, args: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = sandgate(hidden);
    command.arg("doctor").args(args).arg("--data-dir").arg(folder.path().join("data"));
    let output = end(command, folder.path());
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder").flatten().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

fn report(hidden: Option<&str>) -> (Option<i32>, Value) {
    let (code, text) = doctor(hidden, &["--json"]);
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// The status of one finding.
fn status<'a>(report: &'a Value, what: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    let found = findings.iter().find(|finding| finding["what"] == what);
    &found.unwrap_or_else(|| panic!("a finding about `{what}`: {report}"))["status"]
}

#[test]
fn a_host_that_holds_sandboxes_to_their_limits_is_usable() {
    let (code, report) = report(None);
    assert_eq!((code, &report["usable"]), (Some(0), &json!(true)), "{report}");
    for what in LIMITS.into_iter().chain(["writing", "memory controller", "idmapped mounts", "clone3"]) {
        assert_eq!(status(&report, what), "ok", "{what}: {report}");
    }
    for finding in report["findings"].as_array().expect("findings") {
        assert!(finding["subject"].is_string() && finding["detail"].is_string(), "{finding}");
        let worse = finding["status"] == "degraded" || finding["status"] == "missing";
        assert_eq!(finding["cost"].is_string() && finding["remedy"].is_string(), worse, "{finding}");
    }
}

#[test]
fn the_text_names_each_thing_with_its_status() {
    let (code, text) = doctor(None, &[]);
    assert_eq!(code, Some(0), "{text}");
    for line in ["Kernel\n", "Control groups\n", "Disk\n", "Limits of the host\n", "Self-test\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.lines().any(|line| line.starts_with("  ok") && line.contains("disk limit")), "{text}");
}

#[test]
fn a_missing_controller_is_told_with_its_remedy_and_found_by_the_self_test() {
    let (code, found) = report(Some("pids"));
    assert_eq!((code, &found["usable"]), (Some(1), &json!(false)), "{found}");
    for what in ["pids controller", "pids limit"] {
        assert_eq!(status(&found, what), "missing", "{found}");
    }
    for what in ["memory limit", "cpu limit", "disk limit", "writing"] {
        assert_eq!(status(&found, what), "ok", "{found}");
    }
    let (code, text) = doctor(Some("memory"), &[]);
    assert_eq!(code, Some(1), "{text}");
    for word in
        ["missing   memory limit", "remedy: boot with cgroup_enable=memory", "--allow-unenforced-limits"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn who_is_not_root_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let program = folder.path().join("sandgate");
    fs::copy(std::env::var_os("SANDGATE_BIN").expect("the binary"), &program).expect("a copy");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    command.arg("doctor").arg("--data-dir").arg(folder.path().join("data"));
    let output = end(command, folder.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("remedy: run it as root"), "{text}");
}

#[test]
fn where_a_limit_does_not_bind_no_server_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = sandgate(Some("memory"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path().join("data"));
    let output = end(command, folder.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["memory: no cgroup hierarchy", "cgroup_enable=memory", "--allow-unenforced-limits"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let disks: Vec<_> = fs::read_dir(folder.path().join("data/disks")).expect("disks").flatten().collect();
    assert!(disks.iter().all(|disk| disk.file_name().to_string_lossy().starts_with('.')), "{disks:?}");
}

#[tokio::test]
async fn where_that_is_allowed_every_sandbox_names_the_limit() {
    let config = Some("allow_unenforced_limits = true\n".to_owned());
    let server = Server::start_with(Options { config, hidden: Some("memory"), ..Options::default() }).await;
    let sandbox = server.create(&json!({})).await;
    assert_eq!(sandbox.info().await["unenforcedLimits"], json!(["memory"]));
    assert_eq!(server.list().await[0]["unenforcedLimits"], json!(["memory"]));
    assert_eq!(sandbox.sh("echo works").await, "works");
    sandbox.delete().await;
}

#[tokio::test]
async fn where_all_bind_no_sandbox_names_one() {
    let env = vec![("SANDGATE_ALLOW_UNENFORCED_LIMITS".to_owned(), "1".to_owned())];
    let server = Server::start_with(Options { env, ..Options::default() }).await;
    let sandbox = server.create(&json!({})).await;
    assert_eq!(sandbox.info().await.get("unenforcedLimits"), None);
    sandbox.delete().await;
}

#[tokio::test]
async fn what_a_killed_self_test_left_goes_at_the_next_start() {
    let server = Server::start().await;
    server.terminate();
    let trial = |data: &Path| {
        let sockets = fs::read_dir(data.join("sockets")).expect("sockets").flatten();
        sockets.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().ends_with("-trial.sock"))
    };
    server.kill_while_starting(trial);
    assert!(trial(&server.data()), "it was killed in the middle");
    server.start_again();
    assert!(!trial(&server.data()), "the next start removes it");
    assert_eq!(server.sandbox_processes(), Vec::<u32>::new());
}

/// A server that finds sandboxes serves them, also where it cannot make a new one.
#[tokio::test]
async fn a_self_test_that_cannot_be_made_cuts_nobody_off_from_their_sandboxes() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    assert!(server.terminate().success());
    // The disk that the self-test copies cannot be opened.
    let template = server.data().join("disks/.template-16777216.ext4");
    fs::remove_file(&template).expect("the self-test has made it");
    fs::create_dir(&template).expect("a directory in its place");
    server.start_again();
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    sandbox.delete().await;
    assert!(server.terminate().success());
    let refused = server.start_second();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && words.contains("self-test"),
        "without sandboxes it refuses: {words}"
    );
    fs::remove_dir(&template).expect("the directory");
    server.start_again();
}
