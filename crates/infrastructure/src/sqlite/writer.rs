//! The hand on the one thread that writes: queues what is to be written, and brings back how it went.

use super::desk::{Desk, Outcome, Queued};
use super::write::Write;
use sandgate_core::RepositoryError;
use std::io;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// How many writes wait at the most; whoever brings another waits with it.
const QUEUE: usize = 256;

/// A hand on the thread, which ends with it.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread at its desk.
    pub(super) fn start(desk: Desk) -> io::Result<Self> {
        let (queue, queued) = mpsc::channel(QUEUE);
        // Only its clock is used: the thread waits for writes, and for the end of a while without any.
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || desk.work(queued, &waiting))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::index::Index;
    use crate::sqlite::open::{self, Opened};
    use crate::sqlite::write::Context;
    use sandgate_core::{ApiKey, KeyHash, KeyId, OrganizationId, SandboxId, Timestamp};
    use std::path::Path;
    use std::sync::{Arc, RwLock};
    use tokio::task::JoinSet;

    /// A writer whose database may grow by so many pages and no more, as on a disk that is almost full.
    fn almost_full(dir: &Path, pages: i64) -> (Writer, Arc<RwLock<Index>>) {
        let Opened { writer, instance, seal, index, .. } = open::open(dir).expect("open");
        let count: i64 = writer.pragma_query_value(None, "page_count", |row| row.get(0)).expect("page count");
        writer.pragma_update(None, "max_page_count", count + pages).expect("limit");
        let index = Arc::new(RwLock::new(index));
        let context = Context { instance, seal, quotas: Arc::default() };
        let desk = Desk::new(dir, writer, context, index.clone());
        (Writer::start(desk).expect("start"), index)
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
