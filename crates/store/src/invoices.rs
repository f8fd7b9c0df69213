//! The dev wallet's invoices, in a file of their own: the Lightning node that dev mode plays. What was answered outlives
//! the process; a power cut may take the last invoices back, for a node would cost this process no sync of its disk either.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use tollgate_domain::UnixMillis;
use tollgate_ledger::StoreError;
use tollgate_rails::lightning::Preimage;
use tollgate_rails::lightning::dev::{BookError, DevInvoice, InvoiceBook};

use crate::convert::{self, integer, millis};
use crate::database::{self, Kept, Opener, Schema};
use crate::open::OpenError;

/// The file of what dev mode plays outside the gateway.
pub(crate) static SANDBOX: Schema = Schema {
    file: "sandbox.db",
    application_id: i32::from_be_bytes(*b"TGsb"),
    migrations: &[
        include_str!("schema/sandbox_1.sql"),
        include_str!("schema/sandbox_2.sql"),
        include_str!("schema/sandbox_3.sql"),
    ],
    kept: Kept::OverProcessDeath,
    redo: None,
};

/// The dev wallet's book of invoices. Clones share it.
#[derive(Clone, Debug)]
pub struct InvoiceStore {
    connection: Arc<Mutex<Connection>>,
}

impl InvoiceStore {
    /// Opens or makes the book in `directory`. The directory is kept from other gateways by [`crate::Store::open`].
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        database::make_directory(directory)?;
        let connection = SANDBOX.open(directory, Opener::Owner)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Asks the file on a thread that may wait for the disk. Every question is one statement that is written whole or not.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BookError> {
        let shared = Arc::clone(&self.connection);
        let asked = tokio::task::spawn_blocking(move || work(&shared.lock()));
        match asked.await {
            Ok(answer) => answer.map_err(|error| refused(&format!("{}: {error}", SANDBOX.file))),
            Err(error) => Err(refused(&format!("the question was given up: {error}"))),
        }
    }
}

impl InvoiceBook for InvoiceStore {
    async fn insert(&self, invoice: DevInvoice, now: UnixMillis) -> Result<(), BookError> {
        let is_new = self.ask(move |connection| insert(connection, &invoice, now)).await?;
        if is_new { Ok(()) } else { Err(refused("an invoice with this payment hash is there already")) }
    }

    async fn get(&self, payment_hash: [u8; 32]) -> Result<Option<DevInvoice>, BookError> {
        self.ask(move |connection| invoice(connection, &payment_hash)).await
    }

    async fn mark_paid(
        &self,
        payment_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, BookError> {
        self.ask(move |connection| mark_paid(connection, &payment_hash, now)).await
    }
}

/// Whether it was written; `false` when the payment hash is there already.
fn insert(connection: &Connection, new: &DevInvoice, now: UnixMillis) -> rusqlite::Result<bool> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO invoices (payment_hash, preimage, bolt11, sats, created, expires, paid) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (payment_hash) DO NOTHING",
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
    Ok(inserted == 1)
}

/// The first moment stays.
fn mark_paid(
    connection: &Connection,
    payment_hash: &[u8; 32],
    now: UnixMillis,
) -> rusqlite::Result<Option<UnixMillis>> {
    connection
        .prepare_cached("UPDATE invoices SET paid = ?2 WHERE payment_hash = ?1 AND paid IS NULL")?
        .execute(params![payment_hash, millis(now)])?;
    Ok(invoice(connection, payment_hash)?.and_then(|invoice| invoice.paid_at))
}

fn refused(reason: &str) -> BookError {
    BookError::new(StoreError::Definite(reason.to_owned()))
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
