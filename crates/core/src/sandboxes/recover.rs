//! Bringing ledger and world together again after a start.

use super::deadline::bounded;
use super::{Sandboxes, SandboxesError, Swept};
use crate::ports::Actor;
use crate::sandbox::Sandbox;
use crate::state::{Step, next_step};

/// What a recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Rows that were brought to an end: a create that nobody was told of, a stop or delete cut short.
    pub settled: usize,
    /// What could not be brought to an end now, and is tried again.
    pub failed: usize,
    /// What was compared.
    pub swept: Swept,
}

impl Sandboxes {
    /// Finishes what was under way when the server ended, and compares the ledger with what the provider holds. Called
    /// once, before anybody is served: whatever was under way then, nobody is at work on it any more.
    pub async fn recover(&self) -> Result<Recovery, SandboxesError> {
        self.resume_time().await?;
        let rows = self.ledger.sandboxes.all_living().await?;
        let doubtful = self.ledger.agenda.is_doubtful().await?;
        let unfinished = rows.into_iter().filter(|row| step(row) != Step::Rest).collect();
        let reconciler = self.by(Actor::Reconciler);
        let outcomes = reconciler
            .for_each(unfinished, move |it, row| async move { it.resume(row, doubtful).await })
            .await;
        let settled = outcomes.iter().filter(|done| **done).count();
        Ok(Recovery { settled, failed: outcomes.len() - settled, swept: self.sweep().await? })
    }

    async fn resume(self, row: Sandbox, doubtful: bool) -> bool {
        let _claim = self.claims.hold(row.id);
        let outcome = match step(&row) {
            Step::Delete => self.finish(&row, Step::Delete).await,
            // What was under way when a backup was made has come to its end since, and somebody was told.
            _ if doubtful => self.believe_world(&row).await,
            step => self.finish(&row, step).await,
        };
        if let Err(error) = &outcome {
            self.postpone(&row, error).await;
        }
        outcome.is_ok()
    }

    async fn believe_world(&self, row: &Sandbox) -> Result<Sandbox, SandboxesError> {
        let seen = bounded("examine", self.provider.watch.examine(&row.reference())).await?;
        self.believe(row, seen.explained()).await
    }
}

fn step(row: &Sandbox) -> Step {
    next_step(row.desired, row.observed)
}
