//! Commands whose output is sent while they run.

mod support;

use std::{collections::BTreeMap, fmt::Write, fs, time::Duration};

use sandgate_toolbox_api::{Exit, Lines, Source, StreamEvent, StreamRequest};
use support::{Daemon, peak_memory, refused};

fn script(text: &str) -> StreamRequest {
    StreamRequest { command: Some(text.to_owned()), ..StreamRequest::default() }
}

fn argv(words: &[&str]) -> StreamRequest {
    let words = words.iter().map(ToString::to_string).collect();
    StreamRequest { argv: Some(words), ..StreamRequest::default() }
}

/// What came until the end.
#[derive(Debug, Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    last: Option<StreamEvent>,
}

impl Heard {
    fn text(&self) -> (&str, &str) {
        (std::str::from_utf8(&self.stdout).expect("text"), std::str::from_utf8(&self.stderr).expect("text"))
    }

    fn exit(&self) -> &Exit {
        match &self.last {
            Some(StreamEvent::Exit(exit)) => exit,
            other => panic!("no exit: {other:?}"),
        }
    }
}

async fn next(lines: &mut Lines) -> Option<StreamEvent> {
    let line = lines.next().await.expect("the stream goes on")?;
    Some(serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
}

async fn to_the_end(mut lines: Lines) -> Heard {
    let mut heard = Heard::default();
    while let Some(event) = next(&mut lines).await {
        assert_eq!(heard.last, None, "the exit comes last");
        match event.clone().into_output() {
            Some((Source::Stdout, bytes)) => heard.stdout.extend(bytes),
            Some((Source::Stderr, bytes)) => heard.stderr.extend(bytes),
            None => heard.last = Some(event),
        }
    }
    heard
}

async fn heard(daemon: &Daemon, request: &StreamRequest) -> Heard {
    to_the_end(daemon.client.stream(request).await.expect("it starts")).await
}

#[tokio::test]
async fn both_outputs_apart_and_the_exit_code() {
    let daemon = Daemon::start().await;
    let all = heard(&daemon, &script("echo 1; echo 2 >&2; echo 3; echo 4 >&2; exit 7")).await;
    assert_eq!((all.text(), all.exit()), (("1\n3\n", "2\n4\n"), &Exit::Code(7)));
    let silent = heard(&daemon, &script("true")).await;
    assert_eq!((silent.text(), silent.exit()), (("", ""), &Exit::Code(0)));
    let request = StreamRequest {
        envs: Some(BTreeMap::from([("MINE".to_owned(), "a b".to_owned())])),
        cwd: Some("/usr".to_owned()),
        ..script("pwd; echo $MINE; cat")
    };
    assert_eq!(heard(&daemon, &request).await.text().0, "/usr\na b\n", "and its input is empty");
    daemon.end().await;
}

#[tokio::test]
async fn a_program_gets_its_arguments_as_they_are() {
    let daemon = Daemon::start().await;
    let hard =
        ["", "a b", "it's", "\"q\"", "$HOME `id` $(id)", "l1\nl2\n", "-n", "--", "*", "\\", "ü€🦀", "!x"];
    let all = heard(&daemon, &argv(&[&["printf", "%s\\0"][..], &hard].concat())).await;
    let expected = hard.join("\0") + "\0";
    assert_eq!((all.text().0, all.exit()), (expected.as_str(), &Exit::Code(0)));
    // It is the program itself that is waited for, not a shell around it.
    let killed = heard(&daemon, &argv(&["bash", "-c", "kill -9 $$"])).await;
    assert_eq!(killed.exit(), &Exit::Signal("KILL".to_owned()));
    let unknown = heard(&daemon, &argv(&["no-such-program-here"])).await;
    assert_eq!(unknown.exit(), &Exit::Code(127));
    assert!(unknown.text().1.contains("no-such-program-here"), "{unknown:?}");
    daemon.end().await;
}

#[tokio::test]
async fn a_signal_is_named_and_gives_no_code() {
    let daemon = Daemon::start().await;
    for (signal, name) in [("KILL", "KILL"), ("TERM", "TERM"), ("SEGV", "SEGV"), ("34", "34")] {
        let all = heard(&daemon, &script(&format!("echo out; kill -{signal} $$"))).await;
        assert_eq!((all.text().0, all.exit()), ("out\n", &Exit::Signal(name.to_owned())), "{signal}");
    }
    daemon.end().await;
}

#[tokio::test]
async fn the_time_limit_ends_the_family_and_is_told() {
    let daemon = Daemon::start().await;
    let family = "echo begun; sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &); wait";
    let all = heard(&daemon, &StreamRequest { timeout: Some(1), ..script(family) }).await;
    assert_eq!((all.text().0, all.exit()), ("begun\n", &Exit::Timeout(true)));
    // Who was killed may take a moment to die.
    daemon.until("only the one that escaped is left", async || daemon.processes().len() <= 1).await;
    daemon.kill_processes();
    daemon.end().await;
}

#[tokio::test]
async fn a_line_comes_before_the_command_ends() {
    let daemon = Daemon::start().await;
    let mut lines =
        daemon.client.stream(&script("mkfifo go; echo one; cat go; exit 2")).await.expect("lines");
    assert_eq!(next(&mut lines).await, Some(StreamEvent::Stdout("one\n".to_owned())));
    fs::write(daemon.work_dir().join("go"), "two\n").expect("the command reads it");
    let rest = to_the_end(lines).await;
    assert_eq!((rest.text().0, rest.exit()), ("two\n", &Exit::Code(2)));
    daemon.end().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_exact() {
    let daemon = Daemon::start().await;
    let bytes: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    fs::write(daemon.work_dir().join("bytes"), &bytes).expect("a file");
    let all = heard(&daemon, &script("cat bytes; cat bytes >&2; printf '\\xe2\\x82' >&2")).await;
    assert!(all.stdout == bytes, "standard output");
    assert!(all.stderr == [&bytes[..], b"\xe2\x82"].concat(), "standard error");
    daemon.end().await;
}

#[tokio::test]
async fn characters_are_whole_in_every_line() {
    let daemon = Daemon::start().await;
    let command = "for i in $(seq 1 40000); do printf '€🦀ä'; done; printf '\\xf0\\x9f'; sleep 0.05; printf '\\xa6\\x80'";
    let mut lines = daemon.client.stream(&script(command)).await.expect("lines");
    let mut text = String::new();
    while let Some(event) = next(&mut lines).await {
        match event {
            StreamEvent::Stdout(more) => text.push_str(&more),
            other => assert_eq!(other, StreamEvent::Exit(Exit::Code(0))),
        }
    }
    assert!(text == format!("{}🦀", "€🦀ä".repeat(40_000)), "{} bytes", text.len());
    daemon.end().await;
}

#[tokio::test]
async fn a_hundred_megabytes_are_exact_and_do_not_stay_in_memory() {
    let daemon = Daemon::start().await;
    let all = heard(&daemon, &script("seq 1 13000000 | head -c 104857600; echo end >&2")).await;
    let mut expected = String::new();
    for number in 1..=13_000_000 {
        writeln!(expected, "{number}").expect("a text takes all");
    }
    assert!(all.stdout == expected.as_bytes()[..100 << 20], "every byte is as it was written");
    assert_eq!((all.stderr.as_slice(), all.exit()), (&b"end\n"[..], &Exit::Code(0)));
    assert!(peak_memory(daemon.pid()).expect("its memory") < 24 << 20, "{:?}", peak_memory(daemon.pid()));
    daemon.end().await;
}

#[tokio::test]
async fn a_reader_that_waits_makes_the_command_wait() {
    let daemon = Daemon::start().await;
    let command = "for i in $(seq 1 400); do head -c 65536 /dev/zero; echo $i >count; done";
    let lines = daemon.client.stream(&script(command)).await.expect("lines");
    let count = || fs::read_to_string(daemon.work_dir().join("count")).unwrap_or_default();
    let (mut seen, mut same) = (String::new(), 0);
    daemon
        .until("it has stopped to write", async || {
            same = if count() == seen { same + 1 } else { 0 };
            seen = count();
            same > 100
        })
        .await;
    assert!(seen.trim().parse::<u32>().is_ok_and(|count| count < 100), "it wrote {seen} of 400 pieces");
    assert_eq!(to_the_end(lines).await.stdout.len(), 400 << 16);
    assert!(peak_memory(daemon.pid()).expect("its memory") < 24 << 20);
    daemon.end().await;
}

#[tokio::test]
async fn a_client_that_goes_takes_the_command_with_it() {
    let daemon = Daemon::start().await;
    for command in [
        "echo begun; sleep 1000 & setsid sleep 1000 & wait",
        "echo begun; yes | cat",
        "echo begun; exec >/dev/null 2>&1; sleep 1000",
    ] {
        let mut lines = daemon.client.stream(&script(command)).await.expect("lines");
        assert!(next(&mut lines).await.is_some(), "it runs");
        drop(lines);
        daemon.until("all are dead", async || daemon.processes().is_empty()).await;
    }
    daemon.end().await;
}

#[tokio::test]
async fn whoever_holds_an_output_is_waited_for() {
    let daemon = Daemon::start().await;
    let all = heard(&daemon, &script("(sleep 0.2; echo late >&2) & echo early; exit 7")).await;
    assert_eq!((all.text(), all.exit()), (("early\n", "late\n"), &Exit::Code(7)));
    daemon.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_runs() {
    let daemon = Daemon::start().await;
    let both =
        StreamRequest { argv: Some(vec!["touch".to_owned(), "ran".to_owned()]), ..script("touch ran") };
    let envs = Some(BTreeMap::from([("A-B".to_owned(), String::new())]));
    for request in [
        StreamRequest::default(),
        both,
        script(" "),
        argv(&[]),
        argv(&["-c"]),
        StreamRequest { timeout: Some(-1), ..script("touch ran") },
        StreamRequest { envs, ..script("touch ran") },
        StreamRequest { cwd: Some("/no/where".to_owned()), ..script("touch ran") },
    ] {
        let body = refused(daemon.client.stream(&request).await);
        assert_eq!(body.status_code, 400, "{request:?}: {}", body.message);
    }
    assert!(!daemon.work_dir().join("ran").exists());
    daemon.end().await;
}

#[tokio::test]
async fn several_at_once_do_not_mix() {
    let daemon = Daemon::start().await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..16 {
        let client = daemon.client.clone();
        all.spawn(async move {
            let lines =
                client.stream(&script(&format!("yes {number} | head -c 300000; exit {number}"))).await;
            (number, tokio::time::timeout(Duration::from_mins(1), to_the_end(lines.expect("lines"))).await)
        });
    }
    for (number, heard) in all.join_all().await {
        let heard = heard.expect("in time");
        assert_eq!(heard.exit(), &Exit::Code(number));
        assert!(*heard.text().0 == format!("{number}\n").repeat(150_000)[..300_000], "of command {number}");
    }
    daemon.end().await;
}
