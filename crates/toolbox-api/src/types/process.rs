//! Commands: `POST /process/execute`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One shell command to run to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteRequest {
    /// Text for the shell, of any length and any number of lines.
    pub command: String,
    /// Where to run it; relative to the work directory, which is also the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Variables added to the sandbox's own environment. Keys match `^[A-Za-z_][A-Za-z0-9_]*$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envs: Option<BTreeMap<String, String>>,
    /// Seconds until the command is killed; absent or 0 means never. Signed, so that a negative value is
    /// refused with a clear text and not as malformed JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

impl ExecuteRequest {
    /// `command` in the work directory, with the sandbox's environment and no timeout.
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), ..Self::default() }
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteResponse {
    /// The shell's exit code; -1 if it could not be started or was killed by a signal.
    #[serde(default)]
    pub exit_code: i32,
    /// Standard output and standard error in the order they were written; invalid UTF-8 appears as U+FFFD.
    pub result: String,
}
