//! What a batch writes, one array statement for each table.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};
use tollgate_domain::{AssetId, CallId, Principal};
use tollgate_ledger::{
    AccountName, BatchChanges, Kept, NewReceipt, Record, RefundCause, SettlementRow, State, Transfer,
};

use super::accounts::{self, Accounts, Balanced};
use super::exact::Exact;
use super::{budgets, escrows, payouts};
use crate::convert::{integer, millis};

/// The prepared statements of one connection.
pub(super) struct Statements {
    claimed: Statement,
    moved: Statement,
    kept: Statement,
    receipts: Statement,
    accounts: accounts::Statements,
    transfers: Statement,
    standings: Statement,
    usages: Statement,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The database said no, or cannot be reached.
    Database(Error),
    /// A value that has no stored form.
    Malformed(String),
    /// Another number of rows was written than the batch says: nothing of it may be committed.
    Rows {
        /// In which table.
        table: &'static str,
        /// How many it should have been.
        expected: usize,
        /// How many it was.
        written: u64,
    },
    /// An account was not written, because it is not any more as it was read.
    Outdated,
}

impl WriteError {
    /// Nothing, where as many rows were written as expected.
    pub(super) fn unless(
        table: &'static str,
        expected: usize,
        written: Result<u64, Error>,
    ) -> Result<(), Self> {
        let written = written.map_err(Self::Database)?;
        if u64::try_from(expected) == Ok(written) {
            return Ok(());
        }
        Err(Self::Rows { table, expected, written })
    }
}

const CLAIMED: &str = "INSERT INTO settlements (owner, key, attempt, call, caller, server, tool, args, price_version, amount, asset, \
    funds, proof, expires, state, claimed, updated, result, reference, reason, receipt, settle, payer, refund, refunded, \
    quote, reserved, splits) SELECT $1::integer, v.key, v.attempt, v.call, v.caller, v.server, v.tool, v.args, v.price_version, v.amount::numeric, v.asset, \
    v.funds, v.proof, v.expires, v.state, v.claimed, v.updated, v.result, v.reference, v.reason, v.receipt, v.settle, \
    v.payer, v.refund, v.refunded::numeric, v.quote, v.reserved, v.splits FROM unnest($2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bigint[], \
    $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::text[], $16::bigint[], $17::bigint[], \
    $18::bytea[], $19::text[], $20::text[], $21::bytea[], $22::text[], $23::text[], $24::text[], $25::text[], $26::bytea[], $27::text[], $28::text[]) WITH ORDINALITY \
    v(key, attempt, call, caller, server, tool, args, price_version, amount, asset, funds, proof, expires, state, claimed, \
    updated, result, reference, reason, receipt, settle, payer, refund, refunded, quote, reserved, splits, place) ORDER BY v.place";

const MOVED: &str = "UPDATE settlements s SET state = v.state, updated = v.updated, result = v.result, reference = v.reference, \
    reason = v.reason, receipt = v.receipt, refund = v.refund, refunded = v.refunded::numeric \
    FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bytea[], \
    $9::text[], $10::text[]) v(call, before, state, updated, result, reference, reason, receipt, refund, refunded) WHERE s.call = v.call AND s.state = v.before";

const KEPT: &str = "INSERT INTO results AS r (settlement, stored, private, body) \
    SELECT s.id, v.stored, v.private, v.body FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bytea[]) \
    v(call, stored, private, body) JOIN settlements s ON s.call = v.call \
    ON CONFLICT (settlement) DO UPDATE SET stored = excluded.stored, \
    private = coalesce(excluded.private, r.private), body = coalesce(excluded.body, r.body)";

const RECEIPTS: &str = "INSERT INTO receipts (signer, seq, id, call, free, hash, envelope) \
    SELECT $1::integer, v.seq, v.id, v.call, v.free, v.hash, v.envelope \
    FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::boolean[], $6::bytea[], $7::text[]) \
    v(seq, id, call, free, hash, envelope) ORDER BY v.seq";

