//! The ledger's side of the writer thread: the books as a command sees them inside the transaction, and what a decision
//! writes. Decides nothing about money; `tollgate-ledger` does.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, params};
use tollgate_attest::Signer;
use tollgate_domain::{AssetId, CallId, PaymentKey, Principal, ReceiptId, TransferId, UnixMillis};
use tollgate_ledger::{
    AccountName, Advance, Advanced, Balances, Books, Changes, Claim, ClaimDecision, Claimed, EngineError,
    Grant, Granted, Record, Refusal, SettlementRow, State, Transfer, Verdict,
};

use crate::accounts::Accounts;
use crate::convert::{self, integer, millis};
use crate::database::{exactly_one, is_taken};
use crate::receipts::{Chain, Price};
use crate::rows;
use crate::standing_cache::StandingCache;
use crate::writer::{Batch, Failure, Session};

/// The writer's memory of the ledger file.
pub(crate) struct LedgerSession {
    /// `None` beside a gateway: only the gateway seals receipts.
    chain: Option<Chain>,
    standings: Arc<StandingCache>,
    accounts: Accounts,
    /// Standings as this transaction leaves them, written once per transaction like the accounts.
    moved: BTreeMap<Principal, Record>,
    /// Attempts that have not ended: what an advance asks for was most often written a moment ago. Only the gateway that owns
    /// the directory writes settlements, so the file says the same.
    open: HashMap<PaymentKey, Open>,
    /// Whether the last transaction was committed; if not, what is remembered of it is not in the file.
    is_committed: bool,
}

/// An attempt and its place in the table.
struct Open {
    id: i64,
    row: SettlementRow,
}

/// What one round of pruning did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pruned {
    /// How many results were deleted.
    pub(crate) forgotten: usize,
    /// Up to which settlement results were looked at; `None` when there are no older ones left.
    pub(crate) looked_at: Option<i64>,
}

impl LedgerSession {
    pub(crate) fn new(signer: Option<Signer>, standings: Arc<StandingCache>) -> Self {
        Self {
            chain: signer.map(Chain::new),
            standings,
            accounts: Accounts::default(),
            moved: BTreeMap::new(),
            open: HashMap::new(),
            is_committed: true,
        }
    }
}

impl fmt::Debug for LedgerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerSession").finish_non_exhaustive()
    }
}

impl Session for LedgerSession {
    fn begin(&mut self) {
        self.accounts.forget();
        self.moved.clear();
        if !std::mem::replace(&mut self.is_committed, false) {
            self.open.clear();
            if let Some(chain) = &mut self.chain {
                chain.forget();
            }
        }
    }

    fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.accounts.flush(connection)?;
        let mut upsert = connection.prepare_cached(
            "INSERT INTO standings (principal, reputation, settled, failed) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (principal) DO UPDATE \
             SET reputation = excluded.reputation, settled = excluded.settled, failed = excluded.failed",
        )?;
        for (principal, record) in &self.moved {
            upsert.execute(params![
                principal.as_str(),
                record.reputation.get(),
                integer(record.settled),
                integer(record.failed),
            ])?;
        }
        Ok(())
    }

    fn committed(&mut self) {
        self.is_committed = true;
        self.standings.committed(&mut self.moved);
    }
}

impl Books for Batch<'_, LedgerSession> {
    type Error = rusqlite::Error;

    fn settlement(&mut self, key: &PaymentKey) -> rusqlite::Result<Option<SettlementRow>> {
        if let Some(open) = self.session.open.get(key) {
            return Ok(Some(open.row.clone()));
        }
        let Some((id, row)) = rows::settlement_by_key(self.connection, key)? else {
            return Ok(None);
        };
        if !row.state.is_terminal() {
            self.session.open.insert(row.key.clone(), Open { id, row: row.clone() });
        }
        Ok(Some(row))
    }

    fn balances(&mut self, account: &AccountName, asset: &AssetId) -> rusqlite::Result<Balances> {
        self.session.accounts.balances(self.connection, account, asset)
    }

    fn posted(&mut self, id: &TransferId) -> rusqlite::Result<Option<Transfer>> {
        rows::posted_transfer(self.connection, id)
    }
}

