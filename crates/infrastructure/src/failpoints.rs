//! Failpoints around the ports, in debug builds alone: every step of the write path is a write of the ledger or a call of
//! the provider, so that the core needs no line of its own for them.
//!
//! Each step has two, `NAME.before` and `NAME.after` its effect. [`names()`] has them all; the test `failpoints` goes
//! through each of them, and fails for one that is never passed.

mod ledger;
mod names;
mod provider;

pub use ledger::FailingLedger;
pub use names::{CONTAINER, names};
pub use provider::FailingProvider;

use sandgate_core::{Ledger, Provider};
use sandgate_shared::failpoint::{Failpoints, Mode};
use std::future::{Future, pending};
use std::sync::Arc;
use tokio::sync::Notify;

/// What befalls one step.
enum Fault {
    /// It failed.
    Failed,
    /// Nobody knows what became of it.
    Lost,
}

/// On which side of a step's effect a fault befalls it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The failpoints of one ledger and one provider. Clones are the same.
#[derive(Clone, Default)]
pub struct Steps {
    failpoints: Failpoints,
    hung: Arc<Notify>,
}

impl Steps {
    /// Steps that follow `failpoints`.
    pub fn new(failpoints: Failpoints) -> Self {
        Self { failpoints, hung: Arc::default() }
    }

    /// Waits until a step hangs. What waits for that step can be dropped then, as if the process had ended there.
    pub async fn hung(&self) {
        self.hung.notified().await;
    }

    /// A ledger with these failpoints around it.
    pub fn around_ledger(&self, sound: Ledger) -> Ledger {
        Ledger::new(Arc::new(FailingLedger { sound, steps: self.clone() }))
    }

    /// A provider with these failpoints around it.
    pub fn around_provider(&self, sound: Provider) -> Provider {
        let (kind, late) = (sound.kind, sound.late);
        Provider { late, ..Provider::new(kind, Arc::new(FailingProvider { sound, steps: self.clone() })) }
    }

    /// Takes the step `name`: `call`, unless something befalls it before that, or its answer afterwards.
    async fn take<T, E, F>(
        &self,
        name: &str,
        fault: impl Fn(Fault, Side) -> E,
        call: impl Fn() -> F + Send,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send,
    {
        let passed = self.pass(&format!("{name}.before")).await;
        let twice = passed.map_err(|befallen| fault(befallen, Side::Before))?;
        let answer = call().await?;
        if twice {
            // What comes of it is nobody's business: nobody waits for it.
            let _ = call().await;
        }
        self.pass(&format!("{name}.after")).await.map_err(|befallen| fault(befallen, Side::After))?;
        Ok(answer)
    }

    /// Whether the step is to be carried out twice.
    async fn pass(&self, name: &str) -> Result<bool, Fault> {
        match self.failpoints.pass(name) {
            Mode::Off => {}
            Mode::Twice => return Ok(true),
            Mode::Crash => std::process::abort(),
            Mode::Error => return Err(Fault::Failed),
            Mode::Lost => return Err(Fault::Lost),
            Mode::Delay(by) => tokio::time::sleep(by).await,
            Mode::Hang => {
                self.hung.notify_one();
                pending::<()>().await;
            }
        }
        Ok(false)
    }
}
