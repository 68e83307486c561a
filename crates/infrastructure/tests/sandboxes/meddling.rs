//! A provider in memory with something happening just before or just after what it does.

use async_trait::async_trait;
use sandgate_core::{
    Attempt, Change, Command, CommandResult, Found, Inventory, Observed, SandboxConfig, SandboxInfo,
    SandboxRef, SandboxService, ServiceError, Sighting, StartStop, ToolboxAccess, ToolboxAddress, Watch,
};
use sandgate_infrastructure::memory::MemorySandboxService;
use std::future::Future;
use std::pin::Pin;

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeCreate,
    AfterCreate,
    BeforeDelete,
    AfterDelete,
    BeforeStart,
    AfterStart,
    BeforeStop,
    AfterStop,
}

/// What happens: an error ends the call there, and is its answer.
pub(crate) type Happening = Pin<Box<dyn Future<Output = Result<(), ServiceError>> + Send>>;

/// A happening that fails with `error` if there is one.
pub(crate) fn fails_if(fails: bool, error: fn() -> ServiceError) -> Happening {
    Box::pin(async move { if fails { Err(error()) } else { Ok(()) } })
}

pub(crate) struct Meddling<F> {
    pub(crate) sound: MemorySandboxService,
    pub(crate) meddle: F,
}

#[async_trait]
impl<F: Fn(Moment) -> Happening + Send + Sync> SandboxService for Meddling<F> {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        (self.meddle)(Moment::BeforeCreate).await?;
        let info = self.sound.create(attempt, config).await?;
        (self.meddle)(Moment::AfterCreate).await?;
        Ok(info)
    }

    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError> {
        self.sound.execute_command(at, command).await
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        self.sound.status(at).await
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        (self.meddle)(Moment::BeforeDelete).await?;
        self.sound.delete(at).await?;
        (self.meddle)(Moment::AfterDelete).await
    }
}

#[async_trait]
impl<F: Fn(Moment) -> Happening + Send + Sync> StartStop for Meddling<F> {
    async fn start(&self, at: &SandboxRef, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        (self.meddle)(Moment::BeforeStart).await?;
        let info = self.sound.start(at, config).await?;
        (self.meddle)(Moment::AfterStart).await?;
        Ok(info)
    }

    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        (self.meddle)(Moment::BeforeStop).await?;
        self.sound.stop(at).await?;
        (self.meddle)(Moment::AfterStop).await
    }
}

#[async_trait]
impl<F: Send + Sync> Inventory for Meddling<F> {
    async fn list(&self) -> Result<Vec<Found>, ServiceError> {
        self.sound.list().await
    }
}

#[async_trait]
impl<F: Send + Sync> ToolboxAccess for Meddling<F> {
    async fn toolbox(&self, at: &SandboxRef) -> Result<ToolboxAddress, ServiceError> {
        self.sound.toolbox(at).await
    }
}

#[async_trait]
impl<F: Send + Sync> Watch for Meddling<F> {
    async fn changed(&self) -> Change {
        self.sound.changed().await
    }

    async fn examine(&self, at: &SandboxRef) -> Result<Sighting, ServiceError> {
        self.sound.examine(at).await
    }
}