const TRANSFERS: &str = "INSERT INTO transfers (id, kind, resolves, debit, credit, amount, call, note, at, expires) \
    SELECT v.id, v.kind, v.resolves, v.debit, v.credit, v.amount, v.call, v.note, v.at, v.expires \
    FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::numeric[], $7::bytea[], \
    $8::text[], $9::bigint[], $10::bigint[]) WITH ORDINALITY \
    v(id, kind, resolves, debit, credit, amount, call, note, at, expires, place) ORDER BY v.place";

const STANDINGS: &str = "INSERT INTO standings (principal, reputation, settled, failed) \
    SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) v(principal, reputation, settled, failed) \
    ORDER BY v.principal ON CONFLICT (principal) DO UPDATE \
    SET reputation = excluded.reputation, settled = excluded.settled, failed = excluded.failed";

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let (claimed, moved, kept, receipts, accounts, transfers, standings, usages) = tokio::try_join!(
            client.prepare(CLAIMED),
            client.prepare(MOVED),
            client.prepare(KEPT),
            client.prepare(RECEIPTS),
            accounts::Statements::prepare(client),
            client.prepare(TRANSFERS),
            client.prepare(STANDINGS),
            client.prepare(budgets::UPSERT_USAGES),
        )?;
        Ok(Self { claimed, moved, kept, receipts, accounts, transfers, standings, usages })
    }
}

/// Writes everything inside the open transaction, in one round trip and, where there are new accounts, one before it. Tells the rows
/// of the accounts, in order.
pub(super) async fn write(
    client: &Client,
    statements: &Statements,
    owner: i32,
    changes: &BatchChanges,
    known: &Accounts,
) -> Result<Vec<i64>, WriteError> {
    let places = accounts::place(client, &statements.accounts, &changes.balances, known).await?;
    let Settlements { claimed, moved } = Settlements::of(changes);
    let kept = results(&changes.kept);
    let write = Write { client, statements };
    let rows = Places::of(&changes.balances, &places);
    let (claimed, moved, kept, receipts, accounts, transfers, standings, budgets) = tokio::join!(
        biased;
        write.claimed(owner, &claimed),
        write.moved(&moved),
        write.kept(&kept),
        write.receipts(owner, &changes.receipts),
        accounts::write(client, &statements.accounts, &changes.balances, known),
        write.transfers(&changes.transfers, &rows),
        write.standings(&changes.standings),
        Box::pin(budgets::write(client, &statements.usages, &changes.budgets)),
    );
    // The first that failed is the cause; those behind it only say that the transaction is broken.
    claimed.and(moved).and(kept).and(receipts).and(accounts).and(transfers).and(standings).and(budgets)?;
    escrows::write(client, &changes.escrows).await?;
    payouts::write(client, &changes.payouts, &changes.payees).await?;
    Ok(places)
}

/// The rows of the accounts of a batch.
struct Places<'a>(HashMap<(&'a AccountName, &'a AssetId), i64>);

impl<'a> Places<'a> {
    fn of(balances: &'a [Balanced], places: &[i64]) -> Self {
        let places = balances.iter().zip(places);
        Self(places.map(|((name, asset, _), place)| ((name, asset), *place)).collect())
    }

    /// The rows of these accounts, which the batch changes as well: no transfer names one that is not there.
    fn column(
        &self,
        transfers: &[Transfer],
        side: impl Fn(&Transfer) -> &AccountName,
    ) -> Result<Vec<i64>, WriteError> {
        let place = |transfer| {
            let (name, asset) = (side(transfer), &transfer.asset);
            let missing = || WriteError::Malformed(format!("{name} has no row"));
            self.0.get(&(name, asset)).copied().ok_or_else(missing)
        };
        transfers.iter().map(place).collect()
    }
}

/// A column of these rows.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

struct Write<'a> {
    client: &'a Client,
    statements: &'a Statements,
}

