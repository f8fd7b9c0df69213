//! Receipts as the writer adds them: sealed for the next place in the chain of this process's key.

use rusqlite::{Connection, OptionalExtension, params};
use tollgate_attest::{FIRST_PREVIOUS, PublicKey, Sealed, Signer};
use tollgate_domain::{CallId, Digest};
use tollgate_ledger::Refusal;

use crate::convert::{self, integer};
use crate::database::is_taken;
use crate::writer::Failure;

/// The chain that this process adds to.
#[derive(Debug)]
pub(crate) struct Chain {
    signer: Signer,
    /// Where the next receipt goes, once it was looked up. Only the process that holds the directory adds receipts, so it
    /// stays known until a transaction is not committed.
    head: Option<Head>,
}

/// The last receipt of this key.
#[derive(Debug)]
struct Head {
    signer: i64,
    seq: u64,
    hash: Digest,
}

/// Whether a receipt is of a call that has no settlement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Price {
    Paid,
    Free,
}

impl Chain {
    pub(crate) fn new(signer: Signer) -> Self {
        Self { signer, head: None }
    }

    /// What was added last is not in the file after all.
    pub(crate) fn forget(&mut self) {
        self.head = None;
    }

    /// Signs a statement for the next place and adds it. Refused alone, before it has written anything but, once per key,
    /// the key's name.
    pub(crate) fn add(
        &mut self,
        connection: &Connection,
        statement: &str,
        call: &CallId,
        price: Price,
    ) -> Result<Sealed, Failure> {
        let head = match &mut self.head {
            Some(head) => head,
            none => none.insert(head(connection, &self.signer.public())?),
        };
        let seq = head.seq.saturating_add(1);
        let sealed = tollgate_attest::seal(statement, seq, &head.hash, &self.signer)
            .map_err(|error| Refusal::Seal(error.to_string()))?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO receipts (signer, seq, id, call, free, hash, envelope) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let added = insert.execute(params![
            head.signer,
            integer(seq),
            sealed.receipt_id.as_bytes(),
            call.as_bytes(),
            price == Price::Free,
            sealed.hash.as_bytes(),
            sealed.envelope,
        ]);
        match added {
            Err(error) if is_taken(&error, "receipts.id") => {
                Err(Refusal::Seal(format!("{} is the id of another receipt", sealed.receipt_id)).into())
            }
            Err(error) => Err(error.into()),
            Ok(_) => {
                (head.seq, head.hash) = (seq, sealed.hash);
                Ok(sealed)
            }
        }
    }
}

/// The last receipt that this key signed.
fn head(connection: &Connection, key: &PublicKey) -> rusqlite::Result<Head> {
    let mut find = connection.prepare_cached("SELECT id FROM signers WHERE key = ?1")?;
    let known = find.query_row(params![key.as_bytes()], |row| row.get(0)).optional()?;
    let Some(signer) = known else {
        let mut name = connection.prepare_cached("INSERT INTO signers (key) VALUES (?1)")?;
        return Ok(Head { signer: name.insert(params![key.as_bytes()])?, seq: 0, hash: FIRST_PREVIOUS });
    };
    let mut last = connection
        .prepare_cached("SELECT seq, hash FROM receipts WHERE signer = ?1 ORDER BY position DESC LIMIT 1")?;
    let last = last
        .query_row(params![signer], |row| {
            Ok(Head { signer, seq: convert::count(row, 0)?, hash: convert::digest(row, 1)? })
        })
        .optional()?;
    Ok(last.unwrap_or(Head { signer, seq: 0, hash: FIRST_PREVIOUS }))
}
