//! A provider with failpoints around each call on the write path. The ways inside are as they are.

use super::{Fault, Side, Steps};
use async_trait::async_trait;
use sandgate_core::{
    Attempt, Change, Command, CommandResult, Found, Inventory, Observed, Provider, SandboxConfig,
    SandboxInfo, SandboxRef, SandboxService, ServiceError, Sighting, StartStop, ToolboxAccess,
    ToolboxAddress, Watch,
};
use std::future::Future;

/// See [`Steps::around_provider`].
pub struct FailingProvider {
    pub(super) sound: Provider,
    pub(super) steps: Steps,
}

impl FailingProvider {
    async fn take<T, F>(
        &self,
        operation: &'static str,
        call: impl Fn() -> F + Send,
    ) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, ServiceError>> + Send,
    {
        // Once there was an effect, a provider must not say that there was none.
        let fault = |fault, side| match (fault, side) {
            (Fault::Failed, Side::Before) => ServiceError::Failed { operation, source: "a failpoint".into() },
            (Fault::Lost, _) | (_, Side::After) => {
                ServiceError::OutcomeUnknown { operation, source: "a failpoint".into() }
            }
        };
        self.steps.take(&format!("provider.{operation}"), fault, call).await
    }
}

#[async_trait]
impl SandboxService for FailingProvider {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        self.take("create", || self.sound.service.create(attempt, config)).await
    }

    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError> {
        self.sound.service.execute_command(at, command).await
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        self.take("status", || self.sound.service.status(at)).await
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        self.take("delete", || self.sound.service.delete(at)).await
    }
}

#[async_trait]
impl StartStop for FailingProvider {
    async fn start(&self, at: &SandboxRef, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        self.take("start", || self.sound.start_stop.start(at, config)).await
    }

    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        self.take("stop", || self.sound.start_stop.stop(at)).await
    }
}

#[async_trait]
impl Inventory for FailingProvider {
    async fn list(&self) -> Result<Vec<Found>, ServiceError> {
        self.take("list", || self.sound.inventory.list()).await
    }
}

#[async_trait]
impl ToolboxAccess for FailingProvider {
    async fn toolbox(&self, at: &SandboxRef) -> Result<ToolboxAddress, ServiceError> {
        self.sound.toolbox.toolbox(at).await
    }
}

#[async_trait]
impl Watch for FailingProvider {
    async fn changed(&self) -> Change {
        self.sound.watch.changed().await
    }

    async fn examine(&self, at: &SandboxRef) -> Result<Sighting, ServiceError> {
        self.take("examine", || self.sound.watch.examine(at)).await
    }
}
