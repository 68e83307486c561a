//! Which of the things that no row accounts for may be deleted: not at once, and not many.
//!
//! A ledger is written before anything is made, so a few such things are the traces of a fault, and many are the sign of
//! a ledger that is not the right one: an old backup, or another disk.

use crate::id::Attempt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many are never suspicious.
const FEW: usize = 5;
/// Nor is one in so many of all that there is.
const SHARE: usize = 5;

/// The orphans that were seen. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Orphans(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    since: HashMap<Attempt, Instant>,
    held: Vec<Attempt>,
    confirmed: Vec<Attempt>,
}

/// What a sweep found that no row accounts for.
#[derive(Debug)]
pub(super) struct Suspects {
    /// The things.
    pub(super) orphans: Vec<Attempt>,
    /// How many things there are in all.
    pub(super) total: usize,
    /// Whether the ledger is known to be older than the world, so that none is deleted unless it was confirmed.
    pub(super) doubtful: bool,
}

/// What is to be done with the orphans of one sweep.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// To be deleted.
    pub(super) condemned: Vec<Attempt>,
    /// How many wait for somebody to confirm it.
    pub(super) held: usize,
}

impl Orphans {
    /// Judges what a sweep found; nothing before its `grace` is over.
    pub(super) fn judge(&self, mut suspects: Suspects, grace: Duration) -> Verdict {
        let mut seen = self.seen();
        let now = Instant::now();
        seen.since.retain(|attempt, _| suspects.orphans.contains(attempt));
        let overdue = |attempt: &Attempt| {
            let since = seen.since.entry(*attempt).or_insert(now);
            now.duration_since(*since) >= grace
        };
        suspects.orphans.retain(overdue);
        seen.judge_overdue(suspects)
    }

    /// Those that wait for somebody to confirm it.
    pub(super) fn held(&self) -> Vec<Attempt> {
        self.seen().held.clone()
    }

    /// Whether the last sweep saw no others than those that were deleted.
    pub(super) fn are_none(&self, but: usize) -> bool {
        self.seen().since.len() == but
    }

    /// Lets those that are held go.
    pub(super) fn confirm(&self) {
        let mut seen = self.seen();
        let Seen { held, confirmed, .. } = &mut *seen;
        confirmed.clone_from(held);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn judge_overdue(&mut self, suspects: Suspects) -> Verdict {
        let Suspects { orphans, total, doubtful } = suspects;
        let (mut condemned, others): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|attempt| self.confirmed.contains(attempt));
        if doubtful || others.len() > FEW.max(total / SHARE) {
            self.held = others;
        } else {
            self.held.clear();
            condemned.extend(others);
        }
        Verdict { condemned, held: self.held.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SandboxId;

    fn some(count: usize) -> Vec<Attempt> {
        (0..count).map(|_| Attempt::first(SandboxId::random())).collect()
    }

    fn verdict(orphans: &Orphans, these: &[Attempt], total: usize) -> (usize, usize) {
        judged(orphans, Suspects { orphans: these.to_vec(), total, doubtful: false })
    }

    fn judged(orphans: &Orphans, suspects: Suspects) -> (usize, usize) {
        let verdict = orphans.judge(suspects, Duration::from_secs(30));
        (verdict.condemned.len(), verdict.held)
    }

    #[tokio::test(start_paused = true)]
    async fn an_orphan_goes_after_its_grace_and_not_before() {
        let (orphans, one) = (Orphans::default(), some(1));
        assert_eq!(verdict(&orphans, &one, 1), (0, 0));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(verdict(&orphans, &one, 1), (0, 0));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(verdict(&orphans, &one, 1), (1, 0));
        assert_eq!(verdict(&orphans, &[], 0), (0, 0));
        assert_eq!(verdict(&orphans, &one, 1), (0, 0), "one that comes back is a new one");
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_held_until_somebody_confirms_exactly_those() {
        let orphans = Orphans::default();
        let (few, many) = (some(5), some(6));
        for these in [&few, &many] {
            verdict(&orphans, these, 10);
            tokio::time::advance(Duration::from_secs(30)).await;
            let expected = if these.len() == 5 { (5, 0) } else { (0, 6) };
            assert_eq!(verdict(&orphans, these, 10), expected);
        }
        assert_eq!(verdict(&orphans, &many, 100), (6, 0), "a few of very many are not suspicious");
        verdict(&orphans, &many, 10);
        orphans.confirm();
        let more: Vec<_> = many.iter().copied().chain(some(7)).collect();
        verdict(&orphans, &more, 10);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(verdict(&orphans, &more, 10), (6, 7), "nobody confirmed the new ones");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_from_a_backup_deletes_nothing_by_itself() {
        let (orphans, one) = (Orphans::default(), some(1));
        let doubtful = || Suspects { orphans: one.clone(), total: 100, doubtful: true };
        judged(&orphans, doubtful());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(judged(&orphans, doubtful()), (0, 1));
        orphans.confirm();
        assert_eq!(judged(&orphans, doubtful()), (1, 0));
    }
}
