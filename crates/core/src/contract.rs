//! The contract of [`SandboxService`], as a test suite that every implementation runs.
//!
//! One promise is one function. [`sandbox_service_contract!`](crate::sandbox_service_contract) gives an implementation
//! a named test for each:
//!
//! ```ignore
//! sandgate_core::sandbox_service_contract!(async { Some(Subject { service, config, keep }) });
//! ```
//!
//! `None` means that the provider cannot be reached from here. Such a test says that it was skipped, and fails where
//! `SANDGATE_LIVE` is set.

#![expect(clippy::missing_panics_doc, reason = "a promise that is not kept panics: that is what a test does")]

use crate::config::{SandboxConfig, SnapshotName};
use crate::id::{Attempt, SandboxId};
use crate::ports::{Command, SandboxRef, SandboxService, ServiceError};
use crate::state::Observed;
use std::time::Duration;

/// The implementation under test, and a config that is valid for it.
pub struct Subject<S> {
    /// The implementation.
    pub service: S,
    /// What its sandboxes are to be.
    pub config: SandboxConfig,
    /// Whatever must live as long as the test, such as a data directory or a leak guard; dropped last.
    pub keep: Box<dyn std::any::Any + Send>,
}

fn new_attempt() -> Attempt {
    Attempt::first(SandboxId::random())
}

fn by_name(attempt: Attempt) -> SandboxRef {
    SandboxRef { attempt, handle: None }
}

fn shell(text: &str) -> Command {
    Command { text: text.to_owned(), ..Command::default() }
}

async fn create<S: SandboxService>(subject: &Subject<S>) -> SandboxRef {
    let attempt = new_attempt();
    let info = subject.service.create(&attempt, &subject.config).await.expect("create");
    SandboxRef { attempt, handle: Some(info.handle) }
}

async fn delete<S: SandboxService>(subject: &Subject<S>, at: &SandboxRef) {
    subject.service.delete(at).await.expect("delete");
    assert_eq!(subject.service.status(at).await.expect("status"), Observed::Absent, "deleted means gone");
}

/// What was created runs when `create` returns.
pub async fn created_is_started<S: SandboxService>(subject: Subject<S>) {
    let at = create(&subject).await;
    assert_eq!(subject.service.status(&at).await.expect("status"), Observed::Started);
    delete(&subject, &at).await;
}

/// Asking again with the same attempt leads to the same sandbox.
pub async fn create_is_keyed_by_attempt<S: SandboxService>(subject: Subject<S>) {
    let at = create(&subject).await;
    let again = subject.service.create(&at.attempt, &subject.config).await.expect("create again");
    assert_eq!(at.handle, Some(again.handle), "the same attempt must lead to the same sandbox");
    delete(&subject, &at).await;
}

/// A sandbox whose handle was never learnt is found by its name.
pub async fn no_handle_means_by_name<S: SandboxService>(subject: Subject<S>) {
    let at = create(&subject).await;
    let unnamed = by_name(at.attempt);
    assert_eq!(subject.service.status(&unnamed).await.expect("status"), Observed::Started);
    delete(&subject, &unnamed).await;
    assert_eq!(subject.service.status(&at).await.expect("status"), Observed::Absent);
}

/// A config that names an unknown snapshot is refused, and nothing is made.
pub async fn unknown_snapshot_creates_nothing<S: SandboxService>(subject: Subject<S>) {
    let attempt = new_attempt();
    let unknown = SnapshotName::parse("no-such-snapshot-anywhere").expect("a name");
    let config = SandboxConfig { snapshot: Some(unknown), ..subject.config.clone() };
    let error = subject.service.create(&attempt, &config).await.expect_err("must be refused");
    assert!(matches!(error, ServiceError::UnknownSnapshot(_)), "{error:?}");
    assert_eq!(subject.service.status(&by_name(attempt)).await.expect("status"), Observed::Absent);
}

/// A command's output and exit code come back as they are.
pub async fn command_answers_output_and_exit_code<S: SandboxService>(subject: Subject<S>) {
    let at = create(&subject).await;
    let result = subject.service.execute_command(&at, &shell("echo hello")).await.expect("execute");
    assert_eq!((result.exit_code, result.output.as_str()), (0, "hello\n"));
    let result =
        subject.service.execute_command(&at, &shell("exit 3")).await.expect("a failed command is an answer");
    assert_eq!(result.exit_code, 3);
    delete(&subject, &at).await;
}

/// A command that runs into its timeout is an error of its own, and the sandbox lives on.
pub async fn timeout_ends_the_command_alone<S: SandboxService>(subject: Subject<S>) {
    let at = create(&subject).await;
    let slow = Command { timeout: Some(Duration::from_secs(1)), ..shell("sleep 100") };
    let error = subject.service.execute_command(&at, &slow).await.expect_err("must run into its timeout");
    assert!(matches!(error, ServiceError::CommandTimeout), "{error:?}");
    let result = subject.service.execute_command(&at, &shell("echo alive")).await.expect("execute");
    assert_eq!(result.output, "alive\n");
    delete(&subject, &at).await;
}

/// What was never created is absent, and asking is no error.
pub async fn unknown_is_absent<S: SandboxService>(subject: Subject<S>) {
    let at = by_name(new_attempt());
    assert_eq!(subject.service.status(&at).await.expect("status"), Observed::Absent);
}

/// A command for what does not run is an error, not an answer.
pub async fn command_needs_a_running_sandbox<S: SandboxService>(subject: Subject<S>) {
    let at = by_name(new_attempt());
    let error = subject.service.execute_command(&at, &shell("true")).await.expect_err("nothing runs there");
    assert!(matches!(error, ServiceError::NotRunning), "{error:?}");
}

/// Deleting twice, or what never was, succeeds.
pub async fn delete_is_idempotent<S: SandboxService>(subject: Subject<S>) {
    subject.service.delete(&by_name(new_attempt())).await.expect("delete what never was");
    let at = create(&subject).await;
    delete(&subject, &at).await;
    delete(&subject, &at).await;
}

/// Deleting one sandbox leaves another as it is.
pub async fn sandboxes_are_apart<S: SandboxService>(subject: Subject<S>) {
    let (one, other) = (create(&subject).await, create(&subject).await);
    assert_ne!(one.handle, other.handle);
    delete(&subject, &one).await;
    assert_eq!(subject.service.status(&other).await.expect("status"), Observed::Started);
    delete(&subject, &other).await;
}

/// Says that a subject is out of reach, which is a failure where it was asked for.
pub fn skipped(case: &str) {
    assert!(std::env::var_os("SANDGATE_LIVE").is_none(), "{case}: the provider cannot be reached from here");
    eprintln!("skipped: {case}: the provider cannot be reached from here");
}

/// One named test for each promise of [`SandboxService`]. Takes an expression that makes a
/// future of `Option<Subject<_>>`; it is evaluated once for each test. The caller's crate needs `tokio`.
#[macro_export]
macro_rules! sandbox_service_contract {
    ($subject:expr) => { $crate::sandbox_service_contract!(@ $subject;
        created_is_started, create_is_keyed_by_attempt, no_handle_means_by_name, unknown_snapshot_creates_nothing,
        command_answers_output_and_exit_code, timeout_ends_the_command_alone, unknown_is_absent,
        command_needs_a_running_sandbox, delete_is_idempotent, sandboxes_are_apart); };
    (@ $subject:expr; $($case:ident),+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            match $subject.await {
                Some(subject) => $crate::contract::$case(subject).await,
                None => $crate::contract::skipped(stringify!($case)),
            }
        }
    )+};
}
