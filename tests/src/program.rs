//! The binary as a person starts it, with a folder of its own for what is temporary. When that is dropped, the test fails
//! if anything is left behind.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::leaks::LeakGuard;
use crate::process;
use crate::wait::wait_until;

/// Where programs of one test are started.
pub struct Program {
    folder: TempDir,
}

impl Program {
    /// A new folder.
    #[expect(clippy::new_without_default, reason = "a folder is made, and looked at in the end")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("sandgate-test-").tempdir();
        Self { folder: folder.expect("a temporary folder") }
    }

    /// `sandgate` with these arguments. Nothing of our environment reaches it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(process::binary());
        command.args(args).env_clear().env("PATH", process::PATH).env("TMPDIR", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn check(&self) {
        let folder = self.folder.path();
        let files: Vec<_> =
            std::fs::read_dir(folder).expect("our folder").flatten().map(|e| e.path()).collect();
        assert_eq!(files, Vec::<&Path>::new(), "left behind");
        let guards = LeakGuard::of_programs(folder);
        let mut left = Vec::new();
        let clean = wait_until(|| {
            left = guards.iter().flat_map(LeakGuard::of_server).collect::<Vec<_>>();
            left.is_empty()
        });
        assert!(clean, "left behind:\n  {}", left.join("\n  "));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
        }
    }
}
