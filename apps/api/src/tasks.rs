//! Work that outlives its request.

use std::future::Future;
use tokio_util::task::TaskTracker;

/// Runs what changes the world on tasks of its own: a handler is dropped when its client hangs up, and a create that
/// is dropped halfway would leave a sandbox that nobody was told of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(TaskTracker);

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
        self.0.spawn(work).await.map_err(|_| Panicked)
    }

    /// Waits until all work is done. New work may still begin: stop accepting requests first.
    pub(crate) async fn finish(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
