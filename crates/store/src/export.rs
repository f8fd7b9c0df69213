//! The books row by row, as of one moment and in bounded memory, for whoever writes them out.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tollgate_domain::{CallId, ReceiptId};
use tollgate_ledger::{SettlementRow, StoreError, Transfer};

use crate::store::Store as Embedded;
use crate::{convert, rows};

/// One row of the books.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Row {
    /// A transfer, in the order of booking.
    Transfer(Transfer),
    /// An attempt to settle a payment, in the order of claiming.
    Settlement(Box<SettlementRow>),
    /// A sealed receipt, in the order of sealing.
    Receipt {
        /// Its id.
        id: ReceiptId,
        /// The call that it is of.
        call: CallId,
        /// The envelope.
        envelope: String,
    },
}

/// A part of the books.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// Every transfer.
    Transfers,
    /// Every settlement.
    Settlements,
    /// Every receipt.
    Receipts,
}

impl Embedded {
    /// Shows each row of these parts to `visit`, part after part, all of them as of one moment. Runs beside the writer and
    /// keeps one row at a time.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) async fn each_row<T: Send + 'static>(
        &self,
        parts: Vec<Part>,
        state: T,
        mut visit: impl FnMut(&mut T, Row) + Send + 'static,
    ) -> Result<T, StoreError> {
        let read = self.readers().read(move |connection| {
            let snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
            let mut state = state;
            for part in parts {
                match part {
                    Part::Transfers => {
                        rows::each_transfer(&snapshot, |row| visit(&mut state, Row::Transfer(row)))?;
                    }
                    Part::Settlements => rows::each_settlement(&snapshot, |row| {
                        visit(&mut state, Row::Settlement(Box::new(row)));
                        Ok(())
                    })?,
                    Part::Receipts => each_receipt(&snapshot, |row| visit(&mut state, row))?,
                }
            }
            Ok(state)
        });
        read.await
    }
}

fn each_receipt(connection: &Connection, mut visit: impl FnMut(Row)) -> rusqlite::Result<()> {
    let mut query = connection.prepare("SELECT id, call, envelope FROM receipts ORDER BY position")?;
    let found = query.query_map([], |row| {
        Ok(Row::Receipt {
            id: convert::id(row, 0)?,
            call: convert::id(row, 1)?,
            envelope: convert::envelope(row, 2)?,
        })
    })?;
    for row in found {
        visit(row?);
    }
    Ok(())
}
