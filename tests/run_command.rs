//! `sandgate run -- CMD`: a command in a sandbox as if it ran here, by a server that is there or by one of its own.

use std::io::Read as _;
use std::process::{Child, Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use sandgate_tests::{Program, Server, until, wait_until};
use serde_json::Value;

/// `sandgate run` by this server.
fn by(server: &Server, program: &Program, args: &[&str]) -> Command {
    let mut command = program.command(&[&["run"], args].concat());
    command.env("SANDGATE_URL", server.url()).env("SANDGATE_API_KEY", server.key());
    command
}

fn said(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
}

fn ended(code: i32, stdout: &str, stderr: &str) -> (Option<i32>, String, String) {
    (Some(code), stdout.to_owned(), stderr.to_owned())
}

/// Waits until the command has said `begun`.
fn begun(child: &mut Child) {
    let mut word = [0; 6];
    child.stdout.as_mut().expect("an output").read_exact(&mut word).expect("it says something");
    assert_eq!(&word, b"begun\n");
}

/// Sends the signal and returns the exit code.
fn signalled(mut child: Child, signal: Signal) -> Option<i32> {
    kill_process(Pid::from_child(&child), signal).expect("it is there");
    assert!(wait_until(|| child.try_wait().expect("our child").is_some()), "it ends");
    child.wait().expect("our child").code()
}

#[tokio::test]
async fn it_ends_as_its_command_does() {
    let (server, program) = (Server::start().await, Program::new());
    let run = |args: &[&str]| said(by(&server, &program, args));
    assert_eq!(run(&["--", "true"]), ended(0, "", ""));
    assert_eq!(run(&["--", "bash", "-c", "echo out; echo err >&2; exit 7"]), ended(7, "out\n", "err\n"));
    assert_eq!(run(&["--", "bash", "-c", "kill -KILL $$"]), ended(137, "", ""));
    assert_eq!(run(&["--timeout", "1", "--", "sleep", "1000"]), ended(124, "", ""));
    assert_eq!(
        run(&["--env", "A=b=c d", "--env", "E=", "--", "bash", "-c", "echo \"$A|$E|\""]),
        ended(0, "b=c d||\n", "")
    );
    assert_eq!(run(&["--", "cat"]), ended(0, "", ""), "its input is empty");
    assert_eq!(run(&["--", "no-such-program"]).0, Some(127));
    assert_eq!(server.list().await, Vec::<Value>::new());
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let (server, program) = (Server::start().await, Program::new());
    let hard = [
        "",
        "a b",
        "it's",
        "\"q\"",
        "$HOME `id` $(id)",
        "l1\nl2\n",
        "-n",
        "--",
        "--env",
        "*",
        "\\",
        "ü€🦀",
        "!x",
    ];
    let (code, stdout, _) = said(by(&server, &program, &[&["--", "printf", "%s\\0"], &hard[..]].concat()));
    assert_eq!((code, stdout), (Some(0), hard.join("\0") + "\0"));
}

#[tokio::test]
async fn output_is_exact() {
    let (server, program) = (Server::start().await, Program::new());
    let script = "for i in $(seq 0 255); do printf \"\\\\x$(printf %02x $i)\"; done; yes 0123456789abcde | head -c 16000000";
    let output = by(&server, &program, &["--", "bash", "-c", script]).output().expect("it starts");
    let expected = [(0..=255).collect::<Vec<u8>>(), b"0123456789abcde\n".repeat(1_000_000)].concat();
    assert!(output.stdout == expected, "{} bytes", output.stdout.len());
}

#[tokio::test]
async fn a_failure_of_ours_is_told_apart() {
    let (server, program) = (Server::start().await, Program::new());
    let fails = |mut command: Command, set: &[(&str, &str)], word: &str| {
        command.envs(set.iter().copied());
        let (code, stdout, stderr) = said(command);
        assert_eq!((code, stdout.as_str()), (Some(125), ""), "{stderr}");
        assert!(stderr.starts_with("sandgate: ") && stderr.contains(word), "`{stderr}` says `{word}`");
    };
    let by = |args: &[&str]| by(&server, &program, args);
    fails(by(&["--", "true"]), &[("SANDGATE_API_KEY", "dtn_wrong")], "credentials");
    fails(by(&["--", "true"]), &[("SANDGATE_API_KEY", "")], "SANDGATE_API_KEY");
    fails(by(&["--server", "http://127.0.0.1:1", "--", "true"]), &[], "http://127.0.0.1:1");
    fails(by(&["--server", "ftp://x", "--", "true"]), &[], "ftp://x");
    fails(by(&["--snapshot", "no-such-snapshot", "--", "true"]), &[], "no-such-snapshot");
    fails(by(&["--cpu", "1000", "--", "true"]), &[], "cpu");
    fails(by(&["--env", "NAME", "--", "true"]), &[], "NAME");
    fails(by(&["--", ""]), &[], "program");
    for usage in [&["--cpu", "many", "--", "true"][..], &["true"], &[]] {
        assert_eq!(said(by(usage)).0, Some(125), "{usage:?}");
    }
    assert_eq!(server.list().await, Vec::<Value>::new());
}

#[tokio::test]
async fn daytonas_variables_lead_to_the_same_server() {
    let (server, program) = (Server::start().await, Program::new());
    let mut command = program.command(&["run", "--", "echo", "here"]);
    command.env("DAYTONA_API_URL", format!("{}/api", server.url())).env("DAYTONA_API_KEY", server.key());
    assert_eq!(said(command), ended(0, "here\n", ""));
}

#[tokio::test]
async fn a_signal_ends_the_command_and_its_sandbox() {
    let (server, program) = (Server::start().await, Program::new());
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut child = by(&server, &program, &["--", "bash", "-c", "echo begun; sleep 1000"])
            .spawn()
            .expect("it starts");
        begun(&mut child);
        server.observe();
        assert_eq!(signalled(child, signal), Some(code));
        until("its sandbox is gone", async || server.list().await.is_empty()).await;
    }
}

