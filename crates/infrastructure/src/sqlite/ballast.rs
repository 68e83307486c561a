//! A file that takes up room until the disk is full, when it makes way: on a full disk `SQLite` cannot even delete.

use super::files::Files;
use crate::disk::free_bytes;
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Enough for thousands of stops and deletes.
const SIZE: u64 = 8 << 20;
/// Room that there must be before it is made: it must not itself be what fills the disk.
const WANTED: u64 = 2 * SIZE;
/// How often it is tried to make it anew.
const PAUSE: Duration = Duration::from_secs(3);
const NAME: &str = "ballast";

/// The reserve of one ledger. While it is spent, what makes the ledger grow is refused.
pub(super) struct Ballast {
    dir: PathBuf,
    held: bool,
    /// When there was no room for it.
    looked_at: Option<Instant>,
}

impl Ballast {
    /// Looks for the reserve in `dir`, and makes it where it is missing and there is room.
    pub(super) fn new(dir: &Path) -> Self {
        let held = is_there(&dir.join(NAME));
        let mut ballast = Self { dir: dir.to_owned(), held, looked_at: None };
        ballast.make();
        ballast
    }

    /// Whether the ledger may grow.
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// Gives the room free. Returns whether there was any to give.
    pub(super) fn spend(&mut self) -> bool {
        self.looked_at = None;
        let spent = std::mem::take(&mut self.held) && std::fs::remove_file(self.dir.join(NAME)).is_ok();
        if spent {
            tracing::error!(dir = %self.dir.display(), "the disk is full: no sandbox is made until there is room");
        }
        spent
    }

    /// Takes the room back once there is enough of it; looks every few seconds at the most.
    pub(super) fn restore(&mut self) {
        if !self.held && self.looked_at.is_none_or(|looked_at| looked_at.elapsed() >= PAUSE) {
            self.looked_at = Some(Instant::now());
            self.make();
            if self.held {
                tracing::info!(dir = %self.dir.display(), "the disk has room again: sandboxes are made again");
            }
        }
    }

    fn make(&mut self) {
        let has_room = || free_bytes(&self.dir).is_ok_and(|free| free >= WANTED);
        // Not to have it is no failure yet: it is tried again.
        self.held = self.held || has_room() && Files { dir: &self.dir }.make(NAME, fill).is_ok();
    }
}

/// Whether the file is there with its blocks: a copy of it may be a hole.
fn is_there(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.len() >= SIZE && found.blocks() * 512 >= SIZE)
}

fn fill(path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE).is_ok() {
        return Ok(());
    }
    io::copy(&mut io::repeat(0x5a).take(SIZE), &mut file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_spent_once_and_comes_back_where_there_is_room() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut ballast = Ballast::new(dir.path());
        assert!(ballast.is_held() && is_there(&dir.path().join(NAME)));
        assert!(ballast.spend() && !ballast.spend());
        assert!(!ballast.is_held());
        ballast.restore();
        assert!(ballast.is_held() && is_there(&dir.path().join(NAME)));
    }

    #[test]
    fn a_hole_is_no_reserve() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let hole = File::create(dir.path().join(NAME)).expect("a file");
        hole.set_len(SIZE).expect("a hole");
        assert!(!is_there(&dir.path().join(NAME)));
        Ballast::new(dir.path());
        assert!(is_there(&dir.path().join(NAME)));
    }
}