impl Write<'_> {
    async fn claimed(&self, owner: i32, rows: &[Arc<SettlementRow>]) -> Result<(), WriteError> {
        let parameters: &[&(dyn ToSql + Sync)] = &[
            &owner,
            &column(rows, |row| row.key.to_string()),
            &column(rows, |row| i64::from(row.attempt)),
            &column(rows, |row| row.call.as_bytes().as_slice()),
            &column(rows, |row| row.caller.as_str()),
            &column(rows, |row| row.binding.tool.server.as_str()),
            &column(rows, |row| row.binding.tool.tool.as_str()),
            &column(rows, |row| row.binding.args.as_bytes().as_slice()),
            &column(rows, |row| i64::from(row.binding.price_version)),
            &column(rows, |row| row.amount.to_string()),
            &column(rows, |row| row.asset.as_str()),
            &column(rows, |row| row.funds.to_string()),
            &column(rows, |row| &*row.proof),
            &column(rows, |row| millis(row.expires)),
            &column(rows, |row| row.state.word()),
            &column(rows, |row| millis(row.claimed)),
            &column(rows, |row| millis(row.updated)),
            &column(rows, |row| row.result.as_ref().map(|digest| digest.as_bytes().as_slice())),
            &column(rows, |row| row.reference.as_deref()),
            &column(rows, |row| row.reason.as_deref()),
            &column(rows, |row| row.receipt.as_ref().map(|id| id.as_bytes().as_slice())),
            &column(rows, |row| row.settle.word()),
            &column(rows, |row| row.payer.as_str()),
            &column(rows, |row| row.refund.map(RefundCause::word)),
            &column(rows, |row| row.refunded.to_string()),
            &column(rows, |row| row.binding.quote.as_ref().map(|digest| digest.as_bytes().as_slice())),
            &column(rows, |row| row.reserved.to_string()),
            &column(rows, |row| row.splits.to_string()),
        ];
        self.rows("settlements", rows.len(), &self.statements.claimed, parameters).await
    }

    async fn moved(&self, rows: &[(State, Arc<SettlementRow>)]) -> Result<(), WriteError> {
        let parameters: &[&(dyn ToSql + Sync)] = &[
            &column(rows, |(_, row)| row.call.as_bytes().as_slice()),
            &column(rows, |(before, _)| before.word()),
            &column(rows, |(_, row)| row.state.word()),
            &column(rows, |(_, row)| millis(row.updated)),
            &column(rows, |(_, row)| row.result.as_ref().map(|digest| digest.as_bytes().as_slice())),
            &column(rows, |(_, row)| row.reference.as_deref()),
            &column(rows, |(_, row)| row.reason.as_deref()),
            &column(rows, |(_, row)| row.receipt.as_ref().map(|id| id.as_bytes().as_slice())),
            &column(rows, |(_, row)| row.refund.map(RefundCause::word)),
            &column(rows, |(_, row)| row.refunded.to_string()),
        ];
        self.rows("settlements", rows.len(), &self.statements.moved, parameters).await
    }

    async fn kept(&self, rows: &[Kept]) -> Result<(), WriteError> {
        let parameters: &[&(dyn ToSql + Sync)] = &[
            &column(rows, |kept| kept.call.as_bytes().as_slice()),
            &column(rows, |kept| millis(kept.at)),
            &column(rows, |kept| kept.private.as_deref()),
            &column(rows, |kept| kept.result.as_deref()),
        ];
        self.rows("results", rows.len(), &self.statements.kept, parameters).await
    }

    async fn receipts(&self, signer: i32, rows: &[NewReceipt]) -> Result<(), WriteError> {
        let parameters: &[&(dyn ToSql + Sync)] = &[
            &signer,
            &column(rows, |receipt| integer(receipt.sealed.seq)),
            &column(rows, |receipt| receipt.sealed.id.as_bytes().as_slice()),
            &column(rows, |receipt| receipt.call.as_bytes().as_slice()),
            &column(rows, |receipt| receipt.free),
            &column(rows, |receipt| receipt.sealed.hash.as_bytes().as_slice()),
            &column(rows, |receipt| receipt.sealed.kept.as_str()),
        ];
        self.rows("receipts", rows.len(), &self.statements.receipts, parameters).await
    }

    async fn transfers(&self, rows: &[Transfer], places: &Places<'_>) -> Result<(), WriteError> {
        let resolves = column(rows, |transfer| transfer.kind.resolves().map(|of| *of.as_bytes()));
        let parameters: &[&(dyn ToSql + Sync)] = &[
            &column(rows, |transfer| transfer.id.as_bytes().as_slice()),
            &column(rows, |transfer| transfer.kind.word()),
            &column(&resolves, |of| of.as_ref().map(<[u8; 16]>::as_slice)),
            &places.column(rows, |transfer| &transfer.debit)?,
            &places.column(rows, |transfer| &transfer.credit)?,
            &column(rows, |transfer| Exact(transfer.amount)),
            &column(rows, |transfer| transfer.call.as_ref().map(|call| call.as_bytes().as_slice())),
            &column(rows, |transfer| transfer.note.as_str()),
            &column(rows, |transfer| millis(transfer.at)),
            &column(rows, |transfer| transfer.expires.map(millis)),
        ];
        self.rows("transfers", rows.len(), &self.statements.transfers, parameters).await
    }

    async fn standings(&self, rows: &[(Principal, Record)]) -> Result<(), WriteError> {
        let parameters: &[&(dyn ToSql + Sync)] = &[
            &column(rows, |(principal, _)| principal.as_str()),
            &column(rows, |(_, record)| i32::from(record.reputation.get())),
            &column(rows, |(_, record)| integer(record.settled)),
            &column(rows, |(_, record)| integer(record.failed)),
        ];
        self.rows("standings", rows.len(), &self.statements.standings, parameters).await
    }

    /// Writes so many rows, and no other number of them; asks nothing where there are none.
    async fn rows(
        &self,
        table: &'static str,
        expected: usize,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), WriteError> {
        if expected == 0 {
            return Ok(());
        }
        WriteError::unless(table, expected, self.client.execute(statement, parameters).await)
    }
}

