//! The quotas of the file: for everybody, and by id in place of that.

use anyhow::Context;
use sandgate_core::{Quota, Quotas};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

/// `[quota]`, for each organization, with what stands below it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TomlQuotas {
    sandboxes: Option<u64>,
    cpu: Option<u64>,
    memory: Option<u64>,
    disk: Option<u64>,
    creates_per_minute: Option<u32>,
    #[serde(default)]
    key: TomlQuota,
    #[serde(default)]
    organizations: BTreeMap<String, TomlQuota>,
    #[serde(default)]
    keys: BTreeMap<String, TomlQuota>,
}

/// One quota; what is absent has no limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlQuota {
    sandboxes: Option<u64>,
    cpu: Option<u64>,
    memory: Option<u64>,
    disk: Option<u64>,
    creates_per_minute: Option<u32>,
}

impl TomlQuotas {
    /// Reads the ids.
    pub(super) fn parse(self) -> anyhow::Result<Quotas> {
        let Self { sandboxes, cpu, memory, disk, creates_per_minute, .. } = self;
        let organization = TomlQuota { sandboxes, cpu, memory, disk, creates_per_minute };
        Ok(Quotas {
            organization: organization.into(),
            key: self.key.into(),
            organizations: by_id(self.organizations).context("quota.organizations")?,
            keys: by_id(self.keys).context("quota.keys")?,
        })
    }
}

impl From<TomlQuota> for Quota {
    fn from(toml: TomlQuota) -> Self {
        Self {
            sandboxes: toml.sandboxes,
            cpu: toml.cpu,
            memory_gib: toml.memory,
            disk_gib: toml.disk,
            creates_per_minute: toml.creates_per_minute,
        }
    }
}

fn by_id<I>(toml: BTreeMap<String, TomlQuota>) -> anyhow::Result<BTreeMap<I, Quota>>
where
    I: FromStr<Err: Error + Send + Sync + 'static> + Ord,
{
    let read = |(id, quota): (String, TomlQuota)| {
        let id = id.parse().with_context(|| format!("{id:?} is not an id: `GET /v1/usage` tells them"))?;
        Ok((id, quota.into()))
    };
    toml.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

    fn parse(text: &str) -> anyhow::Result<Quotas> {
        toml::from_str::<TomlQuotas>(text)?.parse()
    }

    #[test]
    fn without_a_word_there_is_no_limit() {
        assert_eq!(parse("").expect("nothing"), Quotas::default());
    }

    #[test]
    fn a_quota_is_given_for_everybody_and_by_id() {
        let text = format!(
            "cpu = 10\ncreates_per_minute = 300\n[key]\nsandboxes = 2\n[organizations.{ID:?}]\ndisk = 7\n[keys.{ID:?}]\nmemory = 0\n"
        );
        let quotas = parse(&text).expect("quotas");
        assert_eq!((quotas.organization.cpu, quotas.organization.creates_per_minute), (Some(10), Some(300)));
        assert_eq!(quotas.key, Quota { sandboxes: Some(2), ..Quota::default() });
        let (organization, key) = (ID.parse().expect("an id"), ID.parse().expect("an id"));
        assert_eq!(quotas.of_organization(organization), Quota { disk_gib: Some(7), ..Quota::default() });
        assert_eq!(quotas.of_key(key), Quota { memory_gib: Some(0), ..Quota::default() });
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["cpus = 1", "cpu = -1", "[key]\nram = 1", "[keys.me]\ncpu = 1", "[organizations.\"\"]"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
