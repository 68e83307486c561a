//! What the toolbox knows from its start: directories, limits, and the environment of commands.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use crate::accounts::Accounts;

/// Variables that are meant for the toolbox and that no command sees.
const PRIVATE: [&str; 6] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "SANDGATE_PIDS_LIMIT",
    "SANDGATE_MEMORY_LIMIT",
    "SANDGATE_CPU_MILLIS",
];

/// Fixed from the start on.
pub(crate) struct Settings {
    /// Where relative paths and commands begin.
    pub(crate) work_dir: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) limits: Limits,
    /// The environment that commands start with.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// `$SHELL` as it was given.
    pub(crate) shell: Option<OsString>,
}

/// What the sandbox may use, where its maker said so.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) pids: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub(crate) cpu_millis: Option<u64>,
}

impl Settings {
    pub(crate) fn from_environment() -> io::Result<Self> {
        Ok(Self {
            work_dir: env::current_dir()?,
            home: home(),
            limits: Limits {
                pids: number("SANDGATE_PIDS_LIMIT"),
                memory_bytes: number("SANDGATE_MEMORY_LIMIT"),
                cpu_millis: number("SANDGATE_CPU_MILLIS"),
            },
            environment: env::vars_os()
                .filter(|(key, _)| !PRIVATE.iter().any(|private| key == private))
                .collect(),
            shell: env::var_os("SHELL").filter(|shell| !shell.is_empty()),
        })
    }
}

fn home() -> PathBuf {
    let own = rustix::process::getuid().as_raw();
    env::var_os("HOME")
        .filter(|home| Path::new(home).is_absolute())
        .map(PathBuf::from)
        .or_else(|| Accounts::read().home_of(own))
        .unwrap_or_else(|| PathBuf::from("/"))
}

fn number(key: &str) -> Option<u64> {
    env::var(key).ok()?.parse().ok().filter(|number| *number > 0)
}
