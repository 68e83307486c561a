//! What an organization and a key use now.

use super::repository::{RepositoryError, Stance};
use crate::admission::{Quota, Reserved};
use crate::id::{KeyId, OrganizationId};
use crate::sandbox::Sandbox;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};

/// Knows what is used.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait UsageRepository: Send + Sync {
    /// What is used at `query.at`, counted from the rows.
    async fn usage(&self, query: &UsageQuery) -> Result<UsageReport, RepositoryError>;
}

/// Whose use is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// The organization.
    pub organization: OrganizationId,
    /// One of its keys.
    pub key: KeyId,
    /// The label by whose values the organization's use is also told.
    pub label: Option<String>,
    /// Now.
    pub at: Timestamp,
}

/// What sandboxes use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// What counts against a quota.
    pub reserved: Reserved,
    /// How many there are of each.
    pub states: HashMap<Stance, u64>,
}

impl Used {
    /// Counts a sandbox.
    pub fn add(&mut self, sandbox: &Sandbox) {
        self.reserved += Reserved::of(sandbox);
        *self.states.entry(Stance::of(sandbox)).or_default() += 1;
    }
}

/// What is used, and what may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// By the organization.
    pub organization: Used,
    /// By sandboxes that the key made.
    pub key: Used,
    /// By value of the label; sandboxes without it are under `None`.
    pub by_label: BTreeMap<Option<String>, Used>,
    /// What the organization may have.
    pub organization_quota: Quota,
    /// What the key may have.
    pub key_quota: Quota,
    /// How many sandboxes the organization asked for within the last minute.
    pub organization_creates: u32,
    /// How many the key did.
    pub key_creates: u32,
}

impl UsageReport {
    /// Counts a sandbox of the organization.
    pub fn add(&mut self, sandbox: &Sandbox, query: &UsageQuery) {
        self.organization.add(sandbox);
        if sandbox.created_by == Some(query.key) {
            self.key.add(sandbox);
        }
        if let Some(label) = &query.label {
            let value = sandbox.config.labels.as_map().get(label).cloned();
            self.by_label.entry(value).or_default().add(sandbox);
        }
    }
}
