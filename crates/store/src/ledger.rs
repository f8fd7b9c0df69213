//! The ledger's side of the writer thread: the books as a command sees them inside the transaction, and what a decision
//! writes. Decides nothing about money; `tollgate-ledger` does.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tollgate_attest::{FIRST_PREVIOUS, PublicKey, Sealed, Signer};
use tollgate_domain::{AssetId, CallId, Digest, PaymentKey, Principal, TransferId, UnixMillis};
use tollgate_ledger::{
    AccountName, Advance, Advanced, Balances, Books, Changes, Claim, ClaimDecision, Claimed, EngineError,
    Grant, Granted, Record, Refusal, SettlementRow, Transfer, Verdict,
};

use crate::convert::{self, integer, millis};
use crate::rows;
use crate::standing_cache::StandingCache;
use crate::writer::{Batch, Failure, Session};

/// The writer's memory of the ledger file.
pub(crate) struct LedgerSession {
    signer: Option<Signer>,
    standings: Arc<StandingCache>,
    accounts: BTreeMap<(AccountName, AssetId), Account>,
    /// Where the next receipt goes, once this transaction has asked.
    head: Option<Head>,
    /// Standings as this transaction leaves them, written once per transaction like the accounts.
    moved: BTreeMap<Principal, Record>,
    /// Attempts that this process opened and that have not ended: what an advance asks for was written a moment ago. Only
    /// the gateway that owns the directory writes settlements, so the file says the same.
    open: HashMap<PaymentKey, SettlementRow>,
    /// Whether the last transaction was committed; if not, what is remembered of it is not in the file.
    is_committed: bool,
}

/// An account as this transaction leaves it. Totals are written once per transaction: an account that every call touches
/// costs one update per batch.
struct Account {
    row: i64,
    balances: Balances,
    dirty: bool,
}

/// The last receipt of this process's signing key.
struct Head {
    signer: i64,
    seq: u64,
    hash: Digest,
}

impl LedgerSession {
    pub(crate) fn new(signer: Option<Signer>, standings: Arc<StandingCache>) -> Self {
        Self {
            signer,
            standings,
            accounts: BTreeMap::new(),
            head: None,
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
        // Another process may have booked in between, and the last transaction may have been rolled back.
        self.accounts.clear();
        self.head = None;
        self.moved.clear();
        if !std::mem::replace(&mut self.is_committed, false) {
            self.open.clear();
        }
    }

    fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut update = connection.prepare_cached(
            "UPDATE accounts SET debits_pending = ?2, debits_posted = ?3, credits_pending = ?4, credits_posted = ?5 \
             WHERE id = ?1",
        )?;
        for account in self.accounts.values().filter(|account| account.dirty) {
            let Balances { debits_pending, debits_posted, credits_pending, credits_posted } =
                &account.balances;
            let changed = update.execute(params![
                account.row,
                debits_pending.to_string(),
                debits_posted.to_string(),
                credits_pending.to_string(),
                credits_posted.to_string(),
            ])?;
            exactly_one(changed)?;
        }
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
        match self.session.open.get(key) {
            Some(row) => Ok(Some(row.clone())),
            None => rows::settlement_by_key(self.connection, key),
        }
    }

    fn call_is_used(&mut self, call: &CallId) -> rusqlite::Result<bool> {
        rows::call_is_used(self.connection, call)
    }

    fn balances(&mut self, account: &AccountName, asset: &AssetId) -> rusqlite::Result<Balances> {
        let key = (account.clone(), asset.clone());
        match self.session.accounts.entry(key) {
            Entry::Occupied(known) => Ok(known.get().balances),
            Entry::Vacant(unknown) => {
                let Some((row, balances)) = rows::account(self.connection, account, asset)? else {
                    return Ok(Balances::default());
                };
                unknown.insert(Account { row, balances, dirty: false });
                Ok(balances)
            }
        }
    }

