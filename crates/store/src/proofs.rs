//! Which attempt a proof was spent for. What strangers prove is as good as random, and a page of an index is eight kilobytes: new
//! proofs go into a small table whose pages every transaction writes anyway, and from there into the large one by thousands,
//! in order. Credit is spent under keys that are in the order of calls; they have an index of their own.

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, params};
use tollgate_domain::{Digest, PaymentKey, Rail};
use tollgate_ledger::SettlementRow;

use crate::convert;
use crate::database::exactly_one;
use crate::redo::{Redo, Statement};

/// How many proofs are moved together: of a million proofs, each page of the large table gets two of them.
const TOGETHER: u64 = 8192;

/// The condition of the index of credit's keys, word for word, so that the index is used.
macro_rules! is_credit {
    () => {
        "key >= 'credit:' AND key < 'credit;'"
    };
}
pub(crate) use is_credit;

/// What both tables know a proof by: the first 16 bytes of the SHA-256 digest of its key's text. `None` for credit.
pub(crate) fn of(key: &PaymentKey) -> Option<[u8; 16]> {
    match key.rail() {
        Rail::X402 | Rail::L402 => Some(digest(&key.to_string())),
        Rail::Credit => None,
    }
}

fn digest(key: &str) -> [u8; 16] {
    let digest = Digest::of(key.as_bytes());
    std::array::from_fn(|place| digest.as_bytes().get(place).copied().unwrap_or_default())
}

/// Has `proof_digest(key)` in statements of this connection, which a migration asks for.
pub(crate) fn prepare_migration(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("proof_digest", 1, flags, |call| {
        Ok(digest(call.get_raw(0).as_str()?).to_vec())
    })
}

/// Whether an attempt is found by its proof, if it is to be.
pub(crate) fn is_listed(connection: &Connection, row: &SettlementRow) -> rusqlite::Result<bool> {
    let Some(proof) = of(&row.key) else { return Ok(true) };
    let found = "SELECT (SELECT call FROM settlements WHERE id = settlement) FROM \
         (SELECT * FROM proofs_lately UNION ALL SELECT * FROM proofs) WHERE proof = ?1 AND attempt = ?2";
    let mut query = connection.prepare_cached(found)?;
    let found = query.query_map(params![proof, row.attempt], |found| convert::optional_id(found, 0))?;
    Ok(found.collect::<rusqlite::Result<Vec<_>>>()? == [Some(row.call)])
}

/// The settlement that was inserted just now is this attempt with this proof, unless there was such an attempt before.
pub(crate) const SPEND: &str = "INSERT INTO proofs_lately (proof, attempt, settlement) SELECT ?1, ?2, last_insert_rowid() \
     WHERE NOT EXISTS (SELECT 1 FROM proofs WHERE proof = ?1 AND attempt = ?2)";

/// The writer's side of the tables.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    /// About how many proofs are in the small table; `None` until it was looked at.
    lately: Option<u64>,
}

impl Proofs {
    /// Executes [`SPEND`], which was noted before.
    ///
    /// # Errors
    /// When there was such an attempt before.
    pub(crate) fn spend(
        &mut self,
        spend: &mut Statement<'_>,
        redo: &mut Redo,
        proof: [u8; 16],
        attempt: u32,
    ) -> rusqlite::Result<()> {
        exactly_one(redo.execute_noted(spend, params![proof, attempt])?)?;
        self.lately = self.lately.map(|lately| lately.saturating_add(1));
        Ok(())
    }

    /// Moves the new proofs into the large table, if there are many. Not for the redo log: nobody who looks for a proof sees a
    /// difference.
    pub(crate) fn move_if_many(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let lately = match self.lately {
            Some(lately) => lately,
            None => {
                let count = "SELECT count(*) FROM proofs_lately";
                let count = connection.query_row(count, [], |row| convert::count(row, 0))?;
                *self.lately.insert(count)
            }
        };
        if lately >= TOGETHER {
            connection
                .execute("INSERT INTO proofs SELECT * FROM proofs_lately ORDER BY proof, attempt", [])?;
            connection.execute("DELETE FROM proofs_lately", [])?;
            self.lately = Some(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
