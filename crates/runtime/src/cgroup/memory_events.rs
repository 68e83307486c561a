//! Word of processes that the kernel kills because a sandbox has used up its memory.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::event::epoll::EventFlags;
use rustix::event::{EventfdFlags, eventfd};

/// Tells of kills in one sandbox.
pub(crate) enum MemoryEvents {
    /// Version 2: the file itself becomes urgent when one of its numbers has changed.
    Urgent { events: File },
    /// Version 1: the kernel writes to an eventfd that was given to it.
    Counted { signal: OwnedFd, control: PathBuf },
}

impl MemoryEvents {
    /// Begins to watch a cgroup of version 2.
    pub(super) fn unified(directory: &Path) -> io::Result<Self> {
        Ok(Self::Urgent { events: File::open(directory.join("memory.events"))? })
    }

    /// Begins to watch a memory cgroup of version 1.
    pub(super) fn own(directory: &Path) -> io::Result<Self> {
        let control = directory.join("memory.oom_control");
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let watched = File::open(&control)?;
        let order = format!("{} {}", signal.as_raw_fd(), watched.as_raw_fd());
        fs::write(directory.join("cgroup.event_control"), order)?;
        Ok(Self::Counted { signal, control })
    }

    /// What [`EventFlags`] of its handle mean that there is news.
    pub(crate) fn flags(&self) -> EventFlags {
        match self {
            Self::Urgent { .. } => EventFlags::PRI,
            Self::Counted { .. } => EventFlags::IN,
        }
    }

    /// How many processes have been killed so far. Until there is news again, the handle is quiet.
    pub(crate) fn kills(&self) -> u64 {
        match self {
            Self::Urgent { events } => {
                let mut text = [0; 512];
                let length = events.read_at(&mut text, 0).unwrap_or(0);
                parse(&String::from_utf8_lossy(&text[..length]))
            }
            Self::Counted { signal, control } => {
                // It may have nothing to say: then this fails, and the number is the one before.
                let _ = rustix::io::read(signal, &mut [0; 8]);
                parse(&fs::read_to_string(control).unwrap_or_default())
            }
        }
    }
}

impl AsFd for MemoryEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Urgent { events } => events.as_fd(),
            Self::Counted { signal, .. } => signal.as_fd(),
        }
    }
}

fn parse(text: &str) -> u64 {
    let number = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_versions_count_kills_by_the_same_word() {
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), 3);
        assert_eq!(parse("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n"), 1);
        assert_eq!(parse(""), 0);
    }
}
