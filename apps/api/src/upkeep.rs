//! What the server does without being asked: bringing ledger and world together, and doing what is due.

use sandgate_core::{Reconciled, Sandboxes, Swept};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A start does not wait longer than this for a provider that does not answer: the rest is done while it serves.
const RECOVERY: Duration = Duration::from_secs(10);
/// Nothing is due sooner than this after the last time, and nobody waits longer for what has become due meanwhile.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at all that the provider holds.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(15);
/// So many rounds of the reconciler may be under way.
const ROUNDS: usize = 16;
const BETWEEN_TIDIES: Duration = Duration::from_mins(10);

/// Finishes what an earlier server left. A provider that is away keeps nobody from being served.
pub(crate) async fn recover(sandboxes: &Sandboxes) {
    match timeout(RECOVERY, sandboxes.recover()).await {
        Ok(Ok(recovery)) => tracing::info!(?recovery, "recovered"),
        Ok(Err(error)) => {
            tracing::error!(error = %error, "the ledger and the sandboxes could not be brought together yet");
        }
        Err(_) => {
            tracing::error!("the provider does not answer: ledger and sandboxes are brought together later");
        }
    }
}

/// Does what is due, and compares from time to time, until `stop`.
pub(crate) async fn keep(sandboxes: Sandboxes, stop: CancellationToken) {
    let all = async { tokio::join!(reconcile(&sandboxes), sweep(&sandboxes), tidy(&sandboxes)) };
    stop.run_until_cancelled(all).await;
}

/// One round does not wait for the one before it: a call that hangs keeps no other sandbox waiting.
async fn reconcile(sandboxes: &Sandboxes) {
    let mut rounds = JoinSet::new();
    loop {
        while rounds.try_join_next().is_some() {}
        if rounds.len() < ROUNDS {
            rounds.spawn(round(sandboxes.clone()));
        }
        let due = sandboxes.next_due().await.ok().flatten();
        sleep(due.unwrap_or(LONGEST_PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

async fn round(sandboxes: Sandboxes) {
    match sandboxes.reconcile().await {
        Ok(done) => report(&done),
        Err(error) => tracing::warn!(error = %error, "what is due could not be done"),
    }
}

fn report(done: &Reconciled) {
    if let Some(millis) = done.leapt {
        tracing::warn!(millis, "the host's clock has leapt; no sandbox is older for it");
    }
    if done.done + done.failed > 0 {
        tracing::info!(done = done.done, failed = done.failed, "did what was due");
    }
}

async fn sweep(sandboxes: &Sandboxes) {
    loop {
        sleep(BETWEEN_SWEEPS + jitter()).await;
        match sandboxes.sweep().await {
            Ok(swept) => tell(&swept),
            Err(error) => tracing::warn!(error = %error, "the provider's sandboxes could not be listed"),
        }
    }
}

fn tell(swept: &Swept) {
    if swept.held > 0 {
        tracing::error!(
            held = swept.held,
            "there are too many sandboxes that the ledger does not know: is it an old backup, or the wrong one? They are \
             kept: `GET /v1/orphans` names them, `DELETE /v1/orphans` deletes them"
        );
    }
    if swept.corrected + swept.leftovers + swept.orphans + swept.failed > 0 {
        tracing::info!(?swept, "compared the ledger with the provider");
    }
}

/// Forgets what nobody will ask for any more.
async fn tidy(sandboxes: &Sandboxes) {
    loop {
        if let Err(error) = sandboxes.forget_expired().await {
            tracing::warn!(error = %error, "expired idempotency keys could not be forgotten");
        }
        sleep(BETWEEN_TIDIES).await;
    }
}

/// Several servers on one host do not all look at once.
fn jitter() -> Duration {
    let drawn = uuid::Uuid::new_v4().as_u128() % 2000;
    Duration::from_millis(u64::try_from(drawn).unwrap_or_default())
}
