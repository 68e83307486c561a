//! Keeping the ledger small: what is old goes, as configured.

use sandgate_core::{Clock, Timestamp};
use sandgate_infrastructure::clock::SystemClock;
use sandgate_infrastructure::sqlite::{Purged, Retention, SqliteLedger};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_hours(24);

/// Keeps the ledger small, at once and daily, until `stop`.
pub(crate) async fn run(ledger: Arc<SqliteLedger>, retention: Retention, stop: CancellationToken) {
    let clock = SystemClock::new();
    let daily = async {
        loop {
            purge(&ledger, &retention, clock.now()).await;
            tokio::time::sleep(PERIOD).await;
        }
    };
    // A purge may be left between any two of its steps; the next one goes on there.
    stop.run_until_cancelled(daily).await;
}

async fn purge(ledger: &SqliteLedger, retention: &Retention, now: Timestamp) {
    match ledger.purge(retention, now).await {
        Ok(Purged { events: 0, sandboxes: 0 }) => {}
        Ok(purged) => tracing::info!(purged.events, purged.sandboxes, "old rows were deleted"),
        Err(error) => {
            tracing::warn!(error = %error, "old rows could not be deleted; it is tried again in a day");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandgate_core::{
        Actor, ApiKey, Event, EventKind, EventQuery, EventRepository, Intent, KeyHash, KeyId, KeyRepository,
        NewSandbox, OrganizationId, ProviderKind, ResourceLimits, SandboxConfig, SandboxRepository,
    };

    /// What was asked for in 1970.
    fn old(organization: OrganizationId) -> Intent {
        let at = Timestamp::from_millis(0);
        let config = SandboxConfig::new(ResourceLimits::default().default);
        let new = NewSandbox { name: None, config, idempotency: None };
        let sandbox = new.asked_for(organization, ProviderKind::Container, at);
        let event = Event { kind: EventKind::Requested, at, actor: Actor::Server, detail: None };
        Intent { sandbox, event, idempotency: None }
    }

    #[tokio::test]
    async fn what_is_old_goes_at_once_and_the_end_is_heard() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ledger = Arc::new(SqliteLedger::open(dir.path()).expect("a new ledger"));
        let key = ApiKey { id: KeyId::random(), organization: OrganizationId::random() };
        ledger.insert_key(key, KeyHash([1; 32])).await.expect("a key");
        let old = old(key.organization);
        ledger.insert(&old).await.expect("insert");
        let (stop, day) = (CancellationToken::new(), Some(Duration::from_hours(24)));
        let retention = Retention { events: day, deleted: day };
        let upkeep = tokio::spawn(run(ledger.clone(), retention, stop.clone()));
        let gone = async {
            let all = EventQuery::default();
            while !ledger.events(key.organization, &all).await.expect("events").is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the event goes");
        assert!(ledger.living(old.sandbox.id).await.expect("living").is_some(), "a sandbox that lives stays");
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), upkeep).await.expect("it ends").expect("no panic");
    }
}
