//! Connections that only read, beside the writer. Reads never wait for a commit.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tollgate_ledger::StoreError;

use crate::database::Schema;

/// How many idle connections are kept.
const IDLE_MAX: usize = 4;

/// A pool of reading connections of one file.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    schema: &'static Schema,
    directory: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn new(schema: &'static Schema, directory: PathBuf) -> Self {
        Self { schema, directory: Arc::new(directory), idle: Arc::default() }
    }

    /// Reads on a thread that may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.clone();
        let task = tokio::task::spawn_blocking(move || readers.read_here(work));
        task.await.map_err(|error| StoreError::Definite(format!("the read was given up: {error}")))?
    }

    /// Reads on this thread: for single rows that are most likely in memory.
    pub(crate) fn read_here<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed =
            |error: rusqlite::Error| StoreError::Definite(format!("read {}: {error}", self.schema.file));
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.schema.open_reader(&self.directory).map_err(failed)?,
        };
        let found = work(&connection).map_err(failed)?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(found)
    }
}
