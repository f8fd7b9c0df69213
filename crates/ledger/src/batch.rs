//! Many commands, one commit: each is decided on the books as the ones before it leave them, and what all of them write is
//! gathered. Nothing is written here. A refused command leaves the batch as it was.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_domain::{
    ApprovalId, AssetId, CallId, Digest, EscrowId, PaymentKey, PayoutId, Principal, ReceiptId, ToolRef,
    TransferId, UnixMillis,
};

use crate::booking;
use crate::budget::{self, Approval, BudgetChanges, Counter, Stops, Usage, Wanted};
use crate::engine::{self, Books, Changes, ClaimDecision, EngineError};
use crate::escrow::{self, EscrowChanges, EscrowCommand, EscrowMoved, EscrowReceipt, EscrowRow, MoveEscrow};
use crate::payout::{
    self, PayeeChange, PayeeRow, PayoutAnswer, PayoutChanges, PayoutCommand, PayoutRow, ProviderName,
};
use crate::{
    AccountName, Advance, Advanced, Balances, Claim, Claimed, Command, Grant, Granted, Outcome, Record,
    Refund, Refunded, Refusal, SettlementRow, State, Transfer,
};

/// Seals receipts, each for the place after the one before it.
pub trait Sealer {
    /// Signs a statement for the next place in the chain. What was sealed and then not committed is sealed again by whoever
    /// asks again: the place is taken with the commit.
    ///
    /// # Errors
    /// [`Refusal::NoSigner`], [`Refusal::Seal`]; the place is still free then.
    fn seal(&mut self, statement: &str) -> Result<Sealed, Refusal>;

    /// The same of what an event of an escrow moved: its statement is spelled out where receipts are.
    ///
    /// # Errors
    /// As [`Self::seal`].
    fn seal_escrow(&mut self, moved: &EscrowReceipt<'_>) -> Result<Sealed, Refusal>;
}

/// What sealing gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// What is written of it.
    pub receipt: SealedReceipt,
    /// The envelope as JSON text, for whoever is answered.
    pub envelope: String,
}

/// What is written of a receipt, if there is one, and its envelope.
fn parted(sealed: Option<Sealed>) -> (Option<SealedReceipt>, Option<String>) {
    sealed.map(|Sealed { receipt, envelope }| (receipt, envelope)).unzip()
}

/// A signed receipt with its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// Its place in the chain of the key that signed it, from 1.
    pub seq: u64,
    /// What the next receipt of this key names as the one before it.
    pub hash: Digest,
    /// The envelope, in the form in which the store keeps it.
    pub kept: String,
}

/// A sealed receipt to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewReceipt {
    /// The call it is for, or the number of the escrow.
    pub call: CallId,
    /// Whether the call has no settlement.
    pub free: bool,
    /// The receipt.
    pub sealed: SealedReceipt,
}

/// A settlement that moved on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// Where it stood.
    pub before: State,
    /// Where it stands.
    pub row: Arc<SettlementRow>,
}

/// What a call produced, to be kept for whoever repeats its proof. A later step may bring the salts of a later receipt; it does
/// not take the result away.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The call.
    pub call: CallId,
    /// The result's bytes.
    pub result: Option<Vec<u8>>,
    /// For the parties only, as JSON text.
    pub private: Option<String>,
    /// When.
    pub at: UnixMillis,
}

impl std::fmt::Debug for Kept {
    /// Neither the result nor the salts: they belong to the caller.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept(for {}, {:?} bytes)", self.call, self.result.as_ref().map(Vec::len))
    }
}

/// Everything that a batch writes, to be committed together: claims first, then the rest in any order. Of accounts and standings
/// there is one row each, however many commands touched them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BatchChanges {
    /// New attempts as they were claimed. The store's unique keys have the last word on each.
    pub claimed: Vec<Arc<SettlementRow>>,
    /// Attempts that moved on, in order; one that was claimed in this batch too may be among them.
    pub moved: Vec<Moved>,
    /// What calls produced, in order.
    pub kept: Vec<Kept>,
    /// New receipts, in the order of their chain.
    pub receipts: Vec<NewReceipt>,
    /// New transfers, in order.
    pub transfers: Vec<Transfer>,
    /// What stands on each account that was touched.
    pub balances: Vec<(AccountName, AssetId, Balances)>,
    /// What is remembered of each principal whose standing moved.
    pub standings: Vec<(Principal, Record)>,
    /// What changes of budgets.
    pub budgets: BudgetChanges,
    /// Escrows that were opened or moved on, in order.
    pub escrows: Vec<EscrowChanges>,
    /// Payouts that were asked for or moved on, in order.
    pub payouts: Vec<PayoutChanges>,
    /// Providers of whom something else is remembered, in order.
    pub payees: Vec<PayeeChange>,
}

