//! The books in a database row by row, as of one moment and in bounded memory, for whoever writes them out.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Row as Found};
use tollgate_ledger::StoreError;

use super::PostgresStore;
use super::convert::{self, ReadError, plain};
use super::rows::{self, settlements, transfers};
use crate::export::{Part, Row};

/// One moment for everything that is read until the transaction ends, however long that takes: the books may be long.
pub(super) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
    SET LOCAL idle_in_transaction_session_timeout = 0";

impl PostgresStore {
    /// Shows each row of these parts to `visit`, part after part, all of them as of one moment. Runs beside all writers and
    /// keeps few rows at a time.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the database cannot be read.
    pub(crate) async fn each_row<T: Send + 'static>(
        &self,
        parts: Vec<Part>,
        state: T,
        mut visit: impl FnMut(&mut T, Row) + Send + 'static,
    ) -> Result<T, StoreError> {
        let read = self.readers.with_patience(async |client| {
            let mut state = state;
            client.batch_execute(SNAPSHOT).await?;
            for part in parts {
                let show = |row| visit(&mut state, row);
                match part {
                    Part::Transfers => each_transfer(client, show).await?,
                    Part::Settlements => each_settlement(client, show).await?,
                    Part::Receipts => each_receipt(client, show).await?,
                }
            }
            client.batch_execute("COMMIT").await?;
            Ok(state)
        });
        read.await
    }
}

async fn each_transfer(client: &Client, mut show: impl FnMut(Row)) -> Result<(), ReadError> {
    let visit = |row: &Found| rows::transfer(row).map(|transfer| show(Row::Transfer(transfer)));
    each(client, transfers!("ORDER BY t.seq"), visit).await
}

async fn each_settlement(client: &Client, mut show: impl FnMut(Row)) -> Result<(), ReadError> {
    let visit = |row: &Found| rows::settlement(row).map(|row| show(Row::Settlement(Box::new(row))));
    each(client, settlements!("ORDER BY id"), visit).await
}

async fn each_receipt(client: &Client, mut show: impl FnMut(Row)) -> Result<(), ReadError> {
    let visit = |row: &Found| {
        let (id, call, envelope) = (convert::id(row, 0)?, convert::id(row, 1)?, plain(row, 2)?);
        show(Row::Receipt { id, call, envelope });
        Ok(())
    };
    each(client, "SELECT id, call, envelope FROM receipts ORDER BY position", visit).await
}

/// Visits every row, one at a time.
pub(super) async fn each(
    client: &Client,
    query: &str,
    mut visit: impl FnMut(&Found) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut rows = pin!(client.query_typed_raw::<&str, _>(query, []).await?);
    while let Some(row) = rows.try_next().await? {
        visit(&row)?;
    }
    Ok(())
}
