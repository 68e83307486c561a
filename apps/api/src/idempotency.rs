//! The `Idempotency-Key` of a request, and waiting for the first request of the same key.

use crate::error::ApiError;
use http::{HeaderMap, HeaderName};
use sandgate_core::{
    Created, IdempotencyKey, InvalidConfig, NewSandbox, NotAdmitted, OrganizationId, Sandboxes,
    SandboxesError,
};
use std::time::Duration;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks the answer to a request that an earlier one has carried out.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How often is asked whether the first request is done, for half a minute, and the pause between.
const LOOKS: u32 = 600;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The key of a request, if it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all(HEADER).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        // What is not ASCII is refused as text.
        (Some(value), None) => Ok(Some(IdempotencyKey::parse(String::from_utf8_lossy(value.as_bytes()))?)),
        _ => Err(InvalidConfig("one Idempotency-Key is enough: there are several".to_owned()).into()),
    }
}

/// Creates, or waits until an earlier request of the same key has. Where that one fails, this one tries itself.
pub(crate) async fn create(
    sandboxes: Sandboxes,
    organization: OrganizationId,
    new: NewSandbox,
) -> Result<Created, SandboxesError> {
    for _ in 1..LOOKS {
        match sandboxes.create(organization, new.clone()).await {
            Err(SandboxesError::NotAdmitted(NotAdmitted::KeyInUse(_))) => {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            created => return created,
        }
    }
    sandboxes.create(organization, new).await
}