impl From<EngineError<rusqlite::Error>> for Failure {
    fn from(error: EngineError<rusqlite::Error>) -> Self {
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::Books(error) => error.into(),
        }
    }
}

impl Batch<'_, LedgerSession> {
    pub(crate) fn claim(&mut self, claim: &Claim) -> Result<Claimed, Failure> {
        Ok(match tollgate_ledger::claim(self, claim)? {
            ClaimDecision::Fresh { attempt, changes } => {
                // First, because it alone may still be refused.
                if let Some(row) = &changes.settlement {
                    let id = self.insert_settlement(row)?;
                    self.session.open.insert(row.key.clone(), Open { id, row: row.clone() });
                }
                self.book(&changes)?;
                Claimed::Fresh { attempt }
            }
            ClaimDecision::InProgress(row) => {
                Claimed::InProgress { call: row.call, state: row.state, since: row.claimed }
            }
            ClaimDecision::Answered(row) => Claimed::Answered(rows::answer(self.connection, &row)?),
            ClaimDecision::OtherRequest(differs) => Claimed::OtherRequest { differs },
            ClaimDecision::Failed(reason) => Claimed::Failed { reason },
            ClaimDecision::InDoubt(call) => Claimed::InDoubt { call },
            ClaimDecision::InsufficientFunds(available) => Claimed::InsufficientFunds { available },
        })
    }

    pub(crate) fn advance(&mut self, advance: &Advance) -> Result<Advanced, Failure> {
        let mut changes = tollgate_ledger::advance(self, advance)?;
        let (Some(mut row), Some((id, before))) = (changes.settlement.take(), self.place(&advance.key)?)
        else {
            return Err(Refusal::NoSuchSettlement(advance.key.clone()).into());
        };
        // Sealed before anything else is written: what cannot be sealed is refused alone.
        let sealed = match &advance.statement {
            Some(statement) => Some(self.add_receipt(statement, &advance.call, Price::Paid)?),
            None => None,
        };
        if let Some((receipt, _)) = &sealed {
            row.receipt = Some(*receipt);
        }
        self.book(&changes)?;
        if let Some((principal, verdict)) = &changes.judged {
            self.judge(principal, *verdict)?;
        }
        if advance.result.is_some() || advance.private.is_some() {
            self.keep_result(id, advance)?;
        }
        self.update_settlement(id, before, &row)?;
        let state = row.state;
        self.remember(id, row);
        Ok(Advanced { state, receipt: sealed.map(|(_, envelope)| envelope) })
    }

    pub(crate) fn record(&mut self, call: &CallId, statement: &str) -> Result<String, Failure> {
        self.add_receipt(statement, call, Price::Free).map(|(_, envelope)| envelope)
    }

    pub(crate) fn grant(&mut self, grant: &Grant) -> Result<Granted, Failure> {
        let (granted, changes) = tollgate_ledger::grant(self, grant)?;
        if let Some(changes) = changes {
            self.book(&changes)?;
        }
        Ok(granted)
    }

    /// Looks at the results of at most `limit` settlements past `after`, in the order of claiming, and deletes those of calls
    /// that ended before `before`.
    pub(crate) fn prune(&mut self, before: UnixMillis, after: i64, limit: u32) -> Result<Pruned, Failure> {
        let mut query = self.connection.prepare_cached(
            "SELECT r.settlement, r.stored, s.updated, s.state, s.claimed FROM results r \
             JOIN settlements s ON s.id = r.settlement WHERE r.settlement > ?1 ORDER BY r.settlement LIMIT ?2",
        )?;
        let mut delete = self.connection.prepare_cached("DELETE FROM results WHERE settlement = ?1")?;
        let mut pruned = Pruned { forgotten: 0, looked_at: None };
        let mut looked_at = query.query(params![after, limit])?;
        while let Some(row) = looked_at.next()? {
            // Whatever was claimed later was stored later: there is nothing old behind it.
            if convert::moment(row, 4)? >= before {
                pruned.looked_at = None;
                break;
            }
            let settlement: i64 = row.get(0)?;
            pruned.looked_at = Some(settlement);
            let (stored, updated) = (convert::moment(row, 1)?, convert::moment(row, 2)?);
            if stored < before && updated < before && convert::text::<State>(row, 3)?.is_terminal() {
                pruned.forgotten = pruned.forgotten.saturating_add(delete.execute(params![settlement])?);
            }
        }
        Ok(pruned)
    }

    /// Where the latest attempt with this key stands in the table, and in which state.
    fn place(&self, key: &PaymentKey) -> rusqlite::Result<Option<(i64, State)>> {
        if let Some(open) = self.session.open.get(key) {
            return Ok(Some((open.id, open.row.state)));
        }
        Ok(rows::settlement_by_key(self.connection, key)?.map(|(id, row)| (id, row.state)))
    }

    fn book(&mut self, changes: &Changes) -> rusqlite::Result<()> {
        for (account, asset, balances) in &changes.balances {
            self.session.accounts.set(self.connection, account, asset, *balances)?;
        }
        for transfer in &changes.transfers {
            self.insert_transfer(transfer)?;
        }
        Ok(())
    }

    fn insert_transfer(&mut self, transfer: &Transfer) -> rusqlite::Result<()> {
        let row = |account: &AccountName| self.session.accounts.row(account, &transfer.asset);
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO transfers (id, kind, resolves, debit, credit, amount, call, note, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        insert.execute(params![
            transfer.id.as_bytes(),
            transfer.kind.word(),
            transfer.kind.resolves().map(|of| *of.as_bytes()),
            row(&transfer.debit)?,
            row(&transfer.credit)?,
            transfer.amount.to_string(),
            transfer.call.map(|call| *call.as_bytes()),
            transfer.note,
            millis(transfer.at),
        ])?;
        Ok(())
    }

    /// Keeps what is open at hand, and forgets what has ended.
    fn remember(&mut self, id: i64, row: SettlementRow) {
        if row.state.is_terminal() {
            self.session.open.remove(&row.key);
        } else {
            self.session.open.insert(row.key.clone(), Open { id, row });
        }
    }

    fn insert_settlement(&mut self, row: &SettlementRow) -> Result<i64, Failure> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO settlements (key, attempt, call, caller, server, tool, args, price_version, amount, asset, \
             funds, proof, expires, state, claimed, updated) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        let inserted = insert.insert(params![
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
        ]);
        inserted.map_err(|error| match is_taken(&error, "settlements.call") {
            true => Refusal::CallReused(row.call).into(),
            false => error.into(),
        })
    }

    /// Writes where an attempt stands now, provided that it still stands where it was read.
    fn update_settlement(&mut self, id: i64, before: State, row: &SettlementRow) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare_cached(
            "UPDATE settlements SET state = ?3, updated = ?4, result = ?5, reference = ?6, reason = ?7, receipt = ?8 \
             WHERE id = ?1 AND state = ?2",
        )?;
        let changed = update.execute(params![
            id,
            before.word(),
            row.state.word(),
            millis(row.updated),
            row.result.map(|digest| *digest.as_bytes()),
            row.reference,
            row.reason,
            row.receipt.map(|id| *id.as_bytes()),
        ])?;
        exactly_one(changed)
    }

    /// A later step may bring the salts of a later receipt; it does not take the result away.
    fn keep_result(&mut self, settlement: i64, advance: &Advance) -> rusqlite::Result<()> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO results (settlement, stored, private, body) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (settlement) DO UPDATE SET stored = excluded.stored, \
             private = coalesce(excluded.private, private), body = coalesce(excluded.body, body)",
        )?;
        upsert.execute(params![
            settlement,
            millis(advance.now),
            advance.private,
            advance.result.as_deref()
        ])?;
        Ok(())
    }

    fn judge(&mut self, principal: &Principal, verdict: Verdict) -> rusqlite::Result<()> {
        let before = match self.session.moved.get(principal) {
            Some(record) => *record,
            None => rows::standing(self.connection, principal)?,
        };
        let record = before.after(verdict);
        self.session.moved.insert(principal.clone(), record);
        Ok(())
    }

    /// The id and the envelope of a new receipt.
    fn add_receipt(
        &mut self,
        statement: &str,
        call: &CallId,
        price: Price,
    ) -> Result<(ReceiptId, String), Failure> {
        let chain = self.session.chain.as_mut().ok_or(Refusal::NoSigner)?;
        let sealed = chain.add(self.connection, statement, call, price)?;
        Ok((sealed.receipt_id, sealed.envelope))
    }
}
