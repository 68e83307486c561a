//! A sandbox as clients see it.

use sandgate_core::{Desired, Observed, ProviderKind, SandboxConfig, Stance, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Who runs the commands where the provider did not say.
const DEFAULT_USER: &str = "daytona";
/// The one region that a server has.
const TARGET: &str = "local";
/// What the default image is called.
const DEFAULT_SNAPSHOT: &str = "default";

/// A sandbox. Numbers are whole: clients of some versions refuse others.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, clippy::struct_field_names, reason = "the names are Daytona's")]
pub(crate) struct Sandbox {
    /// A UUID.
    id: String,
    /// Whose it is.
    organization_id: String,
    /// What people call it; its id where nobody named it.
    name: String,
    /// The snapshot it started from.
    snapshot: String,
    /// Who runs its commands.
    user: String,
    /// Variables that every command sees.
    env: BTreeMap<String, String>,
    /// Marks by which it is found again.
    labels: BTreeMap<String, String>,
    /// Whether its previews need no key.
    public: bool,
    /// Whether it reaches nothing.
    network_block_all: bool,
    /// Whether it is a virtual machine with nested virtualization; never.
    kvm: bool,
    /// The region.
    target: String,
    /// Cores.
    cpu: u32,
    /// GPUs.
    gpu: u32,
    /// Memory in GiB.
    memory: u32,
    /// Disk in GiB.
    disk: u32,
    /// What it is doing.
    #[schema(example = "started")]
    state: &'static str,
    /// What was asked for last.
    #[schema(example = "started")]
    desired_state: &'static str,
    /// Why it failed, or stopped without being asked to.
    error_reason: Option<String>,
    /// Whether `recover` may help.
    recoverable: bool,
    /// Minutes without use until it is stopped; 0 means never.
    auto_stop_interval: u32,
    /// Minutes after the stop until it is archived.
    auto_archive_interval: u32,
    /// Minutes after the stop until it is deleted; negative means never.
    auto_delete_interval: i64,
    /// When it is deleted whatever it is doing, RFC 3339; absent where it never is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    auto_destroy_at: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
    /// RFC 3339.
    last_activity_at: String,
    /// What kind of sandbox it is.
    sandbox_class: &'static str,
    /// Directories shared with other sandboxes.
    volumes: Vec<String>,
    /// The base address of its toolbox; its id and the toolbox's path follow.
    toolbox_proxy_url: String,
    /// Ours: the limits that this server cannot hold it to, of `memory`, `cpu`, `pids` and `disk`; absent if there is
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    unenforced_limits: Vec<&'static str>,
}

/// How this server presents sandboxes.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The base address of all toolboxes.
    pub(crate) toolbox_url: String,
    /// The limits that no sandbox here is held to.
    pub(crate) unenforced_limits: Vec<&'static str>,
}

impl View {
    /// The JSON of a sandbox.
    pub(crate) fn sandbox(&self, sandbox: sandgate_core::Sandbox) -> Sandbox {
        let state = state(Stance::of(&sandbox));
        let SandboxConfig { snapshot, user, env, labels, resources, intervals, network } = sandbox.config;
        Sandbox {
            id: sandbox.id.to_string(),
            organization_id: sandbox.organization.to_string(),
            name: sandbox.name.to_string(),
            snapshot: snapshot.map_or_else(|| DEFAULT_SNAPSHOT.to_owned(), |name| name.to_string()),
            user: user.map_or_else(|| DEFAULT_USER.to_owned(), |name| name.to_string()),
            env: env.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
            labels: labels.as_map().clone(),
            public: false,
            network_block_all: network == sandgate_core::Network::None,
            kvm: false,
            target: TARGET.to_owned(),
            cpu: resources.cpu,
            gpu: 0,
            memory: resources.memory_gib,
            disk: resources.disk_gib,
            state,
            desired_state: desired_state(sandbox.desired),
            error_reason: sandbox.cause,
            recoverable: false,
            auto_stop_interval: intervals.auto_stop,
            auto_archive_interval: intervals.auto_archive,
            auto_delete_interval: intervals.auto_delete.map_or(-1, i64::from),
            auto_destroy_at: sandbox.destroy_at.map(rfc3339),
            created_at: rfc3339(sandbox.created_at),
            updated_at: rfc3339(sandbox.updated_at),
            last_activity_at: rfc3339(sandbox.last_activity_at),
            sandbox_class: class(sandbox.provider),
            volumes: Vec::new(),
            toolbox_proxy_url: self.toolbox_url.clone(),
            unenforced_limits: self.unenforced_limits.clone(),
        }
    }
}

/// All of Daytona's words for states.
pub(super) const STATES: [&str; 22] = [
    "creating",
    "restoring",
    "destroyed",
    "destroying",
    "started",
    "stopped",
    "starting",
    "stopping",
    "error",
    "build_failed",
    "pending_build",
    "building_snapshot",
    "unknown",
    "pulling_snapshot",
    "archived",
    "archiving",
    "resizing",
    "snapshotting",
    "forking",
    "pausing",
    "paused",
    "resuming",
];

/// Daytona's word for how a sandbox stands.
pub(super) const fn state(Stance { desired, observed, parked }: Stance) -> &'static str {
    match (desired, observed) {
        // Where nobody is at work on it any more, that is not a state in between.
        _ if parked => "error",
        (Desired::Deleted, Observed::Absent) => "destroyed",
        (Desired::Deleted, _) => "destroying",
        (_, Observed::Failed | Observed::Absent) => "error",
        (_, Observed::Pending) => "creating",
        (Desired::Started, Observed::Started) => "started",
        (Desired::Started, Observed::Stopped) => "starting",
        (Desired::Stopped, Observed::Started) => "stopping",
        (Desired::Stopped, Observed::Stopped) => "stopped",
    }
}

/// Every stance that [`state`] gives that word for.
pub(super) fn stances(word: &str) -> Vec<Stance> {
    Stance::all().filter(|stance| state(*stance) == word).collect()
}

const fn desired_state(desired: Desired) -> &'static str {
    match desired {
        Desired::Started => "started",
        Desired::Stopped => "stopped",
        Desired::Deleted => "destroyed",
    }
}

const fn class(provider: ProviderKind) -> &'static str {
    match provider {
        ProviderKind::Container => "container",
    }
}

/// A moment as clients read it.
pub(super) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The labels of a sandbox, to be replaced as a whole.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SandboxLabels {
    /// By key.
    pub(crate) labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each stance has one word, and each word that is given is one that Daytona knows.
    #[test]
    fn words_and_stances_belong_together() {
        let words =
            ["creating", "started", "starting", "stopping", "stopped", "destroying", "destroyed", "error"];
        let all: Vec<_> = words.iter().flat_map(|word| stances(word)).collect();
        assert_eq!(all.len(), 30, "every stance stands under exactly one of the words");
        for word in words {
            assert!(!stances(word).is_empty(), "{word}");
        }
        assert!(stances("archived").is_empty());
    }
}
