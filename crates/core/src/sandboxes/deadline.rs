//! How long a provider may take. A caller is always answered; what came of it is found out afterwards.

use crate::ports::ServiceError;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// The official clients give up after a minute.
const CALL: Duration = Duration::from_secs(50);

/// The time by which a caller is to be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// That of a caller who asks now.
    pub(super) fn of_a_call() -> Self {
        Self(Instant::now() + CALL)
    }

    /// How much of it is left.
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The answer to `call`, or that there was none in time.
    pub(super) async fn bound<T>(
        self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ServiceError> {
        tokio::time::timeout_at(self.0, call).await.unwrap_or_else(|_| {
            Err(ServiceError::OutcomeUnknown { operation, source: "its time was over".into() })
        })
    }
}

/// The answer to a `call` that is made on its own.
pub(super) async fn bounded<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, ServiceError> {
    Deadline::of_a_call().bound(operation, call).await
}
