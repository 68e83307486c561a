//! Whole lives of sandboxes, one after another or on a schedule.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::server::Server;

/// How many clients there are where the next one begins as soon as it can.
const CLIENTS: usize = 4;
/// How many lives there are at once at most. A machine that is too slow for a schedule is late, and not buried.
const AT_ONCE: usize = 64;

/// How sandboxes are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// So many lives, as fast as a few clients can.
    Closed(usize),
    /// Lives on a schedule, whose every delay is counted: so many a second, for so long.
    Open(f64, Duration),
}

/// What became of a load.
#[derive(Default)]
pub(super) struct Lives {
    /// How long each took, from when it was due.
    pub(super) took: Vec<Duration>,
    /// How late the latest began.
    pub(super) lag: Duration,
}

impl Load {
    /// The first tenth, and the rest.
    pub(super) fn split(self) -> (Self, Self) {
        match self {
            Self::Closed(lives) => (Self::Closed(lives / 10), Self::Closed(lives - lives / 10)),
            Self::Open(rate, time) => (Self::Open(rate, time / 10), Self::Open(rate, time * 9 / 10)),
        }
    }

    /// Runs to its end. Must be called inside a `LocalSet`.
    pub(super) async fn run(self, server: Rc<Server>) -> Lives {
        match self {
            Self::Closed(lives) => closed(&server, lives).await,
            Self::Open(rate, time) => open(&server, rate, time).await,
        }
    }
}

async fn closed(server: &Rc<Server>, lives: usize) -> Lives {
    let (mut running, mut done) = (JoinSet::new(), Lives::default());
    for number in 0..lives {
        if number >= CLIENTS {
            done.took.extend(next(&mut running).await);
        }
        running.spawn_local(life(server.clone(), Instant::now()));
    }
    done.rest(running).await
}

async fn open(server: &Rc<Server>, rate: f64, time: Duration) -> Lives {
    let (mut running, mut done) = (JoinSet::new(), Lives::default());
    let start = Instant::now();
    let mut due = start;
    while due < start + time && start.elapsed() < time {
        tokio::time::sleep_until(due.into()).await;
        if running.len() >= AT_ONCE {
            done.took.extend(next(&mut running).await);
        }
        done.lag = done.lag.max(due.elapsed());
        running.spawn_local(life(server.clone(), due));
        while let Some(ended) = running.try_join_next() {
            done.took.push(ended.expect("a life to its end"));
        }
        due += Duration::from_secs_f64(1.0 / rate);
    }
    done.rest(running).await
}

impl Lives {
    async fn rest(mut self, mut running: JoinSet<Duration>) -> Self {
        while let Some(took) = next(&mut running).await {
            self.took.push(took);
        }
        self
    }
}

async fn next(running: &mut JoinSet<Duration>) -> Option<Duration> {
    running.join_next().await.map(|ended| ended.expect("a life to its end"))
}

/// One sandbox from its create to its delete, with all that people do in between. Returns how long it took since `due`.
async fn life(server: Rc<Server>, due: Instant) -> Duration {
    const CONTENT: &[u8] = &[7; 4096];
    let sandbox = server.create(&json!({ "memory": 1, "disk": 1 })).await;
    assert_eq!(sandbox.sh("echo $((6 * 7)) | tee answer").await, "42");
    let _ = sandbox.upload("content", CONTENT).await.expect(200);
    sandbox.stop().await;
    sandbox.start().await;
    assert_eq!(sandbox.sh("cat answer").await, "42");
    assert_eq!(sandbox.download("content").await.expect(200).body, CONTENT);
    sandbox.delete().await;
    due.elapsed()
}
