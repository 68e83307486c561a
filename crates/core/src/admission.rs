//! Whether a sandbox may be asked for: within quotas, not too fast, and once for each idempotency key.

mod idempotency;
mod quota;
mod rate;

pub use idempotency::{Idempotency, IdempotencyKey};
pub use quota::{Excess, Measure, Quota, Quotas, Reserved, Scope};
pub use rate::Rate;

use crate::id::SandboxId;
use sandgate_shared::ErrorCode;

/// What was found when an intent was admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Admitted {
    /// How many more may be asked for soon, by the tighter of the rates; none where there is no rate.
    pub rate: Option<Rate>,
}

/// Why nothing was written of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It would be more than may exist at once.
    #[error("{0}")]
    Quota(Excess),
    /// Too many were asked for within a minute. The text is Daytona's.
    #[error("ThrottlerException: Too Many Requests")]
    Rate(Rate),
    /// The idempotency key has made this sandbox already, or is about to.
    #[error(
        "the first request with this Idempotency-Key is still under way: send it again, with the same key"
    )]
    KeyInUse(SandboxId),
    /// The idempotency key came with another request before.
    #[error("this Idempotency-Key was sent with another request before: give each request a key of its own")]
    KeyReused,
    /// The sandbox that the idempotency key has made was deleted since.
    #[error("the sandbox of this Idempotency-Key was deleted: to get another one, send another key")]
    KeySpent,
}

impl NotAdmitted {
    /// The code for machines.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Quota(_) => ErrorCode::BadRequest,
            Self::Rate(_) => ErrorCode::TooManyRequests,
            Self::KeyInUse(_) => ErrorCode::Conflict,
            Self::KeyReused => ErrorCode::UnprocessableEntity,
            Self::KeySpent => ErrorCode::Gone,
        }
    }
}
