//! What every scenario plays on: the server, the books, the clock; and the two ways to bring load onto it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::api::{Api, Sandbox};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::gauges::Probe;
use crate::records::Records;

/// How long the generator waits for one answer. What takes longer is a failure of the class `timeout`.
const ANSWER: Duration = Duration::from_mins(1);

/// The names of the steps that several scenarios share.
pub(crate) mod step {
    pub(crate) const CREATE: &str = "create";
    pub(crate) const FIRST_EXEC: &str = "first exec";
    pub(crate) const READY: &str = "create to first exec";
    pub(crate) const EXEC: &str = "exec";
    pub(crate) const UPLOAD: &str = "upload";
    pub(crate) const DOWNLOAD: &str = "download";
    pub(crate) const DELETE: &str = "delete";
}

/// One server under load.
pub(crate) struct Stage {
    pub(crate) api: Api,
    pub(crate) clock: Clock,
    pub(crate) records: Records,
    pub(crate) probe: Probe,
}

impl Stage {
    /// Waits until `intended`, and writes down how much later it has become.
    pub(crate) async fn reach(&self, intended: Instant) {
        self.clock.reach(intended).await;
        self.records.add_lag(intended.elapsed());
    }

    /// Does one step and writes it down as begun at `intended`, however late it did begin.
    pub(crate) async fn step<T>(
        &self,
        step: &str,
        intended: Instant,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Option<T> {
        let done = tokio::time::timeout(ANSWER, work).await;
        let done = done.unwrap_or_else(|_| Err(Failure::timeout()));
        self.records.add(step, intended.elapsed(), done.as_ref().err());
        done.ok()
    }

    /// A sandbox that has answered a first command; none where that failed.
    pub(crate) async fn ready_sandbox(&self, intended: Instant) -> Option<Sandbox> {
        let sandbox = self.step(step::CREATE, intended, self.api.create()).await?;
        let created = Instant::now();
        if self.step(step::FIRST_EXEC, created, self.api.run_true(&sandbox)).await.is_some() {
            self.records.add(step::READY, intended.elapsed(), None);
        }
        Some(sandbox)
    }

    pub(crate) async fn delete(&self, sandbox: &Sandbox, intended: Instant) {
        self.step(step::DELETE, intended, self.api.delete(sandbox)).await;
    }
}

/// Open loop: begins one `work` at each of `arrivals`, counted from now, whether or not those before have ended.
/// Returns what they gave, in the order in which they ended.
pub(crate) async fn open<T, F>(
    stage: &Arc<Stage>,
    arrivals: impl IntoIterator<Item = Duration>,
    work: impl Fn(Arc<Stage>, usize, Instant) -> F,
) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (start, mut running) = (Instant::now(), JoinSet::new());
    for (number, arrival) in arrivals.into_iter().enumerate() {
        let intended = start + arrival;
        let one = work(stage.clone(), number, intended);
        let stage = stage.clone();
        running.spawn(async move {
            stage.reach(intended).await;
            one.await
        });
    }
    // A task that panics is a defect of the generator, and must not look like a result.
    running.join_all().await
}

/// Closed loop: `workers` of them, each of which takes the next number as soon as its last one is done.
pub(crate) async fn closed<F>(
    stage: &Arc<Stage>,
    workers: usize,
    count: usize,
    work: impl Fn(Arc<Stage>, usize) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (next, mut running) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..workers {
        let (stage, next, work) = (stage.clone(), next.clone(), work.clone());
        running.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                work(stage.clone(), number).await;
            }
        });
    }
    running.join_all().await;
}
