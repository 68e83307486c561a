//! Deleting what abandoned attempts make after all.
//!
//! Nobody was told of such an attempt, and another one may have been delivered in its place. Its name is deleted now and
//! then, until its provider has answered for so long that nothing can appear any more.

use super::deadline::bounded;
use super::{Sandboxes, SandboxesError};
use crate::ports::{Abandoned, SandboxRef};
use crate::time::Timestamp;
use std::time::Duration;

/// Between two deletes: as long as has passed since the provider answered first, within these.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Where it does not answer yet.
const SILENT_PAUSE: Duration = Duration::from_secs(5);

impl Sandboxes {
    /// Deletes the abandoned attempts that are due; gives how many there were.
    pub(super) async fn reap_abandoned(&self) -> Result<usize, SandboxesError> {
        let due = self.ledger.agenda.abandoned(self.now()).await?;
        let looked_at = self.for_each(due, |it, abandoned| async move { it.reap(&abandoned).await }).await;
        let count = looked_at.len();
        looked_at.into_iter().collect::<Result<(), _>>().map(|()| count)
    }

    async fn reap(&self, abandoned: &Abandoned) -> Result<(), SandboxesError> {
        let at = SandboxRef { attempt: abandoned.attempt, handle: None };
        let answered = bounded("delete", self.provider.service.delete(&at)).await.is_ok();
        let _steady = self.frame.steady().await;
        let next = after(abandoned, answered, self.now(), self.provider.late);
        Ok(self.ledger.agenda.note_abandoned(&next).await?)
    }
}

/// How an attempt stands after a delete at `now`; it is over once its provider has `answered` for as long as it may be
/// `late`.
fn after(before: &Abandoned, answered: bool, now: Timestamp, late: Duration) -> Abandoned {
    let answered_at = before.answered_at.or(answered.then_some(now));
    let known_for = answered_at.map(|at| now.since(at));
    // What it did not answer may have been left undone, however long it is known to be back.
    let pause = known_for
        .filter(|_| answered)
        .map_or(SILENT_PAUSE, |known_for| known_for.clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    let over = answered && known_for.is_some_and(|known_for| known_for >= late);
    Abandoned { attempt: before.attempt, answered_at, next_at: (!over).then(|| now.plus(pause)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Attempt, SandboxId};

    const LATE: Duration = Duration::from_mins(15);

    fn abandoned() -> Abandoned {
        let start = Timestamp::from_millis(0);
        Abandoned { attempt: Attempt::first(SandboxId::random()), answered_at: None, next_at: Some(start) }
    }

    /// Follows an attempt whose provider is silent until `returns`; gives when it was looked at.
    fn looks(returns: Timestamp) -> Vec<Timestamp> {
        let (mut it, mut looks) = (abandoned(), Vec::new());
        while let Some(now) = it.next_at {
            looks.push(now);
            it = after(&it, now >= returns, now, LATE);
        }
        looks
    }

    #[test]
    fn it_is_deleted_at_once_often_and_until_long_after_its_provider_answered() {
        let looks = looks(Timestamp::from_millis(0));
        let last = looks.last().expect("a look");
        assert!(last.since(looks[0]) >= LATE, "{looks:?}");
        assert!(looks.windows(2).all(|pair| pair[1].since(pair[0]) <= LONGEST_PAUSE));
        assert!(looks.len() < 100, "not more often than needed: {}", looks.len());
    }

    #[test]
    fn a_delete_that_was_not_answered_is_repeated_soon() {
        let since = Timestamp::from_millis(0);
        let known = Abandoned { answered_at: Some(since), ..abandoned() };
        let now = since.plus(LATE / 2);
        let pause = |answered| after(&known, answered, now, LATE).next_at.map(|next| next.since(now));
        assert_eq!((pause(true), pause(false)), (Some(LONGEST_PAUSE), Some(SILENT_PAUSE)));
    }

    #[test]
    fn a_provider_that_is_away_is_waited_for() {
        let returns = Timestamp::from_millis(3_600_000);
        let looks = looks(returns);
        assert!(looks.last().expect("a look").since(returns) >= LATE);
        let first_answered = looks.iter().find(|at| **at >= returns).expect("a look after its return");
        assert!(first_answered.since(returns) <= Duration::from_mins(1));
    }
}