    fn transfer(&mut self, id: &TransferId) -> rusqlite::Result<Option<Transfer>> {
        rows::transfer_by_id(self.connection, id)
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
                self.book(&changes)?;
                if let Some(row) = &changes.settlement {
                    self.insert_settlement(row)?;
                    self.session.open.insert(row.key.clone(), row.clone());
                }
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
        let changes = tollgate_ledger::advance(self, advance)?;
        let Some(mut row) = changes.settlement.clone() else {
            return Err(Refusal::NoSuchSettlement(advance.key.clone()).into());
        };
        // Sealed before anything is written: what cannot be sealed is refused alone.
        let sealed = advance.statement.as_deref().map(|statement| self.seal(statement)).transpose()?;
        self.book(&changes)?;
        if let Some((principal, verdict)) = &changes.judged {
            self.judge(principal, *verdict)?;
        }
        if advance.result.is_some() || advance.private.is_some() {
            self.keep_result(advance)?;
        }
        if let Some(sealed) = &sealed {
            self.keep_receipt(sealed, &advance.call, advance.now)?;
            row.receipt = Some(sealed.receipt_id);
        }
        self.update_settlement(&row)?;
        self.remember(&row);
        Ok(Advanced { state: row.state, receipt: sealed.map(|sealed| sealed.envelope) })
    }

    pub(crate) fn record(
        &mut self,
        call: &CallId,
        statement: &str,
        now: UnixMillis,
    ) -> Result<String, Failure> {
        let sealed = self.seal(statement)?;
        self.keep_receipt(&sealed, call, now)?;
        Ok(sealed.envelope)
    }

    pub(crate) fn grant(&mut self, grant: &Grant) -> Result<Granted, Failure> {
        let (granted, changes) = tollgate_ledger::grant(self, grant)?;
        if let Some(changes) = changes {
            self.book(&changes)?;
        }
        Ok(granted)
    }

    /// Deletes the results of calls that ended before `before`, at most `limit`; returns how many.
    pub(crate) fn prune(&mut self, before: UnixMillis, limit: u32) -> Result<usize, Failure> {
        let deleted = self
            .connection
            .prepare_cached(
                "DELETE FROM results WHERE call IN (SELECT r.call FROM results r JOIN settlements s ON s.call = r.call \
                 WHERE r.stored < ?1 AND s.updated < ?1 AND s.state IN ('settled', 'voided', 'failed', 'in_doubt') LIMIT ?2)",
            )?
            .execute(params![millis(before), limit])?;
        Ok(deleted)
    }

    fn book(&mut self, changes: &Changes) -> rusqlite::Result<()> {
        for (account, asset, balances) in &changes.balances {
            let row = match self.session.accounts.get(&(account.clone(), asset.clone())) {
                Some(known) => known.row,
                None => open_account(self.connection, account, asset)?,
            };
            let after = Account { row, balances: *balances, dirty: true };
            self.session.accounts.insert((account.clone(), asset.clone()), after);
        }
        for transfer in &changes.transfers {
            self.insert_transfer(transfer)?;
        }
        Ok(())
    }

    fn insert_transfer(&mut self, transfer: &Transfer) -> rusqlite::Result<()> {
        let row = |account: &AccountName| {
            let key = (account.clone(), transfer.asset.clone());
            self.session.accounts.get(&key).map(|known| known.row).ok_or(rusqlite::Error::QueryReturnedNoRows)
        };
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
    fn remember(&mut self, row: &SettlementRow) {
        if row.state.is_terminal() {
            self.session.open.remove(&row.key);
        } else if let Some(open) = self.session.open.get_mut(&row.key) {
            open.clone_from(row);
        }
    }

    fn insert_settlement(&mut self, row: &SettlementRow) -> rusqlite::Result<()> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO settlements (key, attempt, call, caller, server, tool, args, price_version, amount, asset, \
             funds, proof, expires, state, claimed, updated) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        insert.execute(params![
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
            row.proof,
            millis(row.expires),
            row.state.word(),
            millis(row.claimed),
            millis(row.updated),
        ])?;
        Ok(())
    }

