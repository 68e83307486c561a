//! Process 1 of a sandbox as its parent, or a later spawner, holds it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::Exit;

/// A running or ended process 1.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pidfd: OwnedFd,
    /// Only a parent learns how a process ended.
    is_child: bool,
}

impl Process {
    /// A process that we have made.
    pub(crate) fn child(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, is_child: true }
    }

    /// A process that an earlier spawner has made.
    pub(crate) fn adopted(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, is_child: false }
    }

    /// A process that this same process has held before it became another program.
    pub(crate) fn kept(pid: Pid, pidfd: OwnedFd, is_child: bool) -> Self {
        Self { pid, pidfd, is_child }
    }

    /// Whether we are its parent, who alone learns how it ended.
    pub(crate) fn is_child(&self) -> bool {
        self.is_child
    }

    /// Whether a signal has stopped it, or let it go on, since this was asked last; `None` if neither. Always `None` for
    /// one that is not our child.
    pub(crate) fn was_suspended(&self) -> Option<bool> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), options).ok().flatten()?;
        Some(status.stopped())
    }

    /// Readable once the process has ended.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Asks the kernel to end it, and with it everything in its process namespace.
    pub(crate) fn kill(&self) {
        // It fails if the process has ended already, which is what was wanted.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// How it ended, if it has; takes it out of the process table.
    pub(crate) fn reap(&self) -> Option<Exit> {
        let mut ready = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut ready, Some(&now)) {
            // Nothing to collect yet, though it has ended: a debugger has to hear of it first.
            Ok(1) => self.collect(WaitIdOptions::EXITED | WaitIdOptions::NOHANG),
            _ => None,
        }
    }

    /// Kills it and waits until it is gone. Short: the kernel needs no cooperation for it.
    pub(crate) fn end(&self) -> Exit {
        self.kill();
        self.collect(WaitIdOptions::EXITED).unwrap_or(Exit::Unknown)
    }

    fn collect(&self, options: WaitIdOptions) -> Option<Exit> {
        if !self.is_child {
            return Some(Exit::Unknown);
        }
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Err(Errno::INTR) => {}
                Err(_) => return Some(Exit::Unknown),
                Ok(status) => break status?,
            }
        };
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        })
    }
}
