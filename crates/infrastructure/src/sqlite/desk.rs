//! Where the one thread that writes works. It commits in groups: what was queued while the disk was busy goes into the
//! next transaction together, so that many callers share one flush.
//!
//! After a failure of the disk nothing is believed. The kernel forgets what it could not write, and a later flush
//! succeeds without it: so the next write goes through a new connection, and only after everything that was
//! acknowledged has been brought to disk once more. Until that works, writes are refused.

use super::ballast::Ballast;
use super::error::{WriteError, database, is_disk, is_full};
use super::index::Index;
use super::open;
use super::write::{Context, Write};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use sandgate_core::{Admitted, RepositoryError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How many writes share one transaction at the most.
const GROUP: usize = 64;
/// After this long without a write the write-ahead log is brought into the database.
const IDLE: Duration = Duration::from_secs(3);

/// How one write went.
pub(super) type Outcome = Result<Admitted, RepositoryError>;

/// A write, and who waits for it.
pub(super) struct Queued {
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// What the thread works with.
pub(super) struct Desk {
    dir: PathBuf,
    /// None after a failure of the disk.
    connection: Option<Connection>,
    context: Context,
    index: Arc<RwLock<Index>>,
    ballast: Ballast,
    /// There may be something in the write-ahead log.
    untidy: bool,
}

impl Desk {
    /// A desk with a connection to the ledger in `dir`, which keeps `index` as it was committed.
    pub(super) fn new(
        dir: &Path,
        connection: Connection,
        context: Context,
        index: Arc<RwLock<Index>>,
    ) -> Self {
        let ballast = Ballast::new(dir);
        Self { dir: dir.to_owned(), connection: Some(connection), context, index, ballast, untidy: true }
    }

    /// Writes until nobody can bring anything any more.
    pub(super) fn work(mut self, mut queue: mpsc::Receiver<Queued>, waiting: &Runtime) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            let next = queue.recv_many(&mut group, GROUP);
            let received = if self.untidy {
                waiting.block_on(async { timeout(IDLE, next).await })
            } else {
                Ok(waiting.block_on(next))
            };
            match received {
                Ok(0) => break,
                Ok(_) => self.handle(&mut group),
                Err(_) => self.tidy(),
            }
        }
        // Only to leave a small directory: what is in the write-ahead log is safe there too.
        let _ = self.connection.as_ref().map(open::checkpoint);
    }

    /// Uses a quiet moment: the log is emptied, and what is wrong with the disk may be over.
    fn tidy(&mut self) {
        self.ballast.restore();
        let tidied = trusted(&mut self.connection, &self.dir).and_then(|connection| {
            // Who reads now is not waited for, as nobody who writes should be: it is tried again.
            connection.busy_timeout(Duration::ZERO)?;
            let emptied = open::checkpoint(connection);
            connection.busy_timeout(open::PATIENCE)?;
            emptied
        });
        self.untidy = tidied.is_err() || !self.ballast.is_held();
    }

    fn handle(&mut self, group: &mut Vec<Queued>) {
        self.untidy = true;
        match self.commit_with_reserve(group) {
            Ok(outcomes) => {
                self.publish(group, &outcomes);
                for (queued, outcome) in group.drain(..).zip(outcomes) {
                    // Whoever went away does not wait for an answer.
                    let _ = queued.answer.send(outcome);
                }
            }
            Err(error) => {
                tracing::error!(%error, dir = %self.dir.display(), "the ledger was not written");
                let error = Arc::new(error);
                for queued in group.drain(..) {
                    let _ = queued.answer.send(Err(database(error.clone())));
                }
            }
        }
    }

    /// On a full disk the reserve makes way, once.
    fn commit_with_reserve(&mut self, group: &[Queued]) -> rusqlite::Result<Vec<Outcome>> {
        self.ballast.restore();
        match self.commit(group) {
            Err(error) if is_full(&error) && self.ballast.spend() => self.commit(group),
            outcome => outcome,
        }
    }

    fn commit(&mut self, group: &[Queued]) -> rusqlite::Result<Vec<Outcome>> {
        let connection = trusted(&mut self.connection, &self.dir)?;
        let committed = commit(connection, &self.context, group, self.ballast.is_held());
        if committed.as_ref().is_err_and(is_disk) {
            self.connection = None;
        }
        committed
    }

    /// Nobody is answered before everybody can see what was written.
    fn publish(&self, group: &[Queued], outcomes: &[Outcome]) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        for (queued, _) in group.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            queued.write.publish(&mut index);
        }
    }
}

/// The connection, or a new one where the disk has failed: then everything that was acknowledged is on disk beyond doubt.
fn trusted<'c>(connection: &'c mut Option<Connection>, dir: &Path) -> rusqlite::Result<&'c mut Connection> {
    let trusted = match connection.take() {
        Some(connection) => connection,
        None => open::reopen(dir).inspect(
            |_| tracing::info!(dir = %dir.display(), "the ledger's disk works again, and nothing is lost"),
        )?,
    };
    Ok(connection.insert(trusted))
}

/// One transaction for all, in which each write fails by itself. An error means that none of it was done.
fn commit(
    connection: &mut Connection,
    context: &Context,
    group: &[Queued],
    may_grow: bool,
) -> rusqlite::Result<Vec<Outcome>> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut outcomes = Vec::with_capacity(group.len());
    for Queued { write, .. } in group {
        outcomes.push(if may_grow || !grows(write) {
            alone(&mut transaction, write, context)?
        } else {
            Err(RepositoryError::Full("the reserve for stops and deletes is all that is left".into()))
        });
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Whether the ledger is larger for it, and will be larger still: a sandbox that is made is also stopped and deleted.
const fn grows(write: &Write) -> bool {
    matches!(write, Write::Insert { .. })
}

/// Carries out one write so that its failure undoes nothing but itself. An error means that `SQLite` has given up the whole
/// transaction, as it does when the disk is full, or that the disk has failed: a write after that would stand outside of
/// any.
fn alone(transaction: &mut Transaction<'_>, write: &Write, context: &Context) -> rusqlite::Result<Outcome> {
    let savepoint = transaction.savepoint()?;
    match write.execute(&savepoint, context) {
        Ok(admitted) => savepoint.commit().map(|()| Ok(admitted)),
        Err(WriteError::Database(error))
            if savepoint.is_autocommit() || is_full(&error) || is_disk(&error) =>
        {
            Err(error)
        }
        Err(error) => {
            savepoint.finish()?;
            Ok(Err(error.into()))
        }
    }
}
