//! Work that outlives its request.

use std::future::Future;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs what changes the world on tasks of its own: a handler is dropped when its client hangs up, and a create that
/// is dropped halfway would leave a sandbox that nobody was told of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// The work panicked; the log says why.
#[derive(Debug, thiserror::Error)]
#[error("the work on this request ended unexpectedly")]
pub(crate) struct Panicked;

impl Tasks {
    /// Runs `work` to its end, whether or not anybody waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Panicked> {
        self.tracker.spawn(work).await.map_err(|_| Panicked)
    }

    /// As [`Self::run`], for work that says itself how it went.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(work);
    }

    /// Ends what would otherwise go on for as long as it likes. All other work comes to its own end.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until such work has to end.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Waits until all work is done. New work may still begin: stop accepting requests first.
    pub(crate) async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
