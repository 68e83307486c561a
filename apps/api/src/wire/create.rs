//! What a client asks for when it creates a sandbox.

use crate::error::ApiError;
use aws_lc_rs::digest;
use sandgate_core::{
    Intervals, Labels, Network, NewSandbox, ResourceLimits, SandboxConfig, SandboxName, SnapshotName,
    UserName,
};
use sandgate_shared::ErrorCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A request for a sandbox. Every field may be absent or null. Fields that Daytona's API does not have are ignored, as
/// Daytona ignores them; those that it has and we do not are refused where they ask for something.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateSandbox {
    /// What to call it; unique in the organization. Its id otherwise.
    name: Option<String>,
    /// The snapshot to start from; the host's own programs otherwise.
    snapshot: Option<String>,
    /// Who runs its commands; the snapshot's own user otherwise.
    user: Option<String>,
    /// Variables that every command sees.
    env: Option<BTreeMap<String, String>>,
    /// Marks by which it is found again.
    labels: Option<BTreeMap<String, String>>,
    /// Cores.
    cpu: Option<i64>,
    /// Memory in GiB.
    memory: Option<i64>,
    /// Disk in GiB.
    disk: Option<i64>,
    /// Minutes without use until it is stopped; 0 means never.
    auto_stop_interval: Option<i64>,
    /// Minutes after the stop until it is archived; 0 means as late as possible.
    auto_archive_interval: Option<i64>,
    /// Minutes after the stop until it is deleted; negative means never, 0 at once.
    auto_delete_interval: Option<i64>,
    /// Minutes after the create until it is deleted, whatever it is doing; 0 means never.
    ttl_minutes: Option<i64>,
    /// True, or absent: a sandbox reaches nothing.
    network_block_all: Option<bool>,
    #[serde(flatten, skip_serializing)]
    #[schema(ignore)]
    unserved: Unserved,
}

/// What Daytona's API has and this server does not, or not yet. Read so that it can be refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unserved {
    public: Option<bool>,
    gpu: Option<i64>,
    kvm: Option<bool>,
    auto_pause_interval: Option<i64>,
    network_allow_list: Option<String>,
    domain_allow_list: Option<String>,
    outbound_proxy_url: Option<String>,
    otel_endpoint_override: Option<String>,
    volumes: Option<Vec<serde_json::Value>>,
    secrets: Option<Vec<serde_json::Value>>,
    build_info: Option<serde_json::Value>,
    linked_sandbox: Option<String>,
}

impl CreateSandbox {
    /// The SHA-256 of what is asked for, the same for the same wishes in another order, and with or without nulls.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut wishes = serde_json::to_value(self).expect("texts and numbers are JSON");
        if let Some(wishes) = wishes.as_object_mut() {
            wishes.retain(|_, wish| !wish.is_null());
        }
        let digest = digest::digest(&digest::SHA256, wishes.to_string().as_bytes());
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Checks everything, and refuses what could not be kept.
    pub(crate) fn parse(self, limits: &ResourceLimits) -> Result<NewSandbox, ApiError> {
        self.unserved.refuse()?;
        if self.network_block_all == Some(false) {
            return Err(ApiError::not_supported(
                "networkBlockAll=false: a sandbox reaches nothing yet; a network",
            ));
        }
        let defaults = Intervals::default();
        let config = SandboxConfig {
            snapshot: filled(self.snapshot).map(SnapshotName::parse).transpose()?,
            user: filled(self.user).map(UserName::parse).transpose()?,
            env: SandboxConfig::parse_env(self.env.unwrap_or_default())?,
            labels: Labels::parse(self.labels.unwrap_or_default())?,
            resources: limits.admit(self.cpu, self.memory, self.disk)?,
            intervals: Intervals {
                auto_stop: self
                    .auto_stop_interval
                    .map_or(Ok(defaults.auto_stop), Intervals::parse_auto_stop)?,
                auto_archive: self
                    .auto_archive_interval
                    .map_or(Ok(defaults.auto_archive), Intervals::parse_auto_archive)?,
                auto_delete: self
                    .auto_delete_interval
                    .map_or(Ok(defaults.auto_delete), Intervals::parse_auto_delete)?,
                ttl: self.ttl_minutes.map_or(Ok(defaults.ttl), Intervals::parse_ttl)?,
            },
            network: Network::None,
        };
        let name = filled(self.name).map(SandboxName::parse).transpose()?;
        Ok(NewSandbox { name, config, idempotency: None })
    }
}

