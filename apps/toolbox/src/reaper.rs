//! The one place that waits for children: shells started here, and orphans that fall to pid 1.
//!
//! A shell that has ended is only *looked at* (`WNOWAIT`) and stays a zombie until its [`Leader`] is dropped. As long
//! as it is there the kernel gives its number to nobody else, so that killing the process group of that number,
//! when the time of a command is over but its background children live on, can never hit strangers. Orphans are
//! reaped at once. Everything runs on one thread and nothing is awaited between a spawn and [`Reaper::adopt`], so
//! that no child can be taken for an orphan.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{
    Pid, Signal as Kill, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, kill_process_group, waitid,
    waitpid,
};
use tokio::{signal::unix::Signal, sync::oneshot};

use crate::processes;

/// How a shell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody can tell any more.
    Unknown,
}

impl Ending {
    /// The exit code; -1 if there is none.
    pub(crate) fn code_or_none(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) | Self::Unknown => -1,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Reaper {
    /// The shells of commands, each with whoever waits for its end until that is told.
    leaders: Mutex<HashMap<Pid, Option<oneshot::Sender<Ending>>>>,
}

/// A shell that was started here, and the leader of its process group. Its number stays its own until this is dropped.
pub(crate) struct Leader {
    pub(crate) pid: Pid,
    exit: Option<oneshot::Receiver<Ending>>,
    reaper: Arc<Reaper>,
}

impl Reaper {
    /// Takes charge of a child that was spawned just now.
    pub(crate) fn adopt(self: &Arc<Self>, pid: Pid) -> Leader {
        let (sender, exit) = oneshot::channel();
        self.leaders().insert(pid, Some(sender));
        Leader { pid, exit: Some(exit), reaper: Arc::clone(self) }
    }

    /// Looks after children whenever one has changed.
    pub(crate) async fn run(self: Arc<Self>, mut children_changed: Signal) {
        while children_changed.recv().await.is_some() {
            self.tell_leaders();
            self.reap_orphans();
        }
    }

    /// Kills every process group that is still led from here.
    pub(crate) fn kill_all(&self) {
        for pid in self.leaders().keys() {
            let _ = kill_process_group(*pid, Kill::KILL);
        }
    }

    fn tell_leaders(&self) {
        for (pid, waiter) in self.leaders().iter_mut().filter(|(_, waiter)| waiter.is_some()) {
            if let Some(ending) = look_at(*pid) {
                // Nobody listens when the command was given up meanwhile.
                let _ = waiter.take().map(|waiter| waiter.send(ending));
            }
        }
    }

    /// Reaps those who have ended.
    pub(crate) fn reap_orphans(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if !matches!(waitid(WaitId::All, options), Ok(Some(_))) {
            return;
        }
        let leaders = self.leaders();
        for orphan in processes::children().into_iter().filter(|pid| !leaders.contains_key(pid)) {
            let _ = waitpid(Some(orphan), WaitOptions::NOHANG);
        }
    }

    fn leaders(&self) -> MutexGuard<'_, HashMap<Pid, Option<oneshot::Sender<Ending>>>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader {
    /// Waits until the shell has ended.
    pub(crate) async fn exit(&mut self) -> Ending {
        match self.exit.take() {
            Some(exit) => exit.await.unwrap_or(Ending::Unknown),
            None => Ending::Unknown,
        }
    }
}

impl Drop for Leader {
    /// From here on it counts as an orphan; if it has ended already no further signal would tell of it.
    fn drop(&mut self) {
        self.reaper.leaders().remove(&self.pid);
        let _ = waitpid(Some(self.pid), WaitOptions::NOHANG);
    }
}

/// How a child ended, which remains to be reaped; `None` while it runs.
fn look_at(pid: Pid) -> Option<Ending> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), options) {
        Ok(status) => status.map(|status| ending(&status)),
        // Not our child any more: nothing will ever be heard of it.
        Err(_) => Some(Ending::Unknown),
    }
}

fn ending(status: &WaitIdStatus) -> Ending {
    let by_itself = status.exit_status().map(Ending::Code);
    by_itself.or_else(|| status.terminating_signal().map(Ending::Signal)).unwrap_or(Ending::Unknown)
}
