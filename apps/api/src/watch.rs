//! Keeping the ledger true while nobody asks: whatever happens to a sandbox is written down as it happens.

use sandgate_core::{Change, Noted, Sandboxes};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long to wait for a change at somebody's request to be over, and how often.
const PAUSE: Duration = Duration::from_millis(100);
const TRIES: u32 = 600;

/// Follows the provider's news until `stop`.
pub(crate) async fn follow(sandboxes: Sandboxes, stop: CancellationToken) {
    while let Some(change) = stop.run_until_cancelled(sandboxes.changed()).await {
        // On its own: one sandbox that takes a while to be examined must not keep the news of others.
        tokio::spawn(note(sandboxes.clone(), change));
    }
}

async fn note(sandboxes: Sandboxes, change: Change) {
    for _ in 0..TRIES {
        match sandboxes.note(change).await {
            Ok(Noted::Done) => return,
            Ok(Noted::Later) => {}
            Err(error) => tracing::warn!(error = %error, ?change, "a change could not be noted"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
