//! Bringing ledger and world together again after a start: rows without a thing, and things without a row.

use super::{Sandboxes, SandboxesError};
use crate::id::Attempt;
use crate::ports::{Actor, EventKind, Found, SandboxRef};
use crate::sandbox::Sandbox;
use crate::state::{Desired, Observed, Step, next_step};
use std::collections::HashMap;

/// What a recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Sandboxes that are as the ledger says.
    pub kept: usize,
    /// Rows that were brought to an end: a create that nobody was told of, a stop or delete cut short.
    pub settled: usize,
    /// Rows whose sandbox had changed while nobody looked.
    pub corrected: usize,
    /// Things without a row, deleted.
    pub orphans: usize,
    /// What could not be done now. It is tried again at the next start.
    pub failed: usize,
}

impl Sandboxes {
    /// Compares the ledger with what the provider holds, and makes them agree. Run once, before anybody is served.
    pub async fn recover(&self) -> Result<Recovery, SandboxesError> {
        self.by(Actor::Reconciler).recover_all().await
    }

    async fn recover_all(&self) -> Result<Recovery, SandboxesError> {
        let rows = self.ledger.all_living().await?;
        let mut found = self.found().await?;
        let mut report = Recovery::default();
        for row in rows {
            let seen = found.remove(&row.current_attempt()).unwrap_or(Observed::Absent);
            self.recover_row(&row, seen, &mut report).await;
        }
        for attempt in found.into_keys() {
            let orphan = SandboxRef { attempt, handle: None };
            count(&mut report, self.provider.service.delete(&orphan).await.is_ok(), |r| &mut r.orphans);
        }
        Ok(report)
    }

    /// All that the provider holds, by the attempt that it belongs to.
    pub(super) async fn found(&self) -> Result<HashMap<Attempt, Observed>, SandboxesError> {
        let all = self.provider.inventory.list().await?;
        Ok(all.into_iter().map(|Found { attempt, observed }| (attempt, observed)).collect())
    }

    async fn recover_row(&self, row: &Sandbox, seen: Observed, report: &mut Recovery) {
        match next_step(row.desired, row.observed) {
            Step::Rest if agrees(row, seen) => report.kept += 1,
            Step::Rest => {
                let corrected = self.recheck(row).await;
                count(report, corrected.is_ok(), |r| &mut r.corrected);
            }
            step => {
                let done = self.finish(row, step).await;
                count(report, done.is_ok(), |r| &mut r.settled);
            }
        }
    }

    async fn finish(&self, row: &Sandbox, step: Step) -> Result<Sandbox, SandboxesError> {
        match step {
            Step::Rest => Ok(row.clone()),
            Step::Start => self.do_start(row).await,
            Step::Stop => self.do_stop(row).await,
            Step::Delete => self.do_delete(row).await,
            Step::Settle => {
                let doomed = self.commit(row, EventKind::DeleteRequested, |s| {
                    s.desired = Desired::Deleted;
                    s.cause = Some("the server ended before the create was answered".to_owned());
                });
                self.do_delete(&doomed.await?).await
            }
        }
    }
}

/// Whether the ledger says what was seen. A failed sandbox that is not there is what it was.
pub(super) fn agrees(row: &Sandbox, seen: Observed) -> bool {
    row.observed == seen || (row.observed == Observed::Failed && seen == Observed::Absent)
}

fn count(report: &mut Recovery, done: bool, field: fn(&mut Recovery) -> &mut usize) {
    if done { *field(report) += 1 } else { report.failed += 1 }
}
