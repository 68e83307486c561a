//! API keys: who may speak for which organization.

use super::repository::RepositoryError;
use crate::id::{KeyId, OrganizationId};
use async_trait::async_trait;

/// The SHA-256 of a key. Keys carry 256 random bits, so that a fast hash is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A key that is known, without the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiKey {
    /// Safe to log.
    pub id: KeyId,
    /// Whom it speaks for.
    pub organization: OrganizationId,
}

/// Keeps the hashes of keys.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait KeyRepository: Send + Sync {
    /// The key with this hash; `None` where there is none.
    async fn find_key(&self, hash: KeyHash) -> Result<Option<ApiKey>, RepositoryError>;

    /// Any organization, to which a key given by configuration belongs; `None` in a new ledger.
    async fn first_organization(&self) -> Result<Option<OrganizationId>, RepositoryError>;

    /// Adds a key, and its organization where that is new. Adding a hash again changes nothing.
    async fn insert_key(&self, key: ApiKey, hash: KeyHash) -> Result<(), RepositoryError>;
}
