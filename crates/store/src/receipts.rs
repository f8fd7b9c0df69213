//! Receipts as the writer seals them: each for the next place in the chain of this process's key.

use rusqlite::{Connection, OptionalExtension, params};
use tollgate_attest::{EscrowDraft, FIRST_PREVIOUS, Moved, PublicKey, Signer};
use tollgate_domain::Digest;
use tollgate_ledger::escrow::{EscrowChanges, EscrowEvent, EscrowReceipt, Mediator, Movement};
use tollgate_ledger::{Refusal, Sealed, SealedReceipt};

use crate::convert;

/// The chain that this process adds to.
#[derive(Debug)]
pub(crate) struct Chain {
    signer: Option<Signer>,
    /// Where the next receipt goes, once it was looked up. Only the process that holds the directory adds receipts, so it
    /// stays known until a transaction is not committed.
    head: Option<Head>,
}

/// The last receipt of this key.
#[derive(Clone, Copy, Debug)]
struct Head {
    seq: u64,
    hash: Digest,
    /// The key's place in the table of signers, once it has one.
    signer: Option<i64>,
}

impl Chain {
    pub(crate) fn new(signer: Option<Signer>) -> Self {
        Self { signer, head: None }
    }

    /// What was sealed last is not in the file after all.
    pub(crate) fn forget(&mut self) {
        self.head = None;
    }

    /// Seals for the next places in the chain.
    pub(crate) fn sealer<'a>(&'a mut self, connection: &'a Connection) -> Sealer<'a> {
        Sealer { chain: self, connection }
    }

    /// The place of this process's key in the table of signers; it gets one with its first receipt.
    pub(crate) fn signer(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        let (Some(signer), Some(head)) = (&self.signer, &mut self.head) else {
            return Err(rusqlite::Error::QueryReturnedNoRows);
        };
        match head.signer {
            Some(known) => Ok(known),
            None => {
                let mut name = connection.prepare_cached("INSERT INTO signers (key) VALUES (?1)")?;
                Ok(*head.signer.insert(name.insert(params![signer.public().as_bytes()])?))
            }
        }
    }
}

/// A chain and the file that it goes on in.
pub(crate) struct Sealer<'a> {
    chain: &'a mut Chain,
    connection: &'a Connection,
}

impl tollgate_ledger::Sealer for Sealer<'_> {
    fn seal(&mut self, statement: &str) -> Result<Sealed, Refusal> {
        let Chain { signer, head } = &mut *self.chain;
        let signer = signer.as_ref().ok_or(Refusal::NoSigner)?;
        let last = match head {
            Some(head) => head,
            none => {
                let found = last(self.connection, &signer.public());
                none.insert(found.map_err(|error| Refusal::Seal(format!("find the last receipt: {error}")))?)
            }
        };
        let seq = last.seq.saturating_add(1);
        let sealed = tollgate_attest::seal(statement, seq, &last.hash, signer)
            .map_err(|error| Refusal::Seal(error.to_string()))?;
        (last.seq, last.hash) = (seq, sealed.hash);
        let tollgate_attest::Sealed { envelope, kept, receipt_id: id, hash } = sealed;
        Ok(Sealed { receipt: SealedReceipt { id, seq, hash, kept }, envelope })
    }

    fn seal_escrow(&mut self, moved: &EscrowReceipt<'_>) -> Result<Sealed, Refusal> {
        self.seal(&draft(moved))
    }
}

/// What the receipt of an event of an escrow says.
pub(crate) fn draft(moved: &EscrowReceipt<'_>) -> String {
    let EscrowChanges { row, record, movements, .. } = moved.changes;
    let movement = |movement: &Movement| Moved {
        amount: movement.amount,
        from: movement.from.word().to_owned(),
        to: movement.to.word().to_owned(),
    };
    let terms = &row.terms;
    let draft = EscrowDraft {
        receipt_id: moved.id,
        ts: record.at,
        escrow_id: row.id,
        call_id: terms.call,
        version: row.version,
        event: record.event.as_ref().map_or("create", EscrowEvent::word),
        by: record.by.to_string(),
        state: row.state.word(),
        payer: terms.payer.clone(),
        provider: terms.provider.to_string(),
        mediator: match &terms.mediator {
            Mediator::Principal(mediator) => Some(mediator.clone()),
            Mediator::Nobody | Mediator::Service => None,
        },
        asset: terms.asset.clone(),
        amount: terms.amount,
        movements: movements.iter().map(movement).collect(),
        released: row.released,
        refunded: row.refunded,
        mode: moved.mode,
    };
    draft.to_text()
}

/// The last receipt that this key signed.
fn last(connection: &Connection, key: &PublicKey) -> rusqlite::Result<Head> {
    let mut find = connection.prepare_cached("SELECT id FROM signers WHERE key = ?1")?;
    let signer: Option<i64> = find.query_row(params![key.as_bytes()], |row| row.get(0)).optional()?;
    let first = Head { seq: 0, hash: FIRST_PREVIOUS, signer };
    let mut last = connection
        .prepare_cached("SELECT seq, hash FROM receipts WHERE signer = ?1 ORDER BY position DESC LIMIT 1")?;
    let last = last
        .query_row(params![signer], |row| {
            Ok(Head { seq: convert::count(row, 0)?, hash: convert::digest(row, 1)?, signer })
        })
        .optional()?;
    Ok(last.unwrap_or(first))
}
