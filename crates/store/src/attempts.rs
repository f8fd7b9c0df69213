//! Attempts as the writer remembers them. One that is claimed is in the redo log at once, and in the file when the transaction ends:
//! most have ended by then, and are written once, as they ended, with what they leave behind.

use std::sync::Arc;

use hashbrown::HashMap;
use rusqlite::{Connection, ToSql, params};
use tollgate_domain::{CallId, PaymentKey};
use tollgate_ledger::{Kept, Moved, RefundCause, Refusal, SettlementRow};

use crate::convert::millis;
use crate::database::exactly_one;
use crate::proofs::{self, Proofs};
use crate::redo::{Redo, Statement};
use crate::writer::Failure;

const INSERT: &str = "INSERT INTO settlements (key, attempt, call, caller, server, tool, args, price_version, amount, asset, \
     funds, proof, expires, state, claimed, updated, reference, settle, payer, quote, reserved, splits, result, reason, \
     receipt, refund, refunded) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
     ?20, nullif(?21, ''), nullif(?22, ''), ?23, ?24, ?25, ?26, ?27)";

const UPDATE: &str = "UPDATE settlements SET state = ?3, updated = ?4, result = ?5, reference = ?6, reason = ?7, receipt = ?8, \
     refund = ?9, refunded = ?10 WHERE call = ?1 AND state = ?2";

/// Behind the [`INSERT`] of the attempt that leaves it behind.
const INSERT_KEPT: &str =
    "INSERT INTO results (settlement, stored, private, body) VALUES (last_insert_rowid(), ?1, ?2, ?3)";

const KEEP: &str = "INSERT INTO results (settlement, stored, private, body) \
     SELECT id, ?2, ?3, ?4 FROM settlements WHERE call = ?1 \
     ON CONFLICT (settlement) DO UPDATE SET stored = excluded.stored, \
     private = coalesce(excluded.private, private), body = coalesce(excluded.body, body)";

/// Attempts that have not ended, which are asked for again, and all that are not in the file yet. Only the gateway that owns the
/// directory writes settlements, so the file says nothing else.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    known: HashMap<PaymentKey, Arc<SettlementRow>>,
    /// Those that are not in the file yet, in the order of their claims.
    unwritten: Vec<Unwritten>,
    /// Where they are.
    places: HashMap<CallId, usize>,
    proofs: Proofs,
}

#[derive(Debug)]
struct Unwritten {
    row: Arc<SettlementRow>,
    kept: Option<Kept>,
}

impl Attempts {
    /// The latest attempt with this key, if it is remembered.
    pub(crate) fn get(&self, key: &PaymentKey) -> Option<Arc<SettlementRow>> {
        self.known.get(key).map(Arc::clone)
    }

