//! A disk that is really full: a small tmpfs, as work directory and as `/tmp`.

mod support;

use std::process::Command;

use http::Method;
use sandgate_toolbox_api::{ExecuteRequest, client::full_body};
use support::{Daemon, Form, can_unshare};

/// Mounts it over `/tmp`, goes to the same path in it and becomes the daemon. What is covered then, the program and the
/// directory of the socket, is opened before.
const PREPARE: &str = "exec 8<.. 9<\"$1\" && mount -t tmpfs -o size=4m small /tmp && mkdir -p \"$PWD\" && \
                       cd \"$PWD\" && exec /proc/self/fd/9 --listen /proc/self/fd/8/socket";

async fn start() -> Daemon {
    Daemon::start_with(|command| {
        let program = command.get_program().to_owned();
        let directory = command.get_current_dir().map(ToOwned::to_owned).expect("a work directory");
        let variables: Vec<_> =
            command.get_envs().map(|(key, value)| (key.to_owned(), value.map(ToOwned::to_owned))).collect();
        *command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "bash", "-c", PREPARE, "bash"]).arg(program);
        command
            .current_dir(directory)
            .envs(variables.into_iter().filter_map(|(key, value)| Some((key, value?))));
    })
    .await
}

#[tokio::test]
async fn uploads_say_so_and_leave_nothing() {
    if !can_unshare() {
        return;
    }
    let daemon = start().await;
    let large = vec![7; 8 << 20];
    let uri = "/files/upload-v2?path=new/large";
    let kind = Some("application/octet-stream");
    daemon.call(Method::POST, uri, full_body(large.clone()), kind).await.fails(507, "DISK_FULL");
    daemon
        .post_form("/files/upload-v2?path=large", Form::new().part("file", &large))
        .await
        .fails(507, "DISK_FULL");
    let form = Form::new().file(0, "small", "fits").file(1, "new/large", &large);
    let error = daemon.post_form("/files/bulk-upload", form).await.fails(507, "DISK_FULL");
    assert!(error.errors[0].contains("new/large: no space left"), "{:?}", error.errors);
    assert_eq!(daemon.run("ls -A; cat small").await.result, "small\nfits");
    daemon.end().await;
}

#[tokio::test]
async fn a_command_whose_output_cannot_be_kept_is_killed() {
    if !can_unshare() {
        return;
    }
    let daemon = start().await;
    let refusal = daemon.refusal(&ExecuteRequest::new("yes & yes")).await;
    assert_eq!((refusal.status_code, refusal.code.as_deref()), (507, Some("DISK_FULL")));
    daemon.until("it is dead", async || daemon.processes().is_empty()).await;
    assert_eq!(daemon.run("ls -A; seq 1 3").await.result, "1\n2\n3\n");
    daemon.end().await;
}
