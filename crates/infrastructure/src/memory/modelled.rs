//! A provider that is as slow and as faulty as its model says.

use super::model::{Effect, Failure, Fate, Model};
use super::operation::{Asked, Operation};
use super::service::MemorySandboxService;
use async_trait::async_trait;
use sandgate_core::{
    Attempt, Change, Command, CommandResult, Found, Inventory, Observed, SandboxConfig, SandboxInfo,
    SandboxRef, SandboxService, ServiceError, Sighting, StartStop, ToolboxAccess, ToolboxAddress, Watch,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often a call that is stuck looks whether it is released.
const LOOK: Duration = Duration::from_millis(10);

/// A sound provider, and what goes wrong on the way to it. Time goes by tokio's clock. Clones share everything.
#[derive(Debug, Clone)]
pub struct ModelledSandboxService {
    sound: MemorySandboxService,
    model: Model,
    asked: Arc<Asked>,
}

impl ModelledSandboxService {
    /// The model around what works.
    pub fn new(sound: MemorySandboxService, model: Model) -> Self {
        Self { sound, model, asked: Arc::default() }
    }

    /// What the provider really holds and does.
    pub fn sound(&self) -> &MemorySandboxService {
        &self.sound
    }

    /// The way of a call to the provider: half of its time, and whatever keeps it from getting there.
    async fn reach(&self, operation: Operation, about: Option<Attempt>) -> Result<Fate, ServiceError> {
        let fate = self.fate(operation, about);
        sleep(fate.takes / 2).await;
        while fate.stuck && operation.may_be_stuck() && !self.sound.world().release.is_on() {
            sleep(LOOK).await;
        }
        if self.sound.world().outage.is_on() {
            return Err(ServiceError::Unreachable("the provider has an outage".into()));
        }
        match fate.error {
            None => Ok(fate),
            Some(Failure::Unreachable) => Err(ServiceError::Unreachable("the call was not accepted".into())),
            Some(Failure::Failed) => {
                Err(ServiceError::Failed { operation: operation.as_str(), source: "it went wrong".into() })
            }
        }
    }

    fn fate(&self, operation: Operation, about: Option<Attempt>) -> Fate {
        let times = self.asked.count(operation, about);
        let name = about.map(|attempt| self.sound.name(&attempt).to_string()).unwrap_or_default();
        self.model.fate(operation, &name, times)
    }

    /// A call that changes nothing.
    async fn look<T>(
        &self,
        operation: Operation,
        about: Option<Attempt>,
        answer: impl Future<Output = Result<T, ServiceError>> + Send,
    ) -> Result<T, ServiceError> {
        let fate = self.reach(operation, about).await?;
        let answer = answer.await;
        sleep(fate.takes / 2).await;
        answer
    }

    /// A call that changes something, at once if ever.
    async fn change<T>(
        &self,
        operation: Operation,
        about: Attempt,
        effect: impl Future<Output = Result<T, ServiceError>> + Send,
    ) -> Result<T, ServiceError> {
        let fate = self.reach(operation, Some(about)).await?;
        let answer = match fate.lost {
            None => effect.await,
            Some(Effect::Never) => Err(lost(operation)),
            Some(Effect::Done | Effect::Later(_)) => {
                // Whatever it led to, nobody is told.
                let _ = effect.await;
                Err(lost(operation))
            }
        };
        sleep(fate.takes / 2).await;
        answer
    }
}

fn lost(operation: Operation) -> ServiceError {
    ServiceError::OutcomeUnknown { operation: operation.as_str(), source: "the answer was lost".into() }
}

#[async_trait]
impl SandboxService for ModelledSandboxService {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let fate = self.reach(Operation::Create, Some(*attempt)).await?;
        let answer = match fate.lost {
            Some(Effect::Never) => Err(lost(Operation::Create)),
            Some(Effect::Later(delay)) => {
                self.sound.make_later(attempt, config, delay).and_then(|()| Err(lost(Operation::Create)))
            }
            done => {
                let made = self.sound.make(attempt, config, self.model.lag);
                if done.is_some() { Err(lost(Operation::Create)) } else { made }
            }
        };
        sleep(fate.takes / 2).await;
        answer
    }

    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError> {
        self.change(Operation::Execute, at.attempt, self.sound.execute_command(at, command)).await
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        self.look(Operation::Status, Some(at.attempt), self.sound.status(at)).await
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        let remove = async { self.sound.remove(at, self.model.lag) };
        let answer = self.change(Operation::Delete, at.attempt, remove).await;
        if answer.is_ok() {
            self.asked.forget(at.attempt);
        }
        answer
    }
}

#[async_trait]
impl StartStop for ModelledSandboxService {
    async fn start(&self, at: &SandboxRef, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        self.change(Operation::Start, at.attempt, self.sound.start(at, config)).await
    }

    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        self.change(Operation::Stop, at.attempt, self.sound.stop(at)).await
    }
}

#[async_trait]
impl Inventory for ModelledSandboxService {
    async fn list(&self) -> Result<Vec<Found>, ServiceError> {
        self.look(Operation::List, None, self.sound.list()).await
    }
}

#[async_trait]
impl ToolboxAccess for ModelledSandboxService {
    async fn toolbox(&self, at: &SandboxRef) -> Result<ToolboxAddress, ServiceError> {
        self.look(Operation::Enter, Some(at.attempt), self.sound.toolbox(at)).await
    }
}

#[async_trait]
impl Watch for ModelledSandboxService {
    async fn changed(&self) -> Change {
        self.sound.changed().await
    }

    async fn examine(&self, at: &SandboxRef) -> Result<Sighting, ServiceError> {
        self.look(Operation::Examine, Some(at.attempt), self.sound.examine(at)).await
    }
}
