//! Restart after restart under busy sandboxes: what runs inside notices nothing, and whoever asks meanwhile waits, is
//! refused, or is told what is true.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use sandgate_tests::{Answer, Sandbox, Server, long_checks, until};
use serde_json::json;

/// Whoever is refused waits a little before the next question, and leaves the processor to the server.
const PACE: Duration = Duration::from_millis(10);
const BIRTH: &str = "cut -d' ' -f22 /proc/1/stat";
/// Counts for ever. Each number comes to its place whole.
const COUNT: &str =
    "(n=0; while :; do n=$((n+1)); echo $n > next; mv next count; sleep 0.1; done) >/dev/null 2>&1 &";

/// A sandbox that is at work, and what was last seen of it.
struct Busy<'a> {
    sandbox: Sandbox<'a>,
    birth: String,
    count: u64,
}

impl<'a> Busy<'a> {
    async fn start(server: &'a Server) -> Self {
        let sandbox = server.create(&json!({ "memory": 1, "disk": 1 })).await;
        sandbox.sh(&format!("echo {} > who; {COUNT}", sandbox.id)).await;
        let birth = sandbox.sh(BIRTH).await;
        Self { sandbox, birth, count: 0 }
    }

    /// It is the one that it was, and goes on where it was.
    async fn look(&mut self) {
        assert_eq!(self.sandbox.sh(BIRTH).await, self.birth, "the first process is the same");
        let mut count = 0;
        until("it counts on", async || {
            count = self.sandbox.sh("cat count 2>/dev/null || echo 0").await.parse().expect("a number");
            assert!(count >= self.count, "it began anew: {count} after {}", self.count);
            count > self.count
        })
        .await;
        self.count = count;
    }
}

/// Asks each sandbox who it is, again and again, whatever happens to the server.
struct Asker {
    url: Arc<Mutex<String>>,
    over: Arc<AtomicBool>,
    key: String,
    ids: Vec<String>,
}

impl Asker {
    /// On a thread of its own: a restart keeps the test's own one busy. Returns how many questions were answered, and
    /// how many were not.
    fn ask(self) -> std::thread::JoinHandle<(usize, usize)> {
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (client, mut told, mut refused) = (Client::new(), 0, 0);
                for id in self.ids.iter().cycle().take_while(|_| !self.over.load(Ordering::Relaxed)) {
                    if self.is_told(&client, id).await {
                        told += 1;
                    } else {
                        refused += 1;
                        tokio::time::sleep(PACE).await;
                    }
                }
                (told, refused)
            })
        })
    }

    async fn is_told(&self, client: &Client, id: &str) -> bool {
        let url = self.url.lock().expect("nobody panics with it").clone();
        let request = client.post(format!("{url}/toolbox/{id}/process/execute")).bearer_auth(&self.key);
        let request = request.json(&json!({ "command": "cat who" }));
        // A connection that was refused or cut off is no answer.
        let Ok(answer) = Answer::of_one_that_may_die(request).await else { return false };
        if answer.status != 200 {
            assert!(answer.status >= 500, "{}", answer.text());
            assert!(answer.json()["message"].is_string(), "{}", answer.text());
            return false;
        }
        assert_eq!(answer.json()["result"], format!("{id}\n"));
        true
    }
}

#[tokio::test]
async fn restarts_under_busy_sandboxes_are_noticed_by_none() {
    let (sandboxes, restarts) = if long_checks() { (20, 20) } else { (5, 5) };
    let server = Server::start().await;
    let mut busy = Vec::new();
    for _ in 0..sandboxes {
        busy.push(Busy::start(&server).await);
    }
    let (url, over) = (Arc::new(Mutex::new(server.url())), Arc::new(AtomicBool::new(false)));
    let ids = busy.iter().map(|busy| busy.sandbox.id.clone()).collect();
    let asker = Asker { url: url.clone(), over: over.clone(), key: server.key().to_owned(), ids }.ask();
    let mut slowest = Duration::ZERO;
    for restart in 0..restarts {
        let start = Instant::now();
        if restart % 2 == 0 {
            assert!(server.terminate().success());
        } else {
            server.kill();
        }
        server.start_again();
        slowest = slowest.max(start.elapsed());
        *url.lock().expect("nobody panics with it") = server.url();
        for busy in &mut busy {
            busy.look().await;
        }
    }
    over.store(true, Ordering::Relaxed);
    let (told, refused) = asker.join().expect("nobody was told anything wrong");
    println!(
        "{restarts} restarts under {sandboxes} sandboxes: {told} questions answered, {refused} not; slowest {slowest:?}"
    );
    assert!(told > restarts);
    for busy in busy {
        busy.sandbox.delete().await;
    }
}
