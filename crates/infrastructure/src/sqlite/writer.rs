//! The one thread that writes. It commits in groups: what was queued while the disk was busy goes into the next
//! transaction together, so that many callers share one flush.

use super::error::{WriteError, database};
use super::index::Index;
use super::write::{Context, Write};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use sandgate_core::{Admitted, RepositoryError};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// How many writes wait at the most; whoever brings another waits with it.
const QUEUE: usize = 256;
/// How many writes share one transaction at the most.
const GROUP: usize = 64;

type Outcome = Result<Admitted, RepositoryError>;

/// A hand on the thread, which ends with it.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

struct Queued {
    write: Write,
    answer: oneshot::Sender<Outcome>,
}

impl Writer {
    /// Starts the thread. It owns `connection`, and keeps `index` as it was committed.
    pub(super) fn start(
        connection: Connection,
        context: Context,
        index: Arc<RwLock<Index>>,
    ) -> io::Result<Self> {
        let (queue, queued) = mpsc::channel(QUEUE);
        let desk = Desk { connection, context, index };
        let thread =
            std::thread::Builder::new().name("ledger".to_owned()).spawn(move || desk.work(queued))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Writes, and returns when it is on disk and in the index.
    pub(super) async fn write(&self, write: Write) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(Queued { write, answer }).await.map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> RepositoryError {
    RepositoryError::Broken("the thread that writes has ended".into())
}

impl Drop for Writer {
    /// Waits until what is queued is on disk.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been answered to every caller already.
            let _ = thread.join();
        }
    }
}

/// Where the thread works.
struct Desk {
    connection: Connection,
    context: Context,
    index: Arc<RwLock<Index>>,
}

impl Desk {
    fn work(mut self, mut queue: mpsc::Receiver<Queued>) {
        let mut group = Vec::with_capacity(GROUP);
        while queue.blocking_recv_many(&mut group, GROUP) > 0 {
            self.handle(&mut group);
        }
        // Only to leave a small directory: what is in the write-ahead log is safe there too.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    fn handle(&mut self, group: &mut Vec<Queued>) {
        match self.commit(group) {
            Ok(outcomes) => {
                self.publish(group, &outcomes);
                for (queued, outcome) in group.drain(..).zip(outcomes) {
                    // Whoever went away does not wait for an answer.
                    let _ = queued.answer.send(outcome);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for queued in group.drain(..) {
                    let _ = queued.answer.send(Err(database(error.clone())));
                }
            }
        }
    }

    /// One transaction for all, in which each write fails by itself. An error means that none of it was done.
    fn commit(&mut self, group: &[Queued]) -> rusqlite::Result<Vec<Outcome>> {
        let mut transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::with_capacity(group.len());
        for Queued { write, .. } in group {
            outcomes.push(alone(&mut transaction, write, &self.context)?);
        }
        transaction.commit()?;
        Ok(outcomes)
    }

    /// Nobody is answered before everybody can see what was written.
    fn publish(&self, group: &[Queued], outcomes: &[Outcome]) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for (queued, _) in group.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            queued.write.publish(&mut index);
        }
    }
}

/// Carries out one write so that its failure undoes nothing but itself. An error means that `SQLite` has given up the whole
/// transaction, as it does when the disk is full: a write after that would stand outside of any.
fn alone(transaction: &mut Transaction<'_>, write: &Write, context: &Context) -> rusqlite::Result<Outcome> {
    let savepoint = transaction.savepoint()?;
    match write.execute(&savepoint, context) {
        Ok(admitted) => savepoint.commit().map(|()| Ok(admitted)),
        Err(WriteError::Database(error)) if savepoint.is_autocommit() => Err(error),
        Err(error) => {
            savepoint.finish()?;
            Ok(Err(error.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open::{self, Opened};
    use sandgate_core::{ApiKey, KeyHash, KeyId, OrganizationId, SandboxId, Timestamp};
    use std::path::Path;
    use tokio::task::JoinSet;

    /// A writer whose database may grow by so many pages and no more, as on a disk that is almost full.
    fn almost_full(dir: &Path, pages: i64) -> (Writer, Arc<RwLock<Index>>) {
        let Opened { writer, instance, seal, index, .. } = open::open(dir).expect("open");
        let count: i64 = writer.pragma_query_value(None, "page_count", |row| row.get(0)).expect("page count");
        writer.pragma_update(None, "max_page_count", count + pages).expect("limit");
        let index = Arc::new(RwLock::new(index));
        (
            Writer::start(writer, Context { instance, seal, quotas: Arc::default() }, index.clone())
                .expect("start"),
            index,
        )
    }

    fn key(n: u64) -> (KeyHash, Write) {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_le_bytes());
        let key = ApiKey { id: KeyId::random(), organization: OrganizationId::random() };
        (KeyHash(hash), Write::Key(key, KeyHash(hash)))
    }

    /// When the disk is full every caller is told, what was acknowledged is there, and what was not is nowhere.
    #[tokio::test]
    async fn a_full_disk_fails_writes_and_loses_none() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (writer, index) = almost_full(dir.path(), 20);
        let writer = Arc::new(writer);
        let mut callers = JoinSet::new();
        for n in 0..2000 {
            let (writer, (hash, write)) = (writer.clone(), key(n));
            callers.spawn(async move { (hash, writer.write(write).await) });
        }
        let outcomes = callers.join_all().await;
        drop(writer);
        let kept = open::open(dir.path()).expect("open again").index;
        let index = index.read().expect("no panic");
        for (hash, outcome) in &outcomes {
            assert!(matches!(outcome, Ok(_) | Err(RepositoryError::Full(_))), "{outcome:?}");
            assert_eq!(index.key(*hash).is_some(), outcome.is_ok(), "in memory");
            assert_eq!(kept.key(*hash).is_some(), outcome.is_ok(), "on disk");
        }
        let full = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
        assert!((1..2000).contains(&full), "{full} of 2000 found the disk full");
    }

    #[tokio::test]
    async fn a_full_disk_does_not_stop_what_needs_no_room() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (writer, index) = almost_full(dir.path(), 0);
        let mut n = 0;
        while writer.write(key(n).1).await.is_ok() {
            n += 1;
        }
        let use_of_nothing = Write::Touch(SandboxId::random(), Timestamp::from_millis(0));
        writer.write(use_of_nothing).await.expect("no room is needed");
        assert!(index.read().expect("no panic").key(key(n).0).is_none());
    }
}