impl BatchChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let Self {
            claimed,
            moved,
            kept,
            receipts,
            transfers,
            balances,
            standings,
            budgets,
            escrows,
            payouts,
            payees,
        } = self;
        claimed.is_empty()
            && moved.is_empty()
            && kept.is_empty()
            && receipts.is_empty()
            && transfers.is_empty()
            && balances.is_empty()
            && standings.is_empty()
            && budgets.is_empty()
            && escrows.is_empty()
            && payouts.is_empty()
            && payees.is_empty()
    }
}

/// The commands of one commit so far: what they read, and what they write.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    settlements: HashMap<PaymentKey, Option<Arc<SettlementRow>>>,
    accounts: HashMap<AccountName, Vec<Account>>,
    /// Of this batch, by their place among the transfers: named ones by id, and those that resolve named ones by what they resolve.
    named: HashMap<TransferId, usize>,
    resolutions: HashMap<TransferId, usize>,
    standings: HashMap<Principal, Record>,
    claimed: Vec<Arc<SettlementRow>>,
    moved: Vec<Moved>,
    kept: Vec<Kept>,
    receipts: Vec<NewReceipt>,
    transfers: Vec<Transfer>,
    budgets: budget::Draft,
    open_escrows: HashMap<EscrowId, Arc<EscrowRow>>,
    escrows: Vec<EscrowChanges>,
    known_payouts: HashMap<PayoutId, Arc<PayoutRow>>,
    payouts: Vec<PayoutChanges>,
    known_payees: HashMap<ProviderName, Arc<PayeeRow>>,
    payees: Vec<PayeeChange>,
}

/// One account in one asset, as the batch leaves it.
#[derive(Clone, Debug)]
struct Account {
    asset: AssetId,
    balances: Balances,
    is_changed: bool,
}

impl Batch {
    /// Decides one more command, on `books` as the commands before it leave them.
    ///
    /// # Errors
    /// [`EngineError`]; the batch is as it was.
    pub fn apply<B: Books>(
        &mut self,
        books: &mut B,
        sealer: &mut impl Sealer,
        command: &Command,
    ) -> Result<Outcome, EngineError<B::Error>> {
        match command {
            Command::Claim(claim) => self.claim(books, claim).map(Outcome::Claimed),
            Command::Advance(advance) => self.advance(books, sealer, advance).map(Outcome::Advanced),
            Command::Record { call, statement } => {
                self.record(sealer, *call, statement).map(Outcome::Recorded).map_err(EngineError::Refused)
            }
            Command::Grant(grant) => self.grant(books, grant).map(Outcome::Granted),
            Command::Refund(refund) => self.refund(books, sealer, refund).map(Outcome::Refunded),
            Command::Book(transfers) => {
                let (booked, changes) = booking::book(&mut Seen { batch: self, books }, transfers)?;
                self.book(changes.unwrap_or_default());
                Ok(Outcome::Booked(booked))
            }
            Command::Budget(change) => self.budgets.apply(books, change).map(Outcome::Budget),
            Command::Escrow(command) => self.escrow(books, sealer, command).map(Outcome::Escrow),
            Command::Payout(command) => self.payout(books, command).map(Outcome::Payout),
        }
    }

    /// What the commands so far write. The batch begins anew.
    pub fn take_changes(&mut self) -> BatchChanges {
        let Self {
            settlements: _,
            accounts,
            named: _,
            resolutions: _,
            standings,
            claimed,
            moved,
            kept,
            receipts,
            transfers,
            budgets,
            open_escrows: _,
            escrows,
            known_payouts: _,
            payouts,
            known_payees: _,
            payees,
        } = std::mem::take(self);
        let balances = accounts.into_iter().flat_map(|(name, assets)| {
            let changed = assets.into_iter().filter(|account| account.is_changed);
            changed.map(move |Account { asset, balances, .. }| (name.clone(), asset, balances))
        });
        let balances = balances.collect();
        let standings = standings.into_iter().collect();
        let budgets = budgets.take_changes();
        BatchChanges {
            claimed,
            moved,
            kept,
            receipts,
            transfers,
            balances,
            standings,
            budgets,
            escrows,
            payouts,
            payees,
        }
    }

