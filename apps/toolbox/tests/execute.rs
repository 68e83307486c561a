//! Commands: what they get, what they give, and how they end.

mod support;

use std::{collections::BTreeMap, fs, time::Instant};

use sandgate_toolbox_api::{ExecuteRequest, ExecuteResponse, client::json_post};
use support::Daemon;

fn ended(exit_code: i32, result: &str) -> ExecuteResponse {
    ExecuteResponse { exit_code, result: result.to_owned() }
}

fn with_timeout(command: &str, seconds: i64) -> ExecuteRequest {
    ExecuteRequest { timeout: Some(seconds), ..ExecuteRequest::new(command) }
}

#[tokio::test]
async fn output_and_exit_code() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.run("echo hello").await, ended(0, "hello\n"));
    assert_eq!(daemon.run("exit 3").await, ended(3, ""));
    assert_eq!(daemon.run("false").await, ended(1, ""));
    assert_eq!(daemon.run("printf no-newline; (exit 4)").await, ended(4, "no-newline"));
    assert_eq!(daemon.run("echo one\necho two\nexit 255\necho three").await, ended(255, "one\ntwo\n"));
    assert_eq!(daemon.run("cat <<'EOF'\n\"quoted\" \\ $HOME\nEOF").await, ended(0, "\"quoted\" \\ $HOME\n"));
    daemon.end().await;
}

#[tokio::test]
async fn both_streams_in_the_order_of_writing() {
    let daemon = Daemon::start().await;
    let both = daemon.run("echo 1; echo 2 >&2; echo 3; echo 4 >&2").await;
    assert_eq!(both, ended(0, "1\n2\n3\n4\n"));
    daemon.end().await;
}

#[tokio::test]
async fn mistakes_are_told_by_the_shell_with_their_line() {
    let daemon = Daemon::start().await;
    let unknown = daemon.run("true\nno-such-program-here").await;
    assert_eq!(unknown.exit_code, 127);
    assert!(unknown.result.contains("line 2: no-such-program-here"), "{}", unknown.result);
    let syntax = daemon.run("echo before\necho (").await;
    assert_eq!(syntax.exit_code, 2);
    assert!(
        syntax.result.starts_with("before\n") && syntax.result.contains("syntax error"),
        "{}",
        syntax.result
    );
    assert_eq!(daemon.run("set -e\nfalse\necho never").await, ended(1, ""));
    daemon.end().await;
}

#[tokio::test]
async fn the_work_directory_and_others() {
    let daemon = Daemon::start().await;
    let work = daemon.work_dir();
    fs::create_dir(work.join("sub")).expect("mkdir");
    let pwd = async |cwd: &str| {
        let request = ExecuteRequest { cwd: Some(cwd.to_owned()), ..ExecuteRequest::new("pwd") };
        daemon.client.execute(&request).await.expect("an answer")
    };
    assert_eq!(daemon.run("pwd").await.result.trim(), work.to_str().expect("text"));
    assert_eq!(pwd("sub").await.result.trim(), work.join("sub").to_str().expect("text"));
    assert_eq!(pwd("/usr").await, ended(0, "/usr\n"));
    assert_eq!(pwd("").await.result.trim(), work.to_str().expect("text"));
    let nowhere = pwd("/no/where").await;
    assert_eq!(nowhere.exit_code, -1);
    assert!(nowhere.result.contains("no such file or directory"), "{}", nowhere.result);
    daemon.end().await;
}

#[tokio::test]
async fn variables_are_added_to_those_of_the_sandbox() {
    let daemon = Daemon::start_with(|command| {
        command.env("FROM_SANDBOX", "old").env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
        command
            .env("SANDGATE_PIDS_LIMIT", "100000")
            .env("SANDGATE_MEMORY_LIMIT", "5")
            .env("SANDGATE_CPU_MILLIS", "5");
    })
    .await;
    let envs = BTreeMap::from([("_Mine9".to_owned(), "a b\n\"c\"=ü".to_owned())]);
    let request = ExecuteRequest {
        envs: Some(envs),
        ..ExecuteRequest::new("echo $FROM_SANDBOX; echo \"$_Mine9\"; echo $HOME")
    };
    let answer = daemon.client.execute(&request).await.expect("an answer");
    assert_eq!(answer, ended(0, "old\na b\n\"c\"=ü\n/home/me\n"));
    let all = daemon.run("env").await.result;
    assert!(!all.contains("LISTEN_") && !all.contains("SANDGATE_"), "{all}");
    daemon.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let daemon = Daemon::start().await;
    for blank in ["", " \n\t "] {
        assert_eq!(daemon.refusal(&ExecuteRequest::new(blank)).await.status_code, 400);
    }
    let negative = daemon.refusal(&with_timeout("true", -1)).await;
    assert!(negative.message.contains("timeout"), "{}", negative.message);
    for (key, value) in [("A-B", ""), ("", ""), ("1", ""), ("A=B", ""), ("GOOD", "\0")] {
        let envs = Some(BTreeMap::from([(key.to_owned(), value.to_owned())]));
        let refusal = daemon.refusal(&ExecuteRequest { envs, ..ExecuteRequest::new("touch ran") }).await;
        assert_eq!(refusal.status_code, 400, "{key:?}");
    }
    assert!(!daemon.work_dir().join("ran").exists());
    daemon.end().await;
}

