//! Comparing the ledger with what the provider holds, in both directions: rows without a thing, and things without a row.

use super::deadline::bounded;
use super::orphans::Suspects;
use super::{Sandboxes, SandboxesError};
use crate::id::Attempt;
use crate::ports::{Found, SandboxRef};
use crate::sandbox::Sandbox;
use crate::state::{Observed, Step, next_step};
use std::collections::HashMap;

/// What a sweep found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sandboxes that are as the ledger says.
    pub kept: usize,
    /// Rows whose sandbox had changed while nobody looked.
    pub corrected: usize,
    /// Things that the ledger knows to be over, deleted.
    pub leftovers: usize,
    /// Things that the ledger does not know, deleted.
    pub orphans: usize,
    /// Things that the ledger does not know, and that are not deleted before somebody confirms it.
    pub held: usize,
    /// What could not be done now. The next sweep tries again.
    pub failed: usize,
}

impl Sandboxes {
    /// Looks at all that the provider holds, once. What somebody is at work on is left alone.
    pub async fn sweep(&self) -> Result<Swept, SandboxesError> {
        // In this order: a row is written before its thing is made, so that no new thing is without one here.
        let mut found = self.found().await?;
        let total = found.len();
        let mut report = Swept::default();
        for row in self.ledger.sandboxes.all_living().await? {
            let seen = found.remove(&row.current_attempt()).unwrap_or(Observed::Absent);
            self.compare(&row, seen, &mut report).await;
        }
        let mut unknown = Vec::new();
        for attempt in found.into_keys() {
            if self.ledger.agenda.knows(attempt).await? {
                let deleted = self.delete_by_name(attempt).await;
                count(&mut report, deleted, |r| &mut r.leftovers);
            } else {
                unknown.push(attempt);
            }
        }
        let doubtful = self.ledger.agenda.is_doubtful().await?;
        self.reap_orphans(Suspects { orphans: unknown, total, doubtful }, &mut report).await;
        Ok(report)
    }

    /// All that the provider holds, by the attempt that it belongs to.
    pub(super) async fn found(&self) -> Result<HashMap<Attempt, Observed>, SandboxesError> {
        let all = bounded("list", self.provider.inventory.list()).await?;
        Ok(all.into_iter().map(|Found { attempt, observed }| (attempt, observed)).collect())
    }

    async fn compare(&self, row: &Sandbox, seen: Observed, report: &mut Swept) {
        if next_step(row.desired, row.observed) != Step::Rest {
            return;
        }
        if agrees(row, seen) {
            report.kept += 1;
            return;
        }
        let corrected = self.recheck(row).await.is_ok();
        count(report, corrected, |r| &mut r.corrected);
    }

    async fn reap_orphans(&self, suspects: Suspects, report: &mut Swept) {
        let verdict = self.orphans.judge(suspects, self.policy.orphan_grace);
        report.held = verdict.held;
        for attempt in verdict.condemned {
            let deleted = self.delete_by_name(attempt).await;
            count(report, deleted, |r| &mut r.orphans);
        }
    }

    async fn delete_by_name(&self, attempt: Attempt) -> bool {
        let at = SandboxRef { attempt, handle: None };
        bounded("delete", self.provider.service.delete(&at)).await.is_ok()
    }

    /// The things that no row accounts for and that are kept until somebody confirms that they are to go.
    pub fn held_orphans(&self) -> Vec<Attempt> {
        self.orphans.held()
    }

    /// Deletes what is held now. The ledger is trusted again once it knows all that there is.
    pub async fn delete_orphans(&self) -> Result<Swept, SandboxesError> {
        self.orphans.confirm();
        let swept = self.sweep().await?;
        if swept.failed == 0 && self.orphans.are_none(swept.orphans) {
            self.ledger.agenda.trust().await?;
        }
        Ok(swept)
    }
}

/// Whether the ledger says what was seen. A failed sandbox that is not there is what it was.
pub(super) fn agrees(row: &Sandbox, seen: Observed) -> bool {
    row.observed == seen || (row.observed == Observed::Failed && seen == Observed::Absent)
}

fn count(report: &mut Swept, done: bool, field: fn(&mut Swept) -> &mut usize) {
    if done { *field(report) += 1 } else { report.failed += 1 }
}
