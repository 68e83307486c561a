//! What is asked for, checked.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use sandgate_toolbox_api::{ExecuteRequest, Program, StreamRequest};

use crate::{error::Fault, settings::Settings};

/// A command that can be tried.
pub(super) struct Order {
    pub(super) program: Program,
    pub(super) cwd: PathBuf,
    pub(super) envs: BTreeMap<String, String>,
    pub(super) timeout: Option<Duration>,
}

impl Order {
    pub(super) fn parse(request: ExecuteRequest, settings: &Settings) -> Result<Self, Fault> {
        let ExecuteRequest { command, cwd, envs, timeout } = request;
        Self::of_stream(StreamRequest { command: Some(command), argv: None, cwd, envs, timeout }, settings)
    }

    pub(super) fn of_stream(request: StreamRequest, settings: &Settings) -> Result<Self, Fault> {
        let program = Program::parse(request.command, request.argv)
            .map_err(|error| Fault::bad_request(error.to_string()))?;
        let envs = request.envs.unwrap_or_default();
        check_variables(&envs)?;
        let work_dir = &settings.work_dir;
        let cwd = match request.cwd.as_deref() {
            None | Some("") => work_dir.clone(),
            Some(cwd) => work_dir.join(cwd),
        };
        Ok(Self { program, cwd, envs, timeout: duration(request.timeout.unwrap_or(0))? })
    }
}

fn check_variables(envs: &BTreeMap<String, String>) -> Result<(), Fault> {
    for (key, value) in envs {
        if !is_variable_name(key) {
            let text =
                format!("invalid environment variable name {key:?}: it must match ^[A-Za-z_][A-Za-z0-9_]*$");
            return Err(Fault::bad_request(text));
        }
        if value.contains('\0') {
            return Err(Fault::bad_request(format!(
                "the value of environment variable {key} contains a NUL byte"
            )));
        }
    }
    Ok(())
}

fn is_variable_name(key: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    match key.as_bytes() {
        [first, rest @ ..] => {
            is_letter(*first) && rest.iter().all(|byte| is_letter(*byte) || byte.is_ascii_digit())
        }
        [] => false,
    }
}

fn duration(seconds: i64) -> Result<Option<Duration>, Fault> {
    let seconds = u64::try_from(seconds).map_err(|_| Fault::bad_request("timeout must not be negative"))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables() {
        for good in ["A", "_", "a1", "_9", "PATH", "lower_Case"] {
            assert!(is_variable_name(good), "{good}");
        }
        for bad in ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "BASH_FUNC_x%%", "A\0"] {
            assert!(!is_variable_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_timeout_is_none_and_a_negative_one_is_refused() {
        assert_eq!(duration(0).expect("none"), None);
        assert_eq!(duration(3).expect("some"), Some(Duration::from_secs(3)));
        assert!(duration(-1).is_err());
        assert!(duration(i64::MAX).expect("for ever").is_some());
    }
}