    fn claim<B: Books>(&mut self, books: &mut B, claim: &Claim) -> Result<Claimed, EngineError<B::Error>> {
        Ok(match engine::claim(&mut Seen { batch: self, books }, claim)? {
            ClaimDecision::Fresh { attempt, mut changes, warnings } => {
                if let Some(row) = changes.settlement.take() {
                    let row = Arc::new(row);
                    self.settlements.insert(row.key.clone(), Some(Arc::clone(&row)));
                    self.claimed.push(row);
                }
                self.book(*changes);
                if warnings.is_empty() {
                    Claimed::Fresh { attempt }
                } else {
                    Claimed::Warned { attempt, warnings }
                }
            }
            ClaimDecision::InProgress(row) => {
                Claimed::InProgress { call: row.call, state: row.state, since: row.claimed }
            }
            ClaimDecision::Answered(row) => Claimed::Answered { call: row.call },
            ClaimDecision::OtherRequest(differs) => Claimed::OtherRequest { differs },
            ClaimDecision::Failed(reason) => Claimed::Failed { reason },
            ClaimDecision::InDoubt(call) => Claimed::InDoubt { call },
            ClaimDecision::NoFreeCall => Claimed::NoFreeCall,
            ClaimDecision::InsufficientFunds(available) => Claimed::InsufficientFunds { available },
            ClaimDecision::Barred(barrier) => Claimed::Barred(barrier),
        })
    }

    fn advance<B: Books>(
        &mut self,
        books: &mut B,
        sealer: &mut impl Sealer,
        advance: &Advance,
    ) -> Result<Advanced, EngineError<B::Error>> {
        let mut seen = Seen { batch: self, books };
        let mut changes = engine::advance(&mut seen, advance)?;
        let judged = match changes.judged.take() {
            Some((principal, verdict)) => {
                let record = seen.standing(&principal).map_err(EngineError::Books)?;
                Some((principal, record.after(verdict)))
            }
            None => None,
        };
        let before = seen.settlement(&advance.key).map_err(EngineError::Books)?;
        let (Some(mut row), Some(before)) = (changes.settlement.take(), before) else {
            return Err(EngineError::Refused(Refusal::NoSuchSettlement(advance.key.clone())));
        };
        // Last of what may be refused: a place in the chain is not given back.
        let sealed = advance.statement.as_deref().map(|statement| sealer.seal(statement)).transpose();
        let (sealed, receipt) = parted(sealed.map_err(EngineError::Refused)?);
        if let Some(sealed) = &sealed {
            row.receipt = Some(sealed.id);
        }
        let row = Arc::new(row);
        let advanced = Advanced { state: row.state, receipt };
        self.settlements.insert(row.key.clone(), Some(Arc::clone(&row)));
        self.moved.push(Moved { before: before.state, row });
        if advance.result.is_some() || advance.private.is_some() {
            let (result, private) = (advance.result.clone(), advance.private.clone());
            self.kept.push(Kept { call: advance.call, result, private, at: advance.now });
        }
        if let Some(sealed) = sealed {
            self.receipts.push(NewReceipt { call: advance.call, free: false, sealed });
        }
        if let Some((principal, record)) = judged {
            self.standings.insert(principal, record);
        }
        self.book(changes);
        Ok(advanced)
    }

    fn record(&mut self, sealer: &mut impl Sealer, call: CallId, statement: &str) -> Result<String, Refusal> {
        let Sealed { receipt: sealed, envelope } = sealer.seal(statement)?;
        self.receipts.push(NewReceipt { call, free: true, sealed });
        Ok(envelope)
    }

