//! How many processors a command finds. It is started on as many as the sandbox's limit is worth, so that what asks the
//! scheduler (`nproc`, Python, Node, Go) makes that many threads and not one for each processor of the host.
//!
//! A default and no wall: the wall is the quota, and a command may take the others as well. A cpuset would be one more
//! cgroup to enter at each start, and processors given to a sandbox for its life would be idle while it is. So each
//! command gets the processor that the toolbox is on at the moment, where the scheduler has just put it, and the next.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use crate::settings::Limits;

/// The processors of the host, and how many of them a command may count on.
pub(crate) struct Processors {
    /// By number, in order.
    all: Vec<usize>,
    /// Less than all of them; `None` if the limit covers the host.
    share: Option<usize>,
}

impl Processors {
    pub(crate) fn new(limits: Limits) -> Self {
        let all: Vec<_> = sched_getaffinity(None)
            .map(|set| (0..CpuSet::MAX_CPU).filter(|number| set.is_set(*number)).collect())
            .unwrap_or_default();
        let limit = limits.cpu_millis.and_then(|millis| usize::try_from(millis.div_ceil(1000)).ok());
        let share = limit.filter(|limit| *limit < all.len());
        Self { all, share }
    }

    /// Calls `start`, whose children find their share. For the thread that starts commands, which is one.
    pub(crate) fn share<T>(&self, start: impl FnOnce() -> T) -> T {
        let Some(share) = self.share else { return start() };
        // A command that finds more processors than it should runs as well, so failing here is no reason to stop.
        let _ = sched_setaffinity(None, &set(self.from(sched_getcpu()).take(share)));
        let started = start();
        let _ = sched_setaffinity(None, &set(self.all.iter().copied()));
        started
    }

    /// All of them, `first` and its followers before those below it.
    fn from(&self, first: usize) -> impl Iterator<Item = usize> {
        let index = self.all.partition_point(|number| *number < first);
        self.all[index..].iter().chain(&self.all[..index]).copied()
    }
}

fn set(numbers: impl Iterator<Item = usize>) -> CpuSet {
    let mut set = CpuSet::new();
    numbers.for_each(|number| set.set(number));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_begins_at_the_present_processor_and_goes_round() {
        let processors = Processors { all: vec![0, 2, 3, 5], share: Some(2) };
        for (at, expected) in [(0, [0, 2]), (3, [3, 5]), (5, [5, 0]), (1, [2, 3]), (9, [0, 2])] {
            assert_eq!(processors.from(at).take(2).collect::<Vec<_>>(), expected, "at {at}");
        }
    }

    #[test]
    fn only_what_is_started_has_the_share() {
        let count = || sched_getaffinity(None).expect("a set").count();
        let before = count();
        let limits = Limits { cpu_millis: Some(300), ..Limits::default() };
        assert_eq!(Processors::new(limits).share(count), 1);
        assert_eq!(count(), before);
        for limits in [Limits::default(), Limits { cpu_millis: Some(u64::MAX), ..Limits::default() }] {
            assert_eq!(Processors::new(limits).share(count), before, "the whole host");
        }
    }
}
