//! What the next command of a batch reads: the books as those before it leave them.

use std::sync::Arc;

use tollgate_domain::{
    ApprovalId, AssetId, EscrowId, PaymentKey, PayoutId, Principal, ToolRef, TransferId, UnixMillis,
};

use super::{Account, Batch};
use crate::budget::{Approval, Counter, Stops, Usage, Wanted};
use crate::engine::Books;
use crate::escrow::EscrowRow;
use crate::payout::{Payee, PayeeRow, PayoutRow};
use crate::{AccountName, Balances, Record, SettlementRow, Transfer};

/// The books as the commands of a batch leave them.
pub(super) struct Seen<'a, B> {
    pub(super) batch: &'a mut Batch,
    pub(super) books: &'a mut B,
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

    fn payee(&mut self, payee: &Payee) -> Result<Option<Arc<PayeeRow>>, B::Error> {
        match self.batch.known_payees.get(payee) {
            Some(known) => Ok(Some(Arc::clone(known))),
            None => self.books.payee(payee),
        }
    }
}
