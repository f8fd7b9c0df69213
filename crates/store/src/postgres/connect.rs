//! Connections to the database, each with the settings that money needs.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::{Client, Config};

use super::tls::Tls;
use super::url::DatabaseUrl;

/// What every session says first. A writer that stops in the middle of a transaction loses it, so that it does not hold all
/// others up; what is acknowledged is on the disk, and a batch sees what the one before it committed while it waited for its turn, whatever
/// the role's own defaults say.
const SETTINGS: &str = "SET search_path = tollgate; SET synchronous_commit = on; SET lock_timeout = '10s'; \
    SET default_transaction_isolation = 'read committed'; \
    SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '10s'; SET client_min_messages = warning";

/// How long it may take until a server that was reached says that a connection is ready. One that has stopped is still reached: its kernel
/// answers for it.
const READY_MAX: Duration = Duration::from_secs(10);

/// Opens connections to one database.
#[derive(Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    tls: Tls,
    ready_max: Duration,
}

/// Why there is no connection. Holds no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The server cannot be reached, or refused.
    #[error("{}", described(.0))]
    Refused(tokio_postgres::Error),
    /// It says nothing.
    #[error("it does not answer")]
    Silent,
}

impl Connector {
    pub(super) fn new(url: DatabaseUrl) -> Result<Self, rustls::Error> {
        Ok(Self { url, tls: Tls::new()?, ready_max: READY_MAX })
    }

    /// The same, and waits for no answer longer than so.
    pub(super) fn within(self, answer_max: Duration) -> Self {
        Self { ready_max: READY_MAX.min(answer_max), ..self }
    }

    pub(super) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// A connection for the ledger. It is served by the runtime of the caller.
    pub(super) async fn connect(&self) -> Result<Client, ConnectError> {
        let ready = tokio::time::timeout(self.ready_max, self.ready()).await;
        ready.map_err(|_elapsed| ConnectError::Silent)?.map_err(ConnectError::Refused)
    }

    #[expect(clippy::disallowed_methods, reason = "it ends with its client, whose owner is waited for")]
    async fn ready(&self) -> Result<Client, tokio_postgres::Error> {
        let config: &Config = self.url.config();
        let (client, connection) = config.connect(self.tls.clone()).await?;
        // Ends when the client is dropped or the server is gone; whoever uses the client is told.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %described(&error), "a connection to the database ended");
            }
        });
        client.batch_execute(SETTINGS).await?;
        Ok(client)
    }
}

/// An error of the database with its cause; neither holds a password.
pub(super) fn described(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