    fn refund<B: Books>(
        &mut self,
        books: &mut B,
        sealer: &mut impl Sealer,
        refund: &Refund,
    ) -> Result<Refunded, EngineError<B::Error>> {
        let (total, changes) = crate::refund::refund(&mut Seen { batch: self, books }, refund)?;
        let Some(mut changes) = changes else { return Ok(Refunded { again: true, total, receipt: None }) };
        // Last of what may be refused: a place in the chain is not given back.
        let sealed = refund.statement.as_deref().map(|statement| sealer.seal(statement)).transpose();
        let (sealed, receipt) = parted(sealed.map_err(EngineError::Refused)?);
        if let Some(mut row) = changes.settlement.take() {
            row.receipt = sealed.as_ref().map(|sealed| sealed.id).or(row.receipt);
            let row = Arc::new(row);
            self.settlements.insert(row.key.clone(), Some(Arc::clone(&row)));
            self.moved.push(Moved { before: row.state, row });
        }
        if let Some(private) = refund.private.clone() {
            let (call, at) = (refund.call, refund.now);
            self.kept.push(Kept { call, result: None, private: Some(private), at });
        }
        if let Some(sealed) = sealed {
            self.receipts.push(NewReceipt { call: refund.call, free: false, sealed });
        }
        self.book(changes);
        Ok(Refunded { again: false, total, receipt })
    }

    fn grant<B: Books>(&mut self, books: &mut B, grant: &Grant) -> Result<Granted, EngineError<B::Error>> {
        let (granted, changes) = engine::grant(&mut Seen { batch: self, books }, grant)?;
        if let Some(changes) = changes {
            self.book(changes);
        }
        Ok(granted)
    }

    fn escrow<B: Books>(
        &mut self,
        books: &mut B,
        sealer: &mut impl Sealer,
        command: &EscrowCommand,
    ) -> Result<EscrowMoved, EngineError<B::Error>> {
        let (mut moved, changes) = escrow::decide(&mut Seen { batch: self, books }, command)?;
        let Some(changes) = changes else { return Ok(moved) };
        let told = changes.escrow.first().filter(|changes| !changes.movements.is_empty());
        if let (EscrowCommand::Move(MoveEscrow { mode: Some(mode), .. }), Some(told)) = (command, told) {
            let EscrowRow { id, version, .. } = &*told.row;
            let receipt = escrow::escrow_receipt_id(id, *version, told.record.at);
            // Last of what may be refused: a place in the chain is not given back.
            let sealed = sealer.seal_escrow(&EscrowReceipt { id: receipt, changes: told, mode });
            let Sealed { receipt: sealed, envelope } = sealed.map_err(EngineError::Refused)?;
            moved.receipt = Some(envelope);
            // Under the number of the escrow: it has no call, or the call of the same number.
            let call = CallId::from_bytes(*id.as_bytes());
            self.receipts.push(NewReceipt { call, free: false, sealed });
        }
        self.book(changes);
        Ok(moved)
    }

    fn payout<B: Books>(
        &mut self,
        books: &mut B,
        command: &PayoutCommand,
    ) -> Result<PayoutAnswer, EngineError<B::Error>> {
        let (answer, changes) = payout::decide(&mut Seen { batch: self, books }, command)?;
        if let Some(mut changes) = changes {
            if let Some(payout) = changes.payout.take() {
                self.known_payouts.insert(payout.row.id, Arc::clone(&payout.row));
                self.payouts.push(payout);
            }
            if let Some(payee) = changes.payee.take() {
                self.known_payees.insert(payee.row.provider.clone(), Arc::clone(&payee.row));
                self.payees.push(payee);
            }
            self.book(changes);
        }
        Ok(answer)
    }

    /// A transfer of this batch.
    fn booked(&self, places: &HashMap<TransferId, usize>, id: &TransferId) -> Option<&Transfer> {
        places.get(id).and_then(|place| self.transfers.get(*place))
    }

    fn book(&mut self, changes: Changes) {
        self.budgets.keep(changes.usages, changes.approval);
        for escrow in changes.escrow {
            self.open_escrows.insert(escrow.row.id, Arc::clone(&escrow.row));
            self.escrows.push(escrow);
        }
        for (name, asset, balances) in changes.balances {
            let account = Account { asset, balances, is_changed: true };
            let accounts = self.accounts.entry(name).or_default();
            match accounts.iter_mut().find(|known| known.asset == account.asset) {
                Some(known) => *known = account,
                None => accounts.push(account),
            }
        }
        for transfer in changes.transfers {
            if transfer.is_named() {
                let place = self.transfers.len();
                if let Some(of) = transfer.kind.resolves() {
                    self.resolutions.insert(of, place);
                }
                self.named.insert(transfer.id, place);
            }
            self.transfers.push(transfer);
        }
    }
}

