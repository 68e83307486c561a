//! What can go wrong between us and a toolbox, by what the caller may conclude.

use http::StatusCode;
use hyper_util::client::legacy::Error as TransportError;

use crate::types::ErrorBody;

/// Why a body could not be streamed.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A call that brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing was sent: asking again is safe.
    #[error("toolbox cannot be reached")]
    Unreachable(#[source] BodyError),
    /// Sent at least in part, and no whole answer came: it may have been carried out.
    #[error("toolbox did not answer")]
    Interrupted(#[source] BodyError),
    /// The toolbox understood and said no.
    #[error("toolbox refused: {}", .body.message)]
    Refused {
        /// Status of the answer, 400 to 599.
        status: StatusCode,
        /// Its reasons.
        body: Box<ErrorBody>,
    },
    /// The answer is longer than we are ready to hold.
    #[error("toolbox answered more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The request or the answer is not what the API says.
    #[error("toolbox answered something we cannot read")]
    Malformed(#[source] BodyError),
}

impl ClientError {
    /// Whether the call certainly had no effect, so that repeating it is safe.
    pub fn never_sent(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Interrupted(_) | Self::Refused { .. } | Self::TooLarge { .. } | Self::Malformed(_) => false,
        }
    }

    pub(super) fn from_transport(error: TransportError) -> Self {
        if error.is_connect() || was_handed_back(&error) {
            Self::Unreachable(error.into())
        } else {
            Self::Interrupted(error.into())
        }
    }

    pub(super) fn interrupted(cause: impl Into<BodyError>) -> Self {
        Self::Interrupted(cause.into())
    }

    pub(super) fn malformed(cause: impl Into<BodyError>) -> Self {
        Self::Malformed(cause.into())
    }
}

/// hyper says "canceled" only of a request that its connection gave back before writing any of it.
fn was_handed_back(error: &TransportError) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<hyper::Error>());
    cause.is_some_and(hyper::Error::is_canceled)
}
