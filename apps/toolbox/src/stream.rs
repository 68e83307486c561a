//! Answers that are produced piece by piece on the threads for files, as fast as the client takes them.

use std::io;

use axum::body::{Body, Bytes};
use futures_util::stream::try_unfold;
use tokio::task::spawn_blocking;

/// How much a producer should give at once: large enough that the hop between threads does not matter.
pub(crate) const PIECE: usize = 256 << 10;

/// Runs `work`, which may wait for a disk, beside the event loop.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A body of the pieces that `produce` gives until it says `None`. An error cuts the connection, which is how HTTP
/// tells that an answer is not whole.
pub(crate) fn pulled(produce: impl FnMut() -> io::Result<Option<Bytes>> + Send + 'static) -> Body {
    Body::from_stream(try_unfold(produce, async |mut produce| {
        let (piece, produce) = blocking(move || (produce(), produce)).await;
        Ok::<_, io::Error>(piece?.map(|piece| (piece, produce)))
    }))
}
