//! One command in a sandbox of its own: what is asked for, and the lines of the answer.

use super::create::filled;
use crate::error::ApiError;
use sandgate_core::{
    Intervals, InvalidConfig, Labels, Network, NewSandbox, ResourceLimits, SandboxConfig, SnapshotName,
    UserName,
};
use sandgate_shared::ErrorCode;
use sandgate_toolbox_api::{Program, StreamEvent, StreamRequest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The label that marks sandboxes made for one command. Its value is `true`.
const MARK: &str = "sandgate.run";
/// Minutes. While the command runs its sandbox is in use; one whose server was killed is deleted after so long.
const ABANDONED_AFTER: u32 = 5;

/// A command and the sandbox that it needs. Exactly one of `command` and `argv` is there; everything else may be absent
/// or null. Unknown fields are ignored, as in a create.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunCommand {
    /// Text for the shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// A program and its arguments, which no shell reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) argv: Option<Vec<String>>,
    /// Where to run it; relative to the work directory, which is also the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cwd: Option<String>,
    /// Seconds until the command is killed; 0 means never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<i64>,
    /// Variables that it sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) env: Option<BTreeMap<String, String>>,
    /// The snapshot to start from; the host's own programs otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<String>,
    /// Who runs it; the snapshot's own user otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Marks of the sandbox, beside `sandgate.run`, which every one of this kind has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    /// Cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu: Option<i64>,
    /// Memory in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<i64>,
    /// Disk in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<i64>,
}

/// What is to be made and what is to be run in it, checked.
#[derive(Debug)]
pub(crate) struct RunOrder {
    /// The sandbox.
    pub(crate) sandbox: NewSandbox,
    /// The command.
    pub(crate) command: StreamRequest,
}

impl RunCommand {
    /// Checks everything before anything is made.
    pub(crate) fn parse(self, limits: &ResourceLimits) -> Result<RunOrder, ApiError> {
        let bad = |text: String| ApiError::new(ErrorCode::BadRequest, text);
        Program::parse(self.command.clone(), self.argv.clone()).map_err(|error| bad(error.to_string()))?;
        if self.timeout.is_some_and(|seconds| seconds < 0) {
            return Err(bad("timeout must not be negative: seconds are wanted, 0 means never".to_owned()));
        }
        let RunCommand { command, argv, cwd, timeout, .. } = self;
        let config = SandboxConfig {
            snapshot: filled(self.snapshot).map(SnapshotName::parse).transpose()?,
            user: filled(self.user).map(UserName::parse).transpose()?,
            env: SandboxConfig::parse_env(self.env.unwrap_or_default())?,
            labels: marked(self.labels.unwrap_or_default())?,
            resources: limits.admit(self.cpu, self.memory, self.disk)?,
            intervals: Intervals { auto_stop: ABANDONED_AFTER, auto_delete: Some(0), ..Intervals::default() },
            network: Network::None,
        };
        Ok(RunOrder {
            sandbox: NewSandbox { name: None, config, idempotency: None },
            command: StreamRequest { command, argv, cwd, timeout, envs: None },
        })
    }
}

fn marked(mut labels: BTreeMap<String, String>) -> Result<Labels, InvalidConfig> {
    labels.insert(MARK.to_owned(), "true".to_owned());
    Labels::parse(labels)
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RunEvent {
    /// The first line: where the command runs.
    Sandbox(RunSandbox),
    /// All others.
    #[serde(untagged)]
    Command(StreamEvent),
}

/// The sandbox of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunSandbox {
    /// A UUID.
    pub(crate) id: String,
}

impl RunEvent {
    /// The line, with its end.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("texts and numbers are JSON");
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandgate_toolbox_api::Exit;
    use serde_json::json;

    fn parse(body: serde_json::Value) -> Result<RunOrder, ApiError> {
        serde_json::from_value::<RunCommand>(body).expect("a body").parse(&ResourceLimits::default())
    }

    #[test]
    fn its_sandbox_is_marked_and_ephemeral() {
        let order =
            parse(json!({ "command": "true", "labels": { "a": "b" }, "name": null })).expect("accepted");
        let config = order.sandbox.config;
        assert!(config.intervals.is_ephemeral() && config.intervals.auto_stop > 0);
        assert_eq!(config.labels.as_map()[MARK], "true");
        assert_eq!(config.labels.as_map()["a"], "b");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for body in [
            json!({}),
            json!({ "command": "true", "argv": ["true"] }),
            json!({ "argv": [] }),
            json!({ "command": "true", "timeout": -1 }),
            json!({ "command": "true", "cpu": 1000 }),
        ] {
            assert!(parse(body.clone()).is_err(), "{body}");
        }
    }

    #[test]
    fn lines_are_told_apart() {
        for (event, text) in [
            (RunEvent::Sandbox(RunSandbox { id: "x".to_owned() }), "{\"sandbox\":{\"id\":\"x\"}}\n"),
            (RunEvent::Command(StreamEvent::Stdout("a".to_owned())), "{\"stdout\":\"a\"}\n"),
            (RunEvent::Command(StreamEvent::Exit(Exit::Code(3))), "{\"exit\":{\"code\":3}}\n"),
        ] {
            assert_eq!(event.to_line(), text.as_bytes());
            assert_eq!(serde_json::from_str::<RunEvent>(text).expect("its own line"), event);
        }
    }
}
