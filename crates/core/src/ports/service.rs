//! What a provider of sandboxes does: one narrow trait that every provider implements, and small ones beside it.

use crate::config::{SandboxConfig, UserName};
use crate::id::{Attempt, Handle};
use crate::state::Observed;
use async_trait::async_trait;
use sandgate_shared::ErrorCode;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A provider of sandboxes: create, execute a command, delete, get status.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait SandboxService: Send + Sync {
    /// Makes the sandbox of `attempt` and returns when it runs. A second call with the same attempt returns the
    /// first call's sandbox, so that a caller who lost the answer may simply ask again.
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError>;

    /// Runs one shell command to its end. A command that fails is an `Ok` with its exit code.
    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError>;

    /// What the provider sees. A sandbox that is gone is `Observed::Absent`, not an error.
    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError>;

    /// Ends it and frees what it held. Deleting one that is already gone succeeds.
    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError>;
}

/// Stopping a sandbox without losing its files, and starting it again.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait StartStop: Send + Sync {
    /// Starts a stopped sandbox with the files it had. Starting one that runs succeeds.
    async fn start(&self, at: &SandboxRef, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError>;

    /// Ends its processes and keeps its files. Stopping one that does not run succeeds.
    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError>;
}

/// All that a provider holds for this instance, for the reconciler.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Every object that carries this instance's name, and no other.
    async fn list(&self) -> Result<Vec<Found>, ServiceError>;
}

/// The way into a sandbox's toolbox, for relays.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait ToolboxAccess: Send + Sync {
    /// Where the toolbox of a running sandbox listens.
    async fn toolbox(&self, at: &SandboxRef) -> Result<ToolboxAddress, ServiceError>;
}

/// Which sandbox a provider is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxRef {
    /// The attempt that made it.
    pub attempt: Attempt,
    /// The provider's name for it; none means that it is looked up by the attempt's external name.
    pub handle: Option<Handle>,
}

/// What a provider says of a sandbox that it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxInfo {
    /// The provider's own name for it.
    pub handle: Handle,
    /// Who runs its commands, where the provider says so.
    pub user: Option<UserName>,
}

/// An object found at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Which attempt it belongs to.
    pub attempt: Attempt,
    /// How it is.
    pub observed: Observed,
}

/// Where a toolbox listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ToolboxAddress {
    /// A unix socket on this machine.
    Unix(PathBuf),
}

/// A shell command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The text, as it would be typed into a shell.
    pub text: String,
    /// Where it runs; none means the sandbox's work directory.
    pub cwd: Option<String>,
    /// Variables for this command alone.
    pub env: BTreeMap<String, String>,
    /// Its whole process group is killed after so long.
    pub timeout: Option<Duration>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// The shell's exit code; -1 where it was killed or could not be started, never invented.
    pub exit_code: i32,
    /// What it wrote to stdout and stderr, in order.
    pub output: String,
}

/// What lies beneath an error.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a provider did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The config asks for a snapshot that this provider does not have.
    #[error("snapshot `{0}` does not exist")]
    UnknownSnapshot(String),
    /// The provider cannot do this; the text says why. Nothing was done.
    #[error("{0}")]
    Unsupported(String),
    /// There is no running sandbox of that name.
    #[error("the sandbox is not running")]
    NotRunning,
    /// The command was killed because its time was up.
    #[error("command execution timeout")]
    CommandTimeout,
    /// Refused before anything was done; the text says what to change.
    #[error("{0}")]
    Refused(String),
    /// Never reached the provider, or refused before anything was done.
    #[error("the provider is unreachable")]
    Unreachable(#[source] Source),
    /// Sent, and no answer came: it may have been carried out.
    #[error("the provider did not answer {operation}")]
    OutcomeUnknown {
        /// What was asked.
        operation: &'static str,
        /// Why there is no answer.
        #[source]
        source: Source,
    },
    /// The provider tried and could not. Nothing of it is left.
    #[error("the provider could not {operation}")]
    Failed {
        /// What was asked.
        operation: &'static str,
        /// Why not.
        #[source]
        source: Source,
    },
}

impl ServiceError {
    /// The code for machines.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownSnapshot(_) | Self::Refused(_) | Self::NotRunning => ErrorCode::BadRequest,
            Self::Unsupported(_) => ErrorCode::NotImplemented,
            Self::CommandTimeout => ErrorCode::RequestTimeout,
            Self::Unreachable(_) | Self::OutcomeUnknown { .. } => ErrorCode::ServiceUnavailable,
            Self::Failed { .. } => ErrorCode::Internal,
        }
    }

    /// Whether asking again may help. That it is safe is the port's promise.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::OutcomeUnknown { .. } => true,
            Self::UnknownSnapshot(_)
            | Self::Unsupported(_)
            | Self::NotRunning
            | Self::CommandTimeout
            | Self::Refused(_)
            | Self::Failed { .. } => false,
        }
    }
}
