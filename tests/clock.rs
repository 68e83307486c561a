//! The host's clock is turned, while the server is down and while it runs: no sandbox is older for it, and everything works.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use reqwest::Method;
use sandgate_tests::{Answer, Options, Sandbox, Server, long_checks, sandgate, until};
use serde_json::json;

/// How far the clock is turned, by the words of Debian's `faketime`.
const LEAPS: [&str; 4] = ["+1h", "-1h", "+365d", "-365d"];
const TRUE_TIME: &str = "+0";

/// The file that says what time the server is told. Its uptime stays true.
struct Dial(tempfile::TempDir, Mutex<Vec<u32>>);

/// What libfaketime keeps in memory for a process outlives it.
impl Drop for Dial {
    fn drop(&mut self) {
        for pid in self.1.lock().expect("no panic").iter() {
            for kind in ["faketime_shm", "sem.faketime_sem"] {
                // Not every version has both.
                let _ = std::fs::remove_file(format!("/dev/shm/{kind}_{pid}"));
            }
        }
    }
}

impl Dial {
    fn new() -> Self {
        let dial = Self(tempfile::tempdir().expect("a folder"), Mutex::default());
        dial.turn(TRUE_TIME);
        dial
    }

    /// This server is one that looks at it.
    fn told(&self, server: &Server) {
        self.1.lock().expect("no panic").push(server.pid());
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("time")
    }

    fn turn(&self, leap: &str) {
        let draft = self.0.path().join("draft");
        std::fs::write(&draft, leap).expect("the folder can be written");
        std::fs::rename(draft, self.file()).expect("the folder can be written");
    }

    fn options(&self) -> Options {
        let file = self.file().to_string_lossy().into_owned();
        let library = library().to_string_lossy().into_owned();
        let env = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let config = "[quota]\ncreates_per_minute = 1000\n".to_owned();
        Options { env, config: Some(config), ..Options::default() }
    }
}

/// Debian keeps it in a folder of the machine's kind.
fn library() -> PathBuf {
    let kinds = std::fs::read_dir("/usr/lib").expect("/usr/lib is there").flatten();
    let mut found = kinds.map(|kind| kind.path().join("faketime/libfaketime.so.1"));
    found.find(|file| file.exists()).expect("`faketime` is installed: run the tests with `cargo xtask test`")
}

/// What must not be stopped, and what must not be deleted.
struct Old<'a> {
    idle: Sandbox<'a>,
    mortal: Sandbox<'a>,
    stopped: Sandbox<'a>,
}

impl<'a> Old<'a> {
    async fn new(server: &'a Server) -> Self {
        let idle = server.create(&json!({ "autoStopInterval": 15 })).await;
        let mortal = server.create(&json!({ "autoStopInterval": 0, "ttlMinutes": 120 })).await;
        let stopped = server.create(&json!({ "autoDeleteInterval": 60 })).await;
        stopped.stop().await;
        Self { idle, mortal, stopped }
    }

    async fn are_as_ever(&self, when: &str) {
        let expected = [(&self.idle, "started"), (&self.mortal, "started"), (&self.stopped, "stopped")];
        for (sandbox, state) in expected {
            assert_eq!(sandbox.info().await["state"], state, "{when}");
        }
    }
}

/// One sandbox through all that there is; a request that is sent twice makes one.
async fn everything_works(server: &Server, turn: &str) {
    let create = || {
        let request = server.request(Method::POST, "/api/sandbox").header("Idempotency-Key", turn);
        request.json(&json!({ "name": format!("new{turn}") }))
    };
    let made = Answer::of(create()).await.expect(200).json();
    let again = Answer::of(create()).await.expect(200).json();
    assert_eq!(made["id"], again["id"], "one request, one sandbox");
    let sandbox = Sandbox::new(server, &made);
    server.observe();
    assert_eq!(sandbox.sh("echo alive").await, "alive");
    sandbox.stop().await;
    sandbox.start().await;
    sandbox.delete().await;
}

fn events_verify(data: &Path) {
    let output = sandgate(None).args(["audit", "verify", "--data-dir"]).arg(data).output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_clock_that_is_turned_between_two_servers_stops_and_deletes_nothing() {
    let dial = Dial::new();
    let server = Server::start_with(dial.options()).await;
    dial.told(&server);
    let old = Old::new(&server).await;
    survive(&server, old, async |_, time| {
        server.kill();
        dial.turn(time);
        server.start_again();
        dial.told(&server);
    })
    .await;
}

/// Each leap is followed by the server's next look at its timers, which it writes down by moving them.
#[tokio::test]
async fn so_does_one_that_is_turned_while_it_runs() {
    let dial = Dial::new();
    let server = Server::start_with(dial.options()).await;
    dial.told(&server);
    let old = Old::new(&server).await;
    survive(&server, old, async |old, time| {
        let before = used_at(&old.idle).await;
        dial.turn(time);
        until("the leap is followed", async || used_at(&old.idle).await != before).await;
    })
    .await;
}

/// Turns the clock by each leap and back to the true time, and finds everything as ever each time.
async fn survive(server: &Server, old: Old<'_>, turn: impl AsyncFn(&Old<'_>, &str)) {
    for (number, time) in LEAPS.iter().flat_map(|leap| [*leap, TRUE_TIME]).enumerate() {
        turn(&old, time).await;
        old.are_as_ever(time).await;
        everything_works(server, &format!("-{number}")).await;
        old.are_as_ever(time).await;
    }
    finish(server, old).await;
}

async fn used_at(sandbox: &Sandbox<'_>) -> String {
    sandbox.info().await["lastActivityAt"].as_str().expect("a time").to_owned()
}

async fn finish(server: &Server, old: Old<'_>) {
    events_verify(&server.data());
    for sandbox in [old.idle, old.mortal, old.stopped] {
        sandbox.delete().await;
    }
}

/// A minute is a minute.
#[tokio::test]
async fn a_timer_strikes_in_its_minute() {
    if !long_checks() {
        return;
    }
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "autoStopInterval": 1 })).await;
    let start = std::time::Instant::now();
    let state = async || sandbox.info().await["state"].clone();
    while state().await == "started" {
        assert!(start.elapsed().as_secs() < 75, "it was not stopped in its minute");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(start.elapsed().as_secs() >= 59, "it was stopped after {:?}", start.elapsed());
    sandbox.delete().await;
}
