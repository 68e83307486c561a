//! The connections that read.

use super::error::database;
use rusqlite::Connection;
use sandgate_core::RepositoryError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Mutex;

/// A few connections, taken in turn.
pub(super) struct Readers<const N: usize> {
    connections: [Arc<Mutex<Connection>>; N],
    turn: AtomicUsize,
}

impl<const N: usize> Readers<N> {
    /// Takes over `connections`, of which there must be one.
    pub(super) fn new(connections: [Connection; N]) -> Self {
        let connections = connections.map(|connection| Arc::new(Mutex::new(connection)));
        Self { connections, turn: AtomicUsize::new(0) }
    }

    /// Asks the database, on a thread that may wait for the disk.
    pub(super) async fn ask<T, F>(&self, question: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % N;
        let connection = self.connections[turn].clone().lock_owned().await;
        let answer = tokio::task::spawn_blocking(move || question(&connection)).await;
        answer
            .map_err(|error| RepositoryError::Broken(error.into()))?
            .map_err(|error| database(Arc::new(error)))
    }
}