/// Each attempt once: an array statement changes a row only once.
#[derive(Default)]
struct Settlements {
    /// New ones, as the whole batch leaves them.
    claimed: Vec<Arc<SettlementRow>>,
    /// Those that were there before: where they stood, and as the whole batch leaves them.
    moved: Vec<(State, Arc<SettlementRow>)>,
}

impl Settlements {
    fn of(changes: &BatchChanges) -> Self {
        // With the attempt: a call that was claimed before may be claimed once more behind its end. The unique key refuses that
        // one, and must not meet the attempt before it in its place.
        let mut of_call: HashMap<(CallId, u32), (bool, usize)> = HashMap::new();
        let mut settlements = Self { claimed: changes.claimed.clone(), moved: Vec::new() };
        for (place, row) in settlements.claimed.iter().enumerate() {
            of_call.insert((row.call, row.attempt), (true, place));
        }
        for moved in &changes.moved {
            let row = Arc::clone(&moved.row);
            match of_call.get(&(row.call, row.attempt)) {
                Some((true, place)) => {
                    if let Some(slot) = settlements.claimed.get_mut(*place) {
                        *slot = row;
                    }
                }
                Some((false, place)) => {
                    if let Some((_, slot)) = settlements.moved.get_mut(*place) {
                        *slot = row;
                    }
                }
                None => {
                    of_call.insert((row.call, row.attempt), (false, settlements.moved.len()));
                    settlements.moved.push((moved.before, row));
                }
            }
        }
        settlements
    }
}

/// Each call once; what a later step does not bring, the earlier one keeps.
fn results(kept: &[Kept]) -> Vec<Kept> {
    let mut of_call: HashMap<CallId, usize> = HashMap::new();
    let mut merged: Vec<Kept> = Vec::with_capacity(kept.len());
    for kept in kept {
        let known = of_call.get(&kept.call).and_then(|place| merged.get_mut(*place));
        match known {
            Some(known) => {
                known.at = kept.at;
                if kept.result.is_some() {
                    known.result.clone_from(&kept.result);
                }
                if kept.private.is_some() {
                    known.private.clone_from(&kept.private);
                }
            }
            None => {
                of_call.insert(kept.call, merged.len());
                merged.push(kept.clone());
            }
        }
    }
    merged
}