    fn update_settlement(&mut self, row: &SettlementRow) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare_cached(
            "UPDATE settlements SET state = ?2, updated = ?3, result = ?4, reference = ?5, reason = ?6, receipt = ?7 \
             WHERE call = ?1",
        )?;
        let changed = update.execute(params![
            row.call.as_bytes(),
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
    fn keep_result(&mut self, advance: &Advance) -> rusqlite::Result<()> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO results (call, body, private, stored) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (call) DO UPDATE \
             SET body = coalesce(excluded.body, body), private = coalesce(excluded.private, private), \
             stored = excluded.stored",
        )?;
        upsert.execute(params![
            advance.call.as_bytes(),
            advance.result.as_deref(),
            advance.private,
            millis(advance.now),
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

    /// Signs a statement for the next place in the chain. Writes nothing but, once per key, the key's name.
    fn seal(&mut self, statement: &str) -> Result<Sealed, Failure> {
        let Some(signer) = self.session.signer.as_ref() else {
            return Err(Refusal::NoSigner.into());
        };
        let head = match &mut self.session.head {
            Some(head) => head,
            none => none.insert(head(self.connection, &signer.public())?),
        };
        let sealed = tollgate_attest::seal(statement, head.seq.saturating_add(1), &head.hash, signer)
            .map_err(|error| Refusal::Seal(error.to_string()))?;
        // Decided before anything is written: an id that is taken would break the transaction of everybody else.
        if rows::receipt(self.connection, &sealed.receipt_id)?.is_some() {
            return Err(Refusal::Seal(format!("{} is the id of another receipt", sealed.receipt_id)).into());
        }
        Ok(sealed)
    }

    fn keep_receipt(&mut self, sealed: &Sealed, call: &CallId, now: UnixMillis) -> Result<(), Failure> {
        let head = self.session.head.as_mut().ok_or(Refusal::NoSigner)?;
        let seq = head.seq.saturating_add(1);
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO receipts (signer, seq, id, call, hash, envelope, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute(params![
            head.signer,
            integer(seq),
            sealed.receipt_id.as_bytes(),
            call.as_bytes(),
            sealed.hash.as_bytes(),
            sealed.envelope,
            millis(now),
        ])?;
        head.seq = seq;
        head.hash = sealed.hash;
        Ok(())
    }
}

/// The last receipt that this key signed.
fn head(connection: &Connection, key: &PublicKey) -> rusqlite::Result<Head> {
    let mut find = connection.prepare_cached("SELECT id FROM signers WHERE key = ?1")?;
    let signer = match find.query_row(params![key.as_bytes()], |row| row.get(0)).optional()? {
        Some(signer) => signer,
        None => connection
            .prepare_cached("INSERT INTO signers (key) VALUES (?1)")?
            .insert(params![key.as_bytes()])?,
    };
    let mut last = connection
        .prepare_cached("SELECT seq, hash FROM receipts WHERE signer = ?1 ORDER BY seq DESC LIMIT 1")?;
    let last = last
        .query_row(params![signer], |row| {
            Ok(Head { signer, seq: convert::count(row, 0)?, hash: convert::digest(row, 1)? })
        })
        .optional()?;
    Ok(last.unwrap_or(Head { signer, seq: 0, hash: FIRST_PREVIOUS }))
}

/// A new account with nothing on it.
fn open_account(connection: &Connection, account: &AccountName, asset: &AssetId) -> rusqlite::Result<i64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO accounts (asset, name, debits_pending, debits_posted, credits_pending, credits_posted) \
         VALUES (?1, ?2, '0', '0', '0', '0')",
    )?;
    insert.insert(params![asset.as_str(), account.to_string()])
}

/// What was read a moment ago in the same transaction must still be there.
fn exactly_one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}
