//! Connections to the database, each with the settings that money needs.

use std::error::Error as _;

use tokio_postgres::{Client, Config};

use super::tls::Tls;
use super::url::DatabaseUrl;

/// What every session says first. A writer that stops in the middle of a transaction loses it, so that it does not hold all
/// others up; what is acknowledged is on the disk, and a batch sees what the one before it committed while it waited for its turn, whatever
/// the role's own defaults say.
const SETTINGS: &str = "SET search_path = tollgate; SET synchronous_commit = on; SET lock_timeout = '10s'; \
    SET default_transaction_isolation = 'read committed'; \
    SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '10s'; SET client_min_messages = warning";

/// Opens connections to one database.
#[derive(Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    tls: Tls,
}

impl Connector {
    pub(super) fn new(url: DatabaseUrl) -> Result<Self, rustls::Error> {
        Ok(Self { url, tls: Tls::new()? })
    }

    pub(super) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// A connection for the ledger. It is served by the runtime of the caller.
    #[expect(clippy::disallowed_methods, reason = "it ends with its client, whose owner is waited for")]
    pub(super) async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
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
