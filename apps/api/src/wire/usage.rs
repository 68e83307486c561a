//! What is used, as clients see it. Each thing that is used or limited is a field of an object, so that there can be more.

use super::sandbox::state;
use sandgate_core::{Quota, UsageQuery, UsageReport, Used};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// What may be asked about.
#[derive(Debug, IntoParams)]
#[expect(dead_code, reason = "describes the query, which is read as pairs")]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParameters {
    /// Tell the organization's use also by value of this label.
    label: Option<String>,
}

/// What the caller's organization and key use.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// The organization.
    organization: OwnerUsage,
    /// The key that asks: the sandboxes that were made by it.
    key: OwnerUsage,
    /// The organization's use by value of a label, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    by_label: Option<LabelUsage>,
}

/// What one of them uses, and may.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OwnerUsage {
    /// Its id, by which it can be given a quota of its own.
    id: String,
    /// What is used now.
    now: UsedNow,
    /// Sandboxes asked for within the last minute.
    creates_in_last_minute: u32,
    /// The most it may have.
    limits: UsageLimits,
}

/// What is used now. Stopped sandboxes use neither cores nor memory.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsedNow {
    /// All sandboxes that are not gone.
    sandboxes: u64,
    /// How many of them are in each state.
    sandboxes_by_state: BTreeMap<&'static str, u64>,
    /// Cores.
    cpu: u64,
    /// GiB.
    memory: u64,
    /// GiB.
    disk: u64,
}

/// The most there may be; null means no limit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageLimits {
    sandboxes: Option<u64>,
    /// Cores.
    cpu: Option<u64>,
    /// GiB.
    memory: Option<u64>,
    /// GiB.
    disk: Option<u64>,
    creates_per_minute: Option<u32>,
}

/// The use by value of a label.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LabelUsage {
    /// The label.
    label: String,
    /// Its values, in order; sandboxes without the label come first, under null.
    values: Vec<LabelValueUsage>,
}

/// The use of the sandboxes with one value of a label.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LabelValueUsage {
    /// The value.
    value: Option<String>,
    /// What is used now.
    now: UsedNow,
}

impl Usage {
    /// The JSON of `report`, which answers `query`.
    pub(crate) fn new(query: UsageQuery, report: UsageReport) -> Self {
        let by_label = query.label.map(|label| LabelUsage {
            label,
            values: report
                .by_label
                .into_iter()
                .map(|(value, used)| LabelValueUsage { value, now: used.into() })
                .collect(),
        });
        Self {
            organization: OwnerUsage {
                id: query.organization.to_string(),
                now: report.organization.into(),
                creates_in_last_minute: report.organization_creates,
                limits: report.organization_quota.into(),
            },
            key: OwnerUsage {
                id: query.key.to_string(),
                now: report.key.into(),
                creates_in_last_minute: report.key_creates,
                limits: report.key_quota.into(),
            },
            by_label,
        }
    }
}

impl From<Used> for UsedNow {
    fn from(Used { reserved, states }: Used) -> Self {
        let mut sandboxes_by_state = BTreeMap::new();
        for (stance, number) in states {
            *sandboxes_by_state.entry(state(stance)).or_default() += number;
        }
        Self {
            sandboxes: reserved.sandboxes,
            sandboxes_by_state,
            cpu: reserved.cpu,
            memory: reserved.memory_gib,
            disk: reserved.disk_gib,
        }
    }
}

impl From<Quota> for UsageLimits {
    fn from(quota: Quota) -> Self {
        Self {
            sandboxes: quota.sandboxes,
            cpu: quota.cpu,
            memory: quota.memory_gib,
            disk: quota.disk_gib,
            creates_per_minute: quota.creates_per_minute,
        }
    }
}
