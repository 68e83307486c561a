//! A provider that is as slow and as faulty as its model says.

use super::model::{Effect, Failure, Fate, Model};
use super::service::MemorySandboxService;
use async_trait::async_trait;
use sandgate_core::{
    Attempt, Change, Command, CommandResult, Found, Inventory, Observed, SandboxConfig, SandboxInfo,
    SandboxRef, SandboxService, ServiceError, Sighting, StartStop, ToolboxAccess, ToolboxAddress, Watch,
};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// How often a call that is stuck looks whether it is released.
const LOOK: Duration = Duration::from_millis(10);

/// What is asked, and of whose sandbox; a list is asked of nobody's.
type Call = (&'static str, Option<Attempt>);

/// A sound provider, and what goes wrong on the way to it. Time goes by tokio's clock. Clones share everything.
#[derive(Debug, Clone)]
pub struct ModelledSandboxService {
    sound: MemorySandboxService,
    model: Model,
    asked: Arc<Mutex<HashMap<Call, u64>>>,
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
    async fn reach(&self, operation: &'static str, about: Option<Attempt>) -> Result<Fate, ServiceError> {
        let fate = self.fate(operation, about);
        sleep(fate.takes / 2).await;
        while fate.stuck && matches!(operation, "create" | "stop") && !self.sound.world().release.is_on() {
            sleep(LOOK).await;
        }
        if self.sound.world().outage.is_on() {
            return Err(ServiceError::Unreachable("the provider has an outage".into()));
        }
        match fate.error {
            None => Ok(fate),
            Some(Failure::Unreachable) => Err(ServiceError::Unreachable("the call was not accepted".into())),
            Some(Failure::Failed) => Err(ServiceError::Failed { operation, source: "it went wrong".into() }),
        }
    }

    fn fate(&self, operation: &'static str, about: Option<Attempt>) -> Fate {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry((operation, about)).or_default();
        *times += 1;
        let name = about.map(|attempt| self.sound.name(&attempt).to_string()).unwrap_or_default();
        self.model.fate(operation, &name, *times)
    }

    /// A call that changes nothing.
    async fn look<T>(
        &self,
        operation: &'static str,
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
        operation: &'static str,
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

fn lost(operation: &'static str) -> ServiceError {
    ServiceError::OutcomeUnknown { operation, source: "the answer was lost".into() }
}

#[async_trait]
impl SandboxService for ModelledSandboxService {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let fate = self.reach("create", Some(*attempt)).await?;
        let answer = match fate.lost {
            Some(Effect::Never) => Err(lost("create")),
            Some(Effect::Later(delay)) => {
                self.sound.make_later(attempt, config, delay).and_then(|()| Err(lost("create")))
            }
            done => {
                let made = self.sound.make(attempt, config, self.model.lag);
                if done.is_some() { Err(lost("create")) } else { made }
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
        self.change("execute", at.attempt, self.sound.execute_command(at, command)).await
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        self.look("status", Some(at.attempt), self.sound.status(at)).await
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        self.change("delete", at.attempt, async { self.sound.remove(at, self.model.lag) }).await
    }
}

#[async_trait]
impl StartStop for ModelledSandboxService {
    async fn start(&self, at: &SandboxRef, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        self.change("start", at.attempt, self.sound.start(at, config)).await
    }

    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        self.change("stop", at.attempt, self.sound.stop(at)).await
    }
}

#[async_trait]
impl Inventory for ModelledSandboxService {
    async fn list(&self) -> Result<Vec<Found>, ServiceError> {
        self.look("list", None, self.sound.list()).await
    }
}

#[async_trait]
impl ToolboxAccess for ModelledSandboxService {
    async fn toolbox(&self, at: &SandboxRef) -> Result<ToolboxAddress, ServiceError> {
        self.look("reach the toolbox", Some(at.attempt), self.sound.toolbox(at)).await
    }
}

#[async_trait]
impl Watch for ModelledSandboxService {
    async fn changed(&self) -> Change {
        self.sound.changed().await
    }

    async fn examine(&self, at: &SandboxRef) -> Result<Sighting, ServiceError> {
        self.look("examine", Some(at.attempt), self.sound.examine(at)).await
    }
}
