//! What a provider is asked to do, and how often it was.

use sandgate_core::Attempt;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Make a sandbox.
    Create,
    /// Start one that is stopped.
    Start,
    /// Stop one.
    Stop,
    /// End one.
    Delete,
    /// Run a command in one.
    Execute,
    /// Tell how one is.
    Status,
    /// Tell how one is, and why.
    Examine,
    /// Tell the way into one.
    Enter,
    /// Tell of all.
    List,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::Create,
        Self::Start,
        Self::Stop,
        Self::Delete,
        Self::Execute,
        Self::Status,
        Self::Examine,
        Self::Enter,
        Self::List,
    ];

    /// The word for it, in a model and in errors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Delete => "delete",
            Self::Execute => "execute",
            Self::Status => "status",
            Self::Examine => "examine",
            Self::Enter => "enter",
            Self::List => "list",
        }
    }

    /// Whether a call may hang until it is released.
    pub(super) const fn may_be_stuck(self) -> bool {
        matches!(self, Self::Create | Self::Stop)
    }

    /// The operation of that word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == word)
    }
}

/// How often what was asked about whose sandbox; a list is asked about nobody's.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    times: HashMap<Option<Attempt>, [u64; Operation::ALL.len()]>,
    gone: VecDeque<Attempt>,
}

/// So many sandboxes that are gone are remembered. Whoever deletes one again must not meet the same fate each time.
const REMEMBERED: usize = 4096;

impl Asked {
    /// Counts one more, and tells the number of it: 1 for the first.
    pub(super) fn count(&self, operation: Operation, about: Option<Attempt>) -> u64 {
        let mut counts = self.counts();
        let times = &mut counts.times.entry(about).or_default()[operation as usize];
        *times += 1;
        *times
    }

    /// Begins anew some time for a sandbox that is gone, so that a server which runs for days does not grow.
    pub(super) fn forget(&self, gone: Attempt) {
        let mut counts = self.counts();
        counts.gone.push_back(gone);
        if counts.gone.len() > REMEMBERED
            && let Some(oldest) = counts.gone.pop_front()
        {
            counts.times.remove(&Some(oldest));
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
