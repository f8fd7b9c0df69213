//! The dev wallet's invoices, beside the sandbox token's book: the Lightning node that dev mode plays.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tollgate_domain::UnixMillis;
use tollgate_ledger::StoreError;
use tollgate_rails::lightning::Preimage;
use tollgate_rails::lightning::dev::{BookError, DevInvoice, InvoiceBook};

use crate::convert::{self, integer, millis};
use crate::sandbox::{SandboxFile, SandboxSession};
use crate::writer::{Batch, Failure};

/// The dev wallet's book of invoices; see [`crate::SandboxStore::invoices`]. Clones share it.
#[derive(Clone, Debug)]
pub struct InvoiceStore {
    file: Arc<SandboxFile>,
}

impl InvoiceStore {
    pub(crate) fn new(file: Arc<SandboxFile>) -> Self {
        Self { file }
    }
}

impl InvoiceBook for InvoiceStore {
    async fn insert(&self, invoice: DevInvoice, now: UnixMillis) -> Result<(), BookError> {
        let written = self.file.writer.write(move |batch| batch.insert_invoice(&invoice, now));
        written.await.map_err(BookError::new)
    }

    async fn get(&self, payment_hash: [u8; 32]) -> Result<Option<DevInvoice>, BookError> {
        let read = self.file.readers.read(move |connection| invoice(connection, &payment_hash));
        read.await.map_err(BookError::new)
    }

    async fn mark_paid(
        &self,
        payment_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, BookError> {
        let written = self.file.writer.write(move |batch| batch.mark_paid(&payment_hash, now));
        written.await.map_err(BookError::new)
    }
}

impl Batch<'_, SandboxSession> {
    fn insert_invoice(&mut self, new: &DevInvoice, now: UnixMillis) -> Result<(), Failure> {
        if invoice(self.connection, &new.payment_hash)?.is_some() {
            let reason = "an invoice with this payment hash is there already".to_owned();
            return Err(Failure::Refused(StoreError::Definite(reason)));
        }
        self.connection
            .prepare_cached(
                "INSERT INTO invoices (payment_hash, preimage, bolt11, sats, created, expires, paid) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                new.payment_hash,
                new.preimage.as_bytes(),
                new.bolt11,
                integer(new.sats),
                millis(now),
                millis(new.expires),
                new.paid_at.map(millis),
            ])?;
        Ok(())
    }

    /// The first moment stays.
    fn mark_paid(&mut self, payment_hash: &[u8; 32], now: UnixMillis) -> Result<Option<UnixMillis>, Failure> {
        self.connection
            .prepare_cached("UPDATE invoices SET paid = ?2 WHERE payment_hash = ?1 AND paid IS NULL")?
            .execute(params![payment_hash, millis(now)])?;
        Ok(invoice(self.connection, payment_hash)?.and_then(|invoice| invoice.paid_at))
    }
}

/// The invoice with this payment hash.
fn invoice(connection: &Connection, payment_hash: &[u8; 32]) -> rusqlite::Result<Option<DevInvoice>> {
    let mut query = connection.prepare_cached(
        "SELECT payment_hash, preimage, bolt11, sats, expires, paid FROM invoices WHERE payment_hash = ?1",
    )?;
    let found = query.query_row(params![payment_hash], |row| {
        Ok(DevInvoice {
            payment_hash: row.get(0)?,
            preimage: Preimage::new(row.get(1)?),
            bolt11: row.get(2)?,
            sats: convert::count(row, 3)?,
            expires: convert::moment(row, 4)?,
            paid_at: convert::optional_moment(row, 5)?,
        })
    });
    found.optional()
}

#[cfg(test)]
mod tests;
