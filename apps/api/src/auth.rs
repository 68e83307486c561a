//! Who is asking: API keys.

use crate::error::ApiError;
use aws_lc_rs::digest;
use axum::extract::{FromRef, FromRequestParts};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sandgate_core::{ApiKey, KeyHash, KeyId, KeyRepository, OrganizationId};
use sandgate_shared::{ErrorCode, ExposeSecret, SecretString};
use std::sync::Arc;

/// Knows the keys.
#[derive(Clone)]
pub(crate) struct Keys(Arc<dyn KeyRepository>);

impl Keys {
    /// Over the ledger's keys.
    pub(crate) fn new(repository: Arc<dyn KeyRepository>) -> Self {
        Self(repository)
    }

    /// The key in the `Authorization` header of a request. A wrong key and none are told apart by nobody.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<ApiKey, ApiError> {
        let refused = || {
            ApiError::new(
                ErrorCode::Unauthorized,
                "Invalid credentials: send `Authorization: Bearer <API key>`",
            )
        };
        let key = bearer(headers).ok_or_else(refused)?;
        self.0.find_key(hash(&key)).await?.ok_or_else(refused)
    }
}

/// The hash by which a key is found. Looking up a hash of 256 random bits gives nothing away by its time.
pub(crate) fn hash(key: &SecretString) -> KeyHash {
    let digest = digest::digest(&digest::SHA256, key.expose_secret().as_bytes());
    KeyHash(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| SecretString::from(key.trim()))
}

/// The organization that a request speaks for. Nothing else makes one for a handler, so that no handler can forget to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Whose sandboxes it may see.
    pub(crate) organization: OrganizationId,
    /// Whose doing it is, for the log of events.
    pub(crate) key: KeyId,
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Keys: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let keys = Keys::from_ref(state);
        let key = keys.authenticate(&parts.headers).await?;
        Ok(Self { organization: key.organization, key: key.id })
    }
}
