//! A contract that nothing can break proves nothing: each fault here breaks one promise, and its case must notice.

use async_trait::async_trait;
use sandgate_core::contract::{self, Subject};
use sandgate_core::{
    Attempt, Command, CommandResult, Handle, InstanceId, Observed, ResourceLimits, SandboxConfig,
    SandboxInfo, SandboxRef, SandboxService, ServiceError,
};
use sandgate_infrastructure::memory::MemorySandboxService;
use std::future::Future;
use tokio::task::LocalSet;

/// What is wrong with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    CreateAnswersBeforeItRuns,
    CreateMakesASecondSandbox,
    CreateIgnoresTheSnapshot,
    CreateHalfMakesWhatItRefuses,
    HandleIsNeeded,
    OutputIsLost,
    ExitCodeIsAlwaysZero,
    FailedCommandIsAnError,
    TimeoutIsIgnored,
    TimeoutEndsTheSandbox,
    UnknownIsStarted,
    UnknownIsAnError,
    CommandNeedsNoSandbox,
    DeleteOfNothingIsAnError,
    DeleteDoesNothing,
    DeleteEndsEverything,
    EverybodySharesOneHandle,
}
use Fault::*;

/// A provider that keeps every promise but one.
struct Broken {
    fault: Fault,
    sound: MemorySandboxService,
}

fn oops<T>() -> Result<T, ServiceError> {
    Err(ServiceError::Failed { operation: "anything", source: "it is broken".into() })
}

impl Broken {
    async fn is_absent(&self, at: &SandboxRef) -> bool {
        self.sound.status(at).await.is_ok_and(|seen| seen == Observed::Absent)
    }

    async fn make(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let info = self.sound.create(attempt, config).await?;
        match self.fault {
            CreateAnswersBeforeItRuns => self.sound.crash(attempt),
            EverybodySharesOneHandle => return Ok(SandboxInfo { handle: Handle("one".to_owned()), ..info }),
            _ => {}
        }
        Ok(info)
    }
}

#[async_trait]
impl SandboxService for Broken {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let default = SandboxConfig { snapshot: None, ..config.clone() };
        match self.fault {
            CreateMakesASecondSandbox => {
                self.sound.lose(attempt);
                self.make(attempt, config).await
            }
            CreateIgnoresTheSnapshot => self.make(attempt, &default).await,
            CreateHalfMakesWhatItRefuses => {
                self.make(attempt, &default).await?;
                self.make(attempt, config).await
            }
            _ => self.make(attempt, config).await,
        }
    }

    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError> {
        if self.fault == CommandNeedsNoSandbox && self.is_absent(at).await {
            return Ok(CommandResult { exit_code: 0, output: String::new() });
        }
        let at = &by_name_if(self.fault == EverybodySharesOneHandle, at);
        let answer = self.sound.execute_command(at, command).await;
        match (self.fault, answer) {
            (OutputIsLost, Ok(result)) => Ok(CommandResult { output: String::new(), ..result }),
            (ExitCodeIsAlwaysZero, Ok(result)) => Ok(CommandResult { exit_code: 0, ..result }),
            (FailedCommandIsAnError, Ok(result)) if result.exit_code != 0 => oops(),
            (TimeoutIsIgnored, Err(ServiceError::CommandTimeout)) => {
                Ok(CommandResult { exit_code: 0, output: String::new() })
            }
            (TimeoutEndsTheSandbox, Err(ServiceError::CommandTimeout)) => {
                self.sound.crash(&at.attempt);
                Err(ServiceError::CommandTimeout)
            }
            (_, answer) => answer,
        }
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        let at = &by_name_if(self.fault == EverybodySharesOneHandle, at);
        let seen = self.sound.status(at).await?;
        match (self.fault, seen) {
            (HandleIsNeeded, _) if at.handle.is_none() => Ok(Observed::Absent),
            (UnknownIsStarted, Observed::Absent) => Ok(Observed::Started),
            (UnknownIsAnError, Observed::Absent) => oops(),
            (_, seen) => Ok(seen),
        }
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        match self.fault {
            DeleteOfNothingIsAnError if self.is_absent(at).await => oops(),
            DeleteDoesNothing => Ok(()),
            DeleteEndsEverything => {
                self.sound.lose_all();
                Ok(())
            }
            fault => self.sound.delete(&by_name_if(fault == EverybodySharesOneHandle, at)).await,
        }
    }
}

fn by_name_if(wanted: bool, at: &SandboxRef) -> SandboxRef {
    if wanted { SandboxRef { handle: None, ..at.clone() } } else { at.clone() }
}

fn subject(fault: Fault) -> Subject<Broken> {
    let sound = MemorySandboxService::new(InstanceId::random());
    let config = SandboxConfig::new(ResourceLimits::default().default);
    Subject { service: Broken { fault, sound }, config, keep: Box::new(()) }
}

/// Asserts that `case` fails for a service with `fault`.
async fn notices<F, C>(fault: Fault, case: C)
where
    C: FnOnce(Subject<Broken>) -> F,
    F: Future<Output = ()> + 'static,
{
    let local = LocalSet::new();
    let outcome = local.run_until(local.spawn_local(case(subject(fault)))).await;
    assert!(outcome.is_err_and(|error| error.is_panic()), "{fault:?} went unnoticed");
}

/// Each fault beside the case that is there to notice it. The panics that this prints are the point.
macro_rules! each_is_noticed {
    ($($fault:ident by $case:ident,)+) => {
        #[tokio::test]
        async fn each_fault_is_noticed_by_its_case() {
            $(notices($fault, contract::$case).await;)+
        }
    };
}

each_is_noticed! {
    CreateAnswersBeforeItRuns by created_is_started,
    CreateMakesASecondSandbox by create_is_keyed_by_attempt,
    CreateIgnoresTheSnapshot by unknown_snapshot_creates_nothing,
    CreateHalfMakesWhatItRefuses by unknown_snapshot_creates_nothing,
    HandleIsNeeded by no_handle_means_by_name,
    OutputIsLost by command_answers_output_and_exit_code,
    ExitCodeIsAlwaysZero by command_answers_output_and_exit_code,
    FailedCommandIsAnError by command_answers_output_and_exit_code,
    TimeoutIsIgnored by timeout_ends_the_command_alone,
    TimeoutEndsTheSandbox by timeout_ends_the_command_alone,
    UnknownIsStarted by unknown_is_absent,
    UnknownIsAnError by unknown_is_absent,
    CommandNeedsNoSandbox by command_needs_a_running_sandbox,
    DeleteOfNothingIsAnError by delete_is_idempotent,
    DeleteDoesNothing by delete_is_idempotent,
    DeleteEndsEverything by sandboxes_are_apart,
    EverybodySharesOneHandle by sandboxes_are_apart,
}

/// The wrapper itself breaks nothing: what fails above fails for its fault.
#[tokio::test]
async fn without_a_fault_every_case_passes() {
    contract::created_is_started(subject(Nothing)).await;
    contract::create_is_keyed_by_attempt(subject(Nothing)).await;
    contract::no_handle_means_by_name(subject(Nothing)).await;
    contract::unknown_snapshot_creates_nothing(subject(Nothing)).await;
    contract::command_answers_output_and_exit_code(subject(Nothing)).await;
    contract::timeout_ends_the_command_alone(subject(Nothing)).await;
    contract::unknown_is_absent(subject(Nothing)).await;
    contract::command_needs_a_running_sandbox(subject(Nothing)).await;
    contract::delete_is_idempotent(subject(Nothing)).await;
    contract::sandboxes_are_apart(subject(Nothing)).await;
}
