//! Connections that read, and write what is no money, beside the writer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_postgres::Client;
use tollgate_ledger::StoreError;

use super::connect::Connector;
use super::convert::ReadError;

/// How many idle connections are kept.
const IDLE_MAX: usize = 4;

/// How many are open at once; whoever wants another one waits. A server has a hundred by default, for all of its gateways together.
const OPEN_MAX: usize = 8;

/// A pool of connections.
#[derive(Clone)]
pub(super) struct Readers {
    connector: Arc<Connector>,
    idle: Arc<Mutex<Vec<Client>>>,
    places: Arc<Semaphore>,
    /// How long the database may leave something unanswered.
    answer_max: Duration,
}

impl Readers {
    pub(super) fn new(connector: Connector, answer_max: Duration) -> Self {
        Self {
            connector: Arc::new(connector),
            idle: Arc::default(),
            places: Arc::new(Semaphore::new(OPEN_MAX)),
            answer_max,
        }
    }

    /// Works on a connection of its own, for as long as a database may take. One that was lost while it was idle is replaced.
    pub(super) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let worked = tokio::time::timeout(self.answer_max, self.with_patience(work)).await;
        worked.unwrap_or_else(|_elapsed| {
            tracing::warn!("the database leaves a read without an answer");
            Err(StoreError::Busy)
        })
    }

    /// The same for as long as it takes: the books may be long.
    pub(super) async fn with_patience<T>(
        &self,
        work: impl AsyncFnOnce(&Client) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        // It is never closed.
        let _place = self.places.acquire().await.ok();
        let client = self.connection().await?;
        let done = work(&client).await?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX && !client.is_closed() {
            idle.push(client);
        }
        Ok(done)
    }

    async fn connection(&self) -> Result<Client, StoreError> {
        loop {
            let Some(client) = self.idle.lock().pop() else { break };
            if !client.is_closed() {
                return Ok(client);
            }
        }
        // Making a connection takes a large future and is rare: not every read is to have room for it.
        Box::pin(self.connector.connect())
            .await
            .map_err(|error| StoreError::Definite(format!("connect to {}: {error}", self.connector.url())))
    }
}