    /// A transaction was undone: whatever of it is durable will be found in the file.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
        self.unwritten.clear();
        self.places.clear();
    }

    /// An attempt that begins.
    ///
    /// # Errors
    /// [`Refusal::CallReused`].
    pub(crate) fn claim(
        &mut self,
        connection: &Connection,
        redo: &mut Redo,
        row: &Arc<SettlementRow>,
    ) -> Result<(), Failure> {
        if self.known.get(&row.key).is_some_and(|before| self.places.contains_key(&before.call)) {
            self.write(connection, redo)?;
        }
        let mut there =
            connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM settlements WHERE call = ?1)")?;
        if self.places.contains_key(&row.call) || there.query_row([row.call.as_bytes()], |row| row.get(0))? {
            return Err(Refusal::CallReused(row.call).into());
        }
        with_values(row, |values| redo.note(INSERT, values))?;
        if let Some(proof) = proofs::of(&row.key) {
            redo.note(proofs::SPEND, params![proof, row.attempt])?;
        }
        self.places.insert(row.call, self.unwritten.len());
        self.unwritten.push(Unwritten { row: Arc::clone(row), kept: None });
        self.known.insert(row.key.clone(), Arc::clone(row));
        Ok(())
    }

    /// Where an attempt stands now, provided that it still stands where it was read.
    pub(crate) fn advance(
        &mut self,
        connection: &Connection,
        redo: &mut Redo,
        Moved { before, row }: &Moved,
    ) -> rusqlite::Result<()> {
        let (call, result) = (row.call.as_bytes(), row.result.map(|digest| *digest.as_bytes()));
        let receipt = row.receipt.map(|id| *id.as_bytes());
        let (refund, refunded) = (row.refund.map(RefundCause::word), row.refunded.to_string());
        let values: &[&dyn ToSql] = params![
            call,
            before.word(),
            row.state.word(),
            millis(row.updated),
            result,
            row.reference,
            row.reason,
            receipt,
            refund,
            refunded,
        ];
        let unwritten = self.places.get(&row.call).and_then(|place| self.unwritten.get_mut(*place));
        let is_over = match unwritten {
            Some(unwritten) => {
                redo.note(UPDATE, values)?;
                exactly_one(usize::from(unwritten.row.state == *before))?;
                unwritten.row = Arc::clone(row);
                false
            }
            None => {
                exactly_one(redo.execute(&mut Statement::of(connection, UPDATE)?, values)?)?;
                row.state.is_terminal()
            }
        };
        match is_over {
            true => self.known.remove(&row.key),
            false => self.known.insert(row.key.clone(), Arc::clone(row)),
        };
        Ok(())
    }

    /// What an attempt leaves behind.
    pub(crate) fn keep(
        &mut self,
        connection: &Connection,
        redo: &mut Redo,
        kept: &Kept,
    ) -> rusqlite::Result<()> {
        let values: &[&dyn ToSql] =
            params![kept.call.as_bytes(), millis(kept.at), kept.private, kept.result.as_deref()];
        match self.places.get(&kept.call).and_then(|place| self.unwritten.get_mut(*place)) {
            Some(unwritten) => {
                redo.note(KEEP, values)?;
                let before = unwritten.kept.take();
                let (result, private) = before.map_or((None, None), |before| (before.result, before.private));
                unwritten.kept = Some(Kept {
                    result: kept.result.clone().or(result),
                    private: kept.private.clone().or(private),
                    ..*kept
                });
                Ok(())
            }
            None => exactly_one(redo.execute(&mut Statement::of(connection, KEEP)?, values)?),
        }
    }

    /// Writes what is not in the file yet.
    pub(crate) fn write(&mut self, connection: &Connection, redo: &mut Redo) -> rusqlite::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.places.clear();
        let mut insert = Statement::of(connection, INSERT)?;
        let mut insert_kept = Statement::of(connection, INSERT_KEPT)?;
        let mut spend = Statement::of(connection, proofs::SPEND)?;
        for Unwritten { row, kept } in self.unwritten.drain(..) {
            with_values(&row, |values| redo.execute_noted(&mut insert, values))?;
            if let Some(Kept { result, private, at, .. }) = kept {
                let values: &[&dyn ToSql] = params![millis(at), private, result.as_deref()];
                redo.execute_noted(&mut insert_kept, values)?;
            }
            if let Some(proof) = proofs::of(&row.key) {
                self.proofs.spend(&mut spend, redo, proof, row.attempt)?;
            }
            if row.state.is_terminal() {
                self.known.remove(&row.key);
            }
        }
        Ok(())
    }

    /// As [`Self::write`], at the end of the transaction.
    pub(crate) fn end(&mut self, connection: &Connection, redo: &mut Redo) -> rusqlite::Result<()> {
        self.write(connection, redo)?;
        self.proofs.move_if_many(connection)
    }
}

/// An attempt as the values of [`INSERT`].
fn with_values<T>(row: &SettlementRow, execute: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    execute(params![
        row.key.to_string(),
        row.attempt,
        row.call.as_bytes(),
        row.caller.as_str(),
        row.binding.tool.server.as_str(),
        row.binding.tool.tool.as_str(),
        row.binding.args.as_bytes(),
        row.binding.price_version,
        row.amount.to_string(),
        row.asset.as_str(),
        row.funds.to_string(),
        &*row.proof,
        millis(row.expires),
        row.state.word(),
        millis(row.claimed),
        millis(row.updated),
        row.reference,
        row.settle.word(),
        row.payer.as_str(),
        row.binding.quote.map(|digest| *digest.as_bytes()),
        row.reserved.to_string(),
        row.splits.to_string(),
        row.result.map(|digest| *digest.as_bytes()),
        row.reason,
        row.receipt.map(|id| *id.as_bytes()),
        row.refund.map(RefundCause::word),
        row.refunded.to_string(),
    ])
}

#[cfg(test)]
mod tests;
