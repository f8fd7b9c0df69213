//! Connections that only read, beside the writer. What was answered is seen: a read waits until the writer has shown it, and for
//! nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tollgate_ledger::StoreError;

use crate::database::Schema;
use crate::writer::{Session, Writer};

/// How many idle connections are kept.
const IDLE_MAX: usize = 4;

/// A pool of reading connections of one file.
#[derive(Debug)]
pub(crate) struct Readers<S> {
    writer: Arc<Writer<S>>,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    schema: &'static Schema,
    directory: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl<S: Session> Readers<S> {
    pub(crate) fn new(schema: &'static Schema, directory: PathBuf, writer: Arc<Writer<S>>) -> Self {
        Self { writer, pool: Arc::new(Pool { schema, directory, idle: Mutex::default() }) }
    }

    /// Reads on a thread that may wait for the disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.show().await?;
        let pool = Arc::clone(&self.pool);
        let task = tokio::task::spawn_blocking(move || pool.read(work));
        task.await.map_err(|error| StoreError::Definite(format!("the read was given up: {error}")))?
    }

    /// Reads on this thread: for a few single rows that are most likely in memory.
    pub(crate) async fn read_here<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.writer.show().await?;
        self.pool.read(work)
    }

    /// As [`Self::read_here`], for what no redo log holds back: whatever is not written by a command is committed at once.
    pub(crate) fn read_committed<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.pool.read(work)
    }
}

impl Pool {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
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
