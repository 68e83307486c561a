//! The listener as a sandbox's pid 1 gets it: inherited, at descriptor 3.

mod support;

use std::{
    fs,
    os::{fd::AsRawFd, unix::net::UnixListener},
    process::{Command, Stdio},
};

use rustix::io::{FdFlags, fcntl_setfd};
use sandgate_toolbox_api::{ExecuteRequest, ToolboxClient};

#[tokio::test]
async fn it_serves_on_descriptor_three() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("a listener");
    fcntl_setfd(&listener, FdFlags::empty()).expect("inheritable");
    let start = format!("exec 3<&{0}; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$1\"", listener.as_raw_fd());
    let mut child = Command::new("bash")
        .args(["-c", &start, "bash", env!("CARGO_BIN_EXE_sandgate-toolbox")])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .spawn()
        .expect("the daemon starts");
    // No waiting for it: requests queue in the listener until it is ready.
    let client = ToolboxClient::unix(&socket);
    let answer = client
        .execute(&ExecuteRequest::new("ls -l /proc/$$/fd | grep -c socket: ; env | grep -c ^LISTEN"))
        .await;
    assert_eq!(answer.expect("an answer").result, "1\n0\n", "only this test's own descriptor is inherited");
    fs::remove_file(&socket).expect("the socket is ours");
    child.kill().expect("it is there");
    child.wait().expect("it ends");
}

#[test]
fn without_a_listener_it_says_what_is_missing() {
    let ended = Command::new(env!("CARGO_BIN_EXE_sandgate-toolbox"))
        .env_remove("LISTEN_FDS")
        .output()
        .expect("it ends");
    assert!(!ended.status.success());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("LISTEN_FDS"));
}
