//! A provider with all that it can do.

use crate::ports::{Inventory, SandboxService, StartStop, ToolboxAccess, Watch};
use std::sync::Arc;
use std::time::Duration;

/// What runs a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// Containers on this machine.
    Container,
}

impl ProviderKind {
    /// The word for it, in the ledger and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
        }
    }

    /// The spawner carries out what it was sent at once or never.
    const fn late(self) -> Duration {
        match self {
            Self::Container => Duration::from_mins(1),
        }
    }
}

/// One provider behind its ports.
#[derive(Clone)]
pub struct Provider {
    /// Which one it is.
    pub kind: ProviderKind,
    /// Creates, executes, deletes, tells.
    pub service: Arc<dyn SandboxService>,
    /// Stops and starts.
    pub start_stop: Arc<dyn StartStop>,
    /// Lists.
    pub inventory: Arc<dyn Inventory>,
    /// Leads inside.
    pub toolbox: Arc<dyn ToolboxAccess>,
    /// Tells of what happens unasked.
    pub watch: Arc<dyn Watch>,
    /// How long after it answers again an abandoned attempt may still make something.
    pub late: Duration,
}

impl Provider {
    /// A provider that does everything in one type.
    pub fn new<P>(kind: ProviderKind, provider: Arc<P>) -> Self
    where
        P: SandboxService + StartStop + Inventory + ToolboxAccess + Watch + 'static,
    {
        Self {
            kind,
            service: provider.clone(),
            start_stop: provider.clone(),
            inventory: provider.clone(),
            toolbox: provider.clone(),
            watch: provider,
            late: kind.late(),
        }
    }
}
