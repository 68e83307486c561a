//! What can go wrong, by meaning. The same values cross the socket between client and spawner.

use std::io;

use serde::{Deserialize, Serialize};

/// Why a call on the runtime failed. Whatever a failed call had made is released again before it returns.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum RuntimeError {
    /// The host lacks something that the runtime does not do without.
    #[error("this host cannot provide {what}: {why}")]
    Unsupported {
        /// What is missing, e.g. `memory limits`.
        what: String,
        /// What was looked for, and what the operator can do.
        why: String,
    },
    /// The specification (or a name, a handle, an option) is not acceptable; nothing was done.
    #[error("the container specification is invalid: {0}")]
    InvalidSpec(String),
    /// The root filesystem contains something that would redirect a mount (a symlink or a file at a mount point).
    #[error("the root filesystem cannot be used: {0}")]
    BadRootfs(String),
    /// The operating system refused a step; the cause is the source.
    #[error("cannot {step}")]
    Io {
        /// The step, as a clause after "cannot", e.g. `mount the sandbox's disk`.
        step: String,
        /// What the kernel answered.
        #[source]
        #[serde(with = "io_error")]
        source: io::Error,
    },
    /// The new process died before it reached the toolbox, e.g. killed for lack of memory.
    #[error("the sandbox's first process died during its setup: {0}")]
    DiedInSetup(String),
    /// The spawner answered, but will not do this, e.g. because it speaks another version.
    #[error("the spawner refused: {0}")]
    Refused(String),
    /// No answer came, even from a restarted spawner: the call may have been carried out. All calls may be repeated.
    #[error("the spawner went away during the call; repeat it")]
    SpawnerLost,
}

impl RuntimeError {
    /// An [`RuntimeError::Io`] for use with `map_err`: the clause names the step that was tried.
    pub(crate) fn io<E: Into<io::Error>>(step: impl Into<String>) -> impl FnOnce(E) -> Self {
        let step = step.into();
        move |source| Self::Io { step, source: source.into() }
    }
}

/// An `io::Error` as its number where it has one, else as its text.
mod io_error {
    use std::io;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Wire {
        Number(i32),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(error: &io::Error, to: S) -> Result<S::Ok, S::Error> {
        error.raw_os_error().map_or_else(|| Wire::Text(error.to_string()), Wire::Number).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<io::Error, D::Error> {
        Ok(match Wire::deserialize(from)? {
            Wire::Number(number) => io::Error::from_raw_os_error(number),
            Wire::Text(text) => io::Error::other(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_error_keeps_its_cause_on_the_wire() {
        let error = RuntimeError::io("open the disk")(io::Error::from_raw_os_error(libc::ENOSPC));
        let json = serde_json::to_string(&error).expect("serializable");
        let back: RuntimeError = serde_json::from_str(&json).expect("readable");
        assert_eq!(back.to_string(), "cannot open the disk");
        let cause = back.source().and_then(|cause| cause.downcast_ref::<io::Error>()).expect("a cause");
        assert_eq!(cause.raw_os_error(), Some(libc::ENOSPC));
    }
}