#[tokio::test]
async fn the_time_limit_ends_the_whole_family() {
    let daemon = Daemon::start().await;
    let family = "sleep 1000 & (sleep 1000 & sleep 1000) & setsid sleep 1000 & setsid bash -c 'sleep 1000 & wait' & \
                  bash -c 'trap \"\" TERM; sleep 1000' & wait";
    let begin = Instant::now();
    let refusal = daemon.refusal(&with_timeout(family, 1)).await;
    assert_eq!((refusal.status_code, refusal.code.as_deref()), (408, Some("PROCESS_EXECUTION_TIMEOUT")));
    assert_eq!(refusal.message, "request timeout: command execution timeout");
    assert!(begin.elapsed().as_secs() < 5, "it came at its time");
    daemon.until("all are dead", async || daemon.processes().is_empty()).await;
    assert_eq!(daemon.run("echo next").await, ended(0, "next\n"));
    daemon.end().await;
}

#[tokio::test]
async fn whoever_escapes_cannot_delay_the_answer() {
    let daemon = Daemon::start().await;
    // Its parent is gone and its session is its own, so it is not found; it keeps the pipe open.
    let refusal = daemon.refusal(&with_timeout("(setsid sleep 1000 &); sleep 1000", 1)).await;
    assert_eq!(refusal.status_code, 408);
    // Who was killed may take a moment to die.
    daemon.until("only the one that escaped is left", async || daemon.processes().len() <= 1).await;
    daemon.kill_processes();
    daemon.end().await;
}

#[tokio::test]
async fn a_timeout_while_only_the_background_runs() {
    let daemon = Daemon::start().await;
    let refusal = daemon.refusal(&with_timeout("sleep 1000 & echo started", 1)).await;
    assert_eq!(refusal.status_code, 408, "the holder of the pipe is waited for, and then killed");
    daemon.end().await;
}

#[tokio::test]
async fn a_background_child_that_lets_go_of_the_output_is_left_alone() {
    let daemon = Daemon::start().await;
    let begin = Instant::now();
    assert_eq!(
        daemon.run("sleep 1000 >/dev/null 2>&1 & echo $! >pid; echo started").await,
        ended(0, "started\n")
    );
    assert!(begin.elapsed().as_secs() < 10);
    assert_eq!(daemon.run("kill -0 $(cat pid) && kill $(cat pid) && echo lived").await, ended(0, "lived\n"));
    daemon.end().await;
}

#[tokio::test]
async fn a_holder_of_the_output_is_waited_for() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.run("(sleep 0.3; echo late) & echo early; exit 7").await, ended(7, "early\nlate\n"));
    daemon.end().await;
}

#[tokio::test]
async fn a_signal_gives_no_invented_code() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.run("echo out; kill -9 $$").await, ended(-1, "out\n"));
    assert_eq!(daemon.run("kill -TERM $$").await, ended(-1, ""));
    let of_a_child = daemon.run("bash -c 'kill -9 $$'; echo $?").await;
    assert!(of_a_child.result.ends_with("137\n"), "{}", of_a_child.result);
    daemon.end().await;
}

#[tokio::test]
async fn standard_input_is_empty_and_swallows_no_line() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.run("cat\nread x\necho \"$? after\"").await, ended(0, "1 after\n"));
    assert_eq!(daemon.run("test -c /dev/stdin && echo device").await, ended(0, "device\n"));
    fs::write(daemon.work_dir().join("data"), "echo wrong\n").expect("write");
    assert_eq!(daemon.run("exec <data\necho right").await, ended(0, "right\n"), "data is never run");
    daemon.end().await;
}

#[tokio::test]
async fn a_command_of_any_length() {
    let daemon = Daemon::start().await;
    let long = "x".repeat(3 << 20);
    let answer = daemon.run(&format!("v='{long}'\necho ${{#v}}")).await;
    assert_eq!(answer, ended(0, &format!("{}\n", long.len())));
    let many = "echo line\n".repeat(20_000);
    assert_eq!(daemon.run(&many).await.result.lines().count(), 20_000);
    daemon.end().await;
}

#[tokio::test]
async fn a_command_outlives_its_client() {
    let daemon = Daemon::start().await;
    let body =
        serde_json::to_vec(&ExecuteRequest::new("touch begun; sleep 0.5; yes | head -c 3000000; touch done"))
            .expect("JSON");
    let begun = daemon.work_dir().join("begun");
    {
        let request = daemon.client.send(json_post("/process/execute", body));
        tokio::pin!(request);
        while !begun.exists() {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(10), &mut request).await;
        }
    }
    let done = daemon.work_dir().join("done");
    daemon.until("it has ended by itself", async || done.exists()).await;
    daemon.end().await;
}

#[tokio::test]
async fn many_at_once() {
    let daemon = Daemon::start().await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..64 {
        let client = daemon.client.clone();
        all.spawn(async move {
            let request = ExecuteRequest::new(format!("echo {number}; exit {number}"));
            (number, client.execute(&request).await.expect("an answer"))
        });
    }
    for (number, answer) in all.join_all().await {
        assert_eq!(answer, ended(number, &format!("{number}\n")));
    }
    daemon.end().await;
}

#[tokio::test]
async fn nothing_of_the_daemon_is_inherited() {
    let daemon = Daemon::start().await;
    let listed = daemon.run("for f in /proc/$$/fd/*; do readlink $f; done").await.result;
    assert!(!listed.contains("socket:"), "{listed}");
    assert!(!listed.contains("anon_inode"), "{listed}");
    let ids = daemon.run("echo $$ $(ps -o pgid= $$)").await.result;
    let ids: Vec<_> = ids.split_whitespace().collect();
    assert_eq!(ids[0], ids[1], "a process group of its own");
    daemon.end().await;
}