#[tokio::test]
async fn a_signal_is_obeyed_while_nobody_reads() {
    let (server, program) = (Server::start().await, Program::new());
    let mut child =
        by(&server, &program, &["--", "bash", "-c", "echo begun; yes"]).spawn().expect("it starts");
    begun(&mut child);
    assert_eq!(signalled(child, Signal::INT), Some(130));
    until("its sandbox is gone", async || server.list().await.is_empty()).await;
}

#[tokio::test]
async fn when_nobody_reads_any_more_it_ends() {
    let (server, program) = (Server::start().await, Program::new());
    let mut child =
        by(&server, &program, &["--", "bash", "-c", "echo begun; yes"]).spawn().expect("it starts");
    begun(&mut child);
    drop(child.stdout.take());
    assert!(wait_until(|| child.try_wait().expect("our child").is_some()), "it ends");
    assert_eq!(child.wait().expect("our child").code(), Some(141));
    until("its sandbox is gone", async || server.list().await.is_empty()).await;
}

#[test]
fn without_a_server_it_brings_its_own_and_takes_it_away() {
    let program = Program::new();
    let script = "echo \"$0\"; echo err >&2; id -un; exit 7";
    assert_eq!(
        said(program.command(&["run", "--", "bash", "-c", script, "a b"])),
        ended(7, "a b\ndaytona\n", "err\n")
    );
}

#[test]
fn a_server_of_its_own_goes_with_a_signal() {
    let program = Program::new();
    let mut child =
        program.command(&["run", "--", "bash", "-c", "echo begun; sleep 1000"]).spawn().expect("it starts");
    begun(&mut child);
    assert_eq!(signalled(child, Signal::INT), Some(130));
    // While it starts as well.
    for _ in 0..3 {
        let child = program.command(&["run", "--", "sleep", "1000"]).spawn().expect("it starts");
        let handled = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
            caught.is_some_and(|mask| u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & 2 != 0))
        };
        assert!(wait_until(handled), "it has come to where it minds signals");
        assert_eq!(signalled(child, Signal::INT), Some(130));
    }
}

#[test]
fn two_at_once_bring_a_server_each() {
    let program = Program::new();
    let start = |word| program.command(&["run", "--", "echo", word]).spawn().expect("it starts");
    let (one, two) = (start("one"), start("two"));
    for (child, word) in [(one, "one\n"), (two, "two\n")] {
        let output = child.wait_with_output().expect("our child");
        assert_eq!((output.status.code(), output.stdout), (Some(0), word.as_bytes().to_vec()));
    }
}