/// The books as the commands of a batch leave them.
struct Seen<'a, B> {
    batch: &'a mut Batch,
    books: &'a mut B,
}

impl<B: Books> Books for Seen<'_, B> {
    type Error = B::Error;

    fn settlement(&mut self, key: &PaymentKey) -> Result<Option<Arc<SettlementRow>>, B::Error> {
        if let Some(known) = self.batch.settlements.get(key) {
            return Ok(known.clone());
        }
        let found = self.books.settlement(key)?;
        self.batch.settlements.insert(key.clone(), found.clone());
        Ok(found)
    }

    fn balances(&mut self, account: &AccountName, asset: &AssetId) -> Result<Balances, B::Error> {
        let known =
            self.batch.accounts.get(account).into_iter().flatten().find(|known| known.asset == *asset);
        if let Some(known) = known {
            return Ok(known.balances);
        }
        let balances = self.books.balances(account, asset)?;
        let read = Account { asset: asset.clone(), balances, is_changed: false };
        match self.batch.accounts.get_mut(account) {
            Some(accounts) => accounts.push(read),
            None => {
                self.batch.accounts.insert(account.clone(), vec![read]);
            }
        }
        Ok(balances)
    }

    fn transfer(&mut self, id: &TransferId) -> Result<Option<Transfer>, B::Error> {
        match self.batch.booked(&self.batch.named, id) {
            Some(known) => Ok(Some(known.clone())),
            None => self.books.transfer(id),
        }
    }

    fn resolution(&mut self, pending: &TransferId) -> Result<Option<Transfer>, B::Error> {
        match self.batch.booked(&self.batch.resolutions, pending) {
            Some(known) => Ok(Some(known.clone())),
            None => self.books.resolution(pending),
        }
    }

    /// What this batch claimed is counted beside what is committed. What it released is not taken off: a free call comes back with
    /// the commit, and until then there is one less rather than one more.
    fn calls(
        &mut self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> Result<u64, B::Error> {
        let committed = self.books.calls(caller, tool, since, most)?;
        let is_meant = |row: &&Arc<SettlementRow>| {
            row.caller == *caller && row.binding.tool == *tool && row.claimed >= since
        };
        let claimed = self.batch.claimed.iter().filter(is_meant).count();
        Ok(committed.saturating_add(u64::try_from(claimed).unwrap_or(u64::MAX)))
    }

    fn standing(&mut self, principal: &Principal) -> Result<Record, B::Error> {
        match self.batch.standings.get(principal) {
            Some(known) => Ok(*known),
            None => self.books.standing(principal),
        }
    }

    fn usage(&mut self, counter: &Counter) -> Result<Option<Usage>, B::Error> {
        self.batch.budgets.usage(self.books, counter)
    }

    fn stops(&mut self) -> Result<Arc<Stops>, B::Error> {
        self.batch.budgets.stops(self.books)
    }

    fn approval_of(&mut self, wanted: &Wanted) -> Result<Option<Approval>, B::Error> {
        self.batch.budgets.approval_of(self.books, wanted)
    }

    fn approval(&mut self, id: &ApprovalId) -> Result<Option<Approval>, B::Error> {
        self.batch.budgets.approval(self.books, id)
    }

    fn waiting(&mut self, caller: &Principal, now: UnixMillis) -> Result<u32, B::Error> {
        self.batch.budgets.waiting(self.books, caller, now)
    }

    fn escrow(&mut self, id: &EscrowId) -> Result<Option<Arc<EscrowRow>>, B::Error> {
        match self.batch.open_escrows.get(id) {
            Some(known) => Ok(Some(Arc::clone(known))),
            None => self.books.escrow(id),
        }
    }

    fn payout(&mut self, id: &PayoutId) -> Result<Option<Arc<PayoutRow>>, B::Error> {
        match self.batch.known_payouts.get(id) {
            Some(known) => Ok(Some(Arc::clone(known))),
            None => self.books.payout(id),
        }
    }

    fn payee(&mut self, provider: &ProviderName) -> Result<Option<Arc<PayeeRow>>, B::Error> {
        match self.batch.known_payees.get(provider) {
            Some(known) => Ok(Some(Arc::clone(known))),
            None => self.books.payee(provider),
        }
    }
}

#[cfg(test)]
mod tests;
