//! Many commands, one commit: each is decided on the books as the ones before it leave them, and what all of them write is
//! gathered. Nothing is written here. A refused command leaves the batch as it was.

mod changes;
mod sealer;
mod seen;

use std::sync::Arc;

use hashbrown::HashMap;
use tollgate_domain::{AssetId, CallId, EscrowId, PaymentKey, PayoutId, Principal, TransferId};

pub use self::changes::{BatchChanges, Kept, Moved, NewReceipt};
pub use self::sealer::{Sealed, SealedReceipt, Sealer};
use self::seen::Seen;
use crate::booking;
use crate::budget;
use crate::engine::{self, Books, Changes, ClaimDecision, EngineError};
use crate::escrow::{self, EscrowChanges, EscrowCommand, EscrowMoved, EscrowReceipt, EscrowRow, MoveEscrow};
use crate::payout::{
    self, Payee, PayeeChange, PayeeRow, PayoutAnswer, PayoutChanges, PayoutCommand, PayoutRow,
};
use crate::{
    AccountName, Advance, Advanced, Balances, Claim, Claimed, Command, Grant, Granted, Outcome, Record,
    Refund, Refunded, Refusal, SettlementRow, Transfer,
};

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
    known_payees: HashMap<Payee, Arc<PayeeRow>>,
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
                self.known_payees.insert(payee.row.payee.clone(), Arc::clone(&payee.row));
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

/// What is written of a receipt, if there is one, and its envelope.
fn parted(sealed: Option<Sealed>) -> (Option<SealedReceipt>, Option<String>) {
    sealed.map(|Sealed { receipt, envelope }| (receipt, envelope)).unzip()
}

#[cfg(test)]
mod tests;