/// Some clients send an empty text for "nothing".
pub(super) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl Unserved {
    fn refuse(self) -> Result<(), ApiError> {
        if self.auto_pause_interval.is_some_and(|minutes| minutes != 0) {
            return Err(ApiError::new(ErrorCode::BadRequest, "Pausing is not supported for this sandbox"));
        }
        let asked = [
            ("public", self.public == Some(true)),
            ("gpu", self.gpu.is_some_and(|gpus| gpus != 0)),
            ("kvm", self.kvm == Some(true)),
            ("networkAllowList", filled(self.network_allow_list).is_some()),
            ("domainAllowList", filled(self.domain_allow_list).is_some()),
            ("outboundProxyUrl", filled(self.outbound_proxy_url).is_some()),
            ("otelEndpointOverride", filled(self.otel_endpoint_override).is_some()),
            ("volumes", self.volumes.is_some_and(|volumes| !volumes.is_empty())),
            ("secrets", self.secrets.is_some_and(|secrets| !secrets.is_empty())),
            ("buildInfo (building an image)", self.build_info.is_some()),
            ("linkedSandbox", filled(self.linked_sandbox).is_some()),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((field, _)) => Err(ApiError::not_supported(field)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: serde_json::Value) -> Result<NewSandbox, ApiError> {
        let request: CreateSandbox = serde_json::from_value(body).expect("a body");
        request.parse(&ResourceLimits::default())
    }

    #[test]
    fn what_an_sdk_sends_is_accepted() {
        let new = parse(
            json!({"env": {}, "labels": {"code-toolbox-language": "python"}, "volumes": [], "target": "us"}),
        );
        let new = new.expect("accepted");
        assert_eq!((new.name, new.config.resources.cpu, new.config.intervals.auto_stop), (None, 1, 15));
    }

    #[test]
    fn the_same_wishes_have_one_fingerprint_and_others_another() {
        let fingerprint =
            |text: &str| serde_json::from_str::<CreateSandbox>(text).expect("a body").fingerprint();
        let wishes = fingerprint(r#"{"cpu": 1, "env": {"A": "1", "B": "2"}, "labels": {}}"#);
        assert_eq!(
            wishes,
            fingerprint(r#"{"labels":{},"name":null,"env":{"B":"2","A":"1"},"cpu":1,"target":"us"}"#)
        );
        for other in [r#"{"cpu": 2}"#, r#"{"cpu": 1, "env": {"A": "2", "B": "1"}, "labels": {}}"#, "{}"] {
            assert_ne!(wishes, fingerprint(other), "{other}");
        }
    }

    #[test]
    fn nulls_are_absent() {
        parse(json!({"name": null, "snapshot": null, "env": null, "cpu": null, "buildInfo": null}))
            .expect("accepted");
    }

    #[test]
    fn what_could_not_be_kept_is_refused() {
        for body in [
            json!({"public": true}),
            json!({"volumes": [{"volumeId": "a", "mountPath": "/b"}]}),
            json!({"buildInfo": {"dockerfileContent": "FROM x"}}),
            json!({"networkBlockAll": false}),
            json!({"gpu": 1}),
        ] {
            let error = format!("{:?}", parse(body.clone()).expect_err("refused"));
            assert!(error.contains("not supported"), "{body}: {error}");
        }
    }
}
