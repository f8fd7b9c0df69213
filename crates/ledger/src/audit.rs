//! An independent look over the books: it adds up the transfers itself and trusts neither the stored totals nor the
//! code that booked. Owns the list of what must hold; never repairs.

mod budgets;
mod escrows;
mod finding;
mod payouts;

use std::collections::BTreeMap;
use std::fmt;

use tollgate_domain::{Amount, AssetId, CallId, PaymentKey, ServerName, Settle, Splits, TransferId};

use self::budgets::Budgets;
use self::escrows::Escrows;
pub use self::finding::Finding;
use self::payouts::Payouts;
use crate::budget::{Counter, Usage};
use crate::escrow::EscrowRow;
use crate::payout::PayoutRow;
use crate::{AccountBalance, AccountName, Funds, SettlementRow, State, Transfer, TransferKind};

/// A sum of the audit's own: it does not share the booking code.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    debits_pending: u128,
    debits_posted: u128,
    credits_pending: u128,
    credits_posted: u128,
}

/// A pending transfer and what became of it.
struct Hold {
    debit: AccountName,
    credit: AccountName,
    asset: AssetId,
    amount: Amount,
    call: Option<CallId>,
    resolution: Option<Resolution>,
}

/// What a settlement says of the money of its call.
struct Owner {
    settle: Settle,
    state: State,
    amount: Amount,
    asset: AssetId,
    refunded: Amount,
    splits: Splits,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Resolution {
    Posted(Amount),
    Voided,
}

/// Takes every transfer (in the order of booking), every stored account, every counter of a budget and then every settlement,
/// and reports.
#[derive(Default)]
pub struct Auditor {
    sums: BTreeMap<(AssetId, AccountName), Sums>,
    stored: BTreeMap<(AssetId, AccountName), Sums>,
    seen: std::collections::BTreeSet<TransferId>,
    holds: BTreeMap<TransferId, Hold>,
    settlements: BTreeMap<CallId, Owner>,
    /// What came to and left the payable account of each payee, by call.
    shares: BTreeMap<CallId, BTreeMap<ServerName, (u128, u128)>>,
    /// What came to and left the accounts of unearned money, by call.
    unearned: BTreeMap<CallId, (u128, u128)>,
    /// What went back, by call.
    refunds: BTreeMap<CallId, u128>,
    /// What a call did not cost of what was held for it: what its result left, released or given back, and what went back later.
    rests: BTreeMap<CallId, u128>,
    live: BTreeMap<PaymentKey, u32>,
    budgets: Budgets,
    escrows: Escrows,
    payouts: Payouts,
    findings: Vec<Finding>,
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor").field("findings", &self.findings).finish_non_exhaustive()
    }
}

impl Auditor {
    /// Adds a transfer.
    pub fn transfer(&mut self, transfer: &Transfer) {
        if !self.seen.insert(transfer.id) {
            self.findings.push(Finding::DuplicateTransfer(transfer.id));
        }
        match transfer.kind {
            TransferKind::Posted => self.add(transfer, |sums, amount, side| match side {
                Side::Debit => add(&mut sums.debits_posted, amount),
                Side::Credit => add(&mut sums.credits_posted, amount),
            }),
            TransferKind::Pending => {
                let hold = Hold {
                    debit: transfer.debit.clone(),
                    credit: transfer.credit.clone(),
                    asset: transfer.asset.clone(),
                    amount: transfer.amount,
                    call: transfer.call,
                    resolution: None,
                };
                self.holds.insert(transfer.id, hold);
                self.add(transfer, |sums, amount, side| match side {
                    Side::Debit => add(&mut sums.debits_pending, amount),
                    Side::Credit => add(&mut sums.credits_pending, amount),
                });
            }
            TransferKind::PostPending(of) => {
                let reserved = self.resolve(transfer, of, Resolution::Posted(transfer.amount));
                self.leave_rest(transfer, reserved.saturating_sub(transfer.amount.get()));
                self.add(transfer, |sums, amount, side| match side {
                    Side::Debit => {
                        take(&mut sums.debits_pending, reserved) && add(&mut sums.debits_posted, amount)
                    }
                    Side::Credit => {
                        take(&mut sums.credits_pending, reserved) && add(&mut sums.credits_posted, amount)
                    }
                });
            }
            TransferKind::VoidPending(of) => {
                let reserved = self.resolve(transfer, of, Resolution::Voided);
                self.add(transfer, |sums, _, side| match side {
                    Side::Debit => take(&mut sums.debits_pending, reserved),
                    Side::Credit => take(&mut sums.credits_pending, reserved),
                });
            }
        }
        self.follow(transfer);
        self.overdrawn(transfer);
    }

    /// Follows money that is taken before its tool runs, and money that goes back.
    fn follow(&mut self, transfer: &Transfer) {
        let Some(call) = transfer.call else { return };
        if !matches!(transfer.kind, TransferKind::Posted | TransferKind::PostPending(_)) {
            return;
        }
        let amount = transfer.amount.get();
        let fits = match (&transfer.debit, &transfer.credit) {
            (_, AccountName::Unearned(_)) => add(&mut self.unearned.entry(call).or_default().0, amount),
            (AccountName::Unearned(_), _) => add(&mut self.unearned.entry(call).or_default().1, amount),
            _ => true,
        };
        let mut note = |account: &AccountName, is_credit: bool| {
            let AccountName::Payable(payee) = account else { return true };
            let (came, left) = self.shares.entry(call).or_default().entry(payee.clone()).or_default();
            add(if is_credit { came } else { left }, amount)
        };
        let fits = fits & note(&transfer.credit, true) & note(&transfer.debit, false);
        let goes_back = matches!(transfer.debit, AccountName::Unearned(_) | AccountName::Payable(_))
            && matches!(transfer.credit, AccountName::Credit(_));
        if goes_back {
            self.leave_rest(transfer, amount);
        }
        let fits = fits && (!goes_back || add(self.refunds.entry(call).or_default(), amount));
        if !fits {
            self.findings.push(Finding::Overflow { transfer: transfer.id });
        }
    }

    /// Notes what a call did not cost of what was held for it.
    fn leave_rest(&mut self, transfer: &Transfer, amount: u128) {
        let Some(call) = transfer.call.filter(|_| amount > 0) else { return };
        if !add(self.rests.entry(call).or_default(), amount) {
            self.findings.push(Finding::Overflow { transfer: transfer.id });
        }
    }

    /// Adds an account as it is stored.
    pub fn account(&mut self, stored: &AccountBalance) {
        let sums = Sums {
            debits_pending: stored.balances.debits_pending.get(),
            debits_posted: stored.balances.debits_posted.get(),
            credits_pending: stored.balances.credits_pending.get(),
            credits_posted: stored.balances.credits_posted.get(),
        };
        self.stored.insert((stored.asset.clone(), stored.account.clone()), sums);
    }

    /// Adds a counter of a budget as it is stored; before any settlement.
    pub fn usage(&mut self, counter: Counter, stored: Usage) {
        self.budgets.usage(counter, stored);
    }

    /// Adds an attempt, voided ones included.
    pub fn settlement(&mut self, row: &SettlementRow) {
        self.budgets.settlement(row, self.rests.get(&row.call).copied().unwrap_or_default());
        // A free call moves nothing, so there is nothing of it to compare.
        if !matches!(row.funds, Funds::Free(_)) {
            let SettlementRow { settle, state, amount, refunded, .. } = *row;
            let (asset, splits) = (row.asset.clone(), row.splits.clone());
            self.settlements.insert(row.call, Owner { settle, state, amount, refunded, asset, splits });
        }
        if has_moved(row) && row.receipt.is_none() {
            self.findings.push(Finding::ReceiptMissing(row.call));
        }
        if !row.may_be_repeated() {
            let live = self.live.entry(row.key.clone()).or_default();
            *live = live.saturating_add(1);
        }
    }

    /// Adds an escrow.
    pub fn escrow(&mut self, row: &EscrowRow) {
        self.budgets.escrow(row);
        self.escrows.add(row);
    }

    /// Adds a payout.
    pub fn payout(&mut self, row: &PayoutRow) {
        self.payouts.add(row);
    }

    /// Compares everything with everything else. Empty when the books are in order.
    pub fn finish(mut self) -> Vec<Finding> {
        self.compare_totals();
        self.compare_settlements();
        self.findings.extend(self.escrows.findings(&self.sums));
        self.findings.extend(self.payouts.findings(&self.holds));
        let twice = self.live.iter().filter(|(_, live)| **live > 1);
        self.findings.extend(twice.map(|(key, _)| Finding::SpentTwice(key.clone())));
        self.findings.extend(self.budgets.findings());
        self.findings
    }

    fn add(&mut self, transfer: &Transfer, mut change: impl FnMut(&mut Sums, u128, Side) -> bool) {
        let amount = transfer.amount.get();
        for (account, side) in [(&transfer.debit, Side::Debit), (&transfer.credit, Side::Credit)] {
            let sums = self.sums.entry((transfer.asset.clone(), account.clone())).or_default();
            if !change(sums, amount, side) {
                self.findings.push(Finding::Overflow { transfer: transfer.id });
            }
        }
    }

    /// Notes what became of a pending transfer, and says how much it had reserved.
    fn resolve(&mut self, transfer: &Transfer, of: TransferId, resolution: Resolution) -> u128 {
        let Some(hold) = self.holds.get_mut(&of) else {
            self.findings.push(Finding::ResolvesNothing(transfer.id));
            return transfer.amount.get();
        };
        let same = hold.debit == transfer.debit
            && hold.credit == transfer.credit
            && hold.asset == transfer.asset
            && hold.call == transfer.call;
        let fits = match resolution {
            Resolution::Posted(amount) => amount <= hold.amount,
            Resolution::Voided => transfer.amount == hold.amount,
        };
        if !same || !fits {
            self.findings.push(Finding::ResolvesNothing(transfer.id));
        } else if hold.resolution.is_some() {
            self.findings.push(Finding::ResolvedTwice(of));
        } else {
            hold.resolution = Some(resolution);
        }
        hold.amount.get()
    }

    /// After every transfer, not only at the end: a balance that was negative for a while was negative.
    fn overdrawn(&mut self, transfer: &Transfer) {
        let (AccountName::Credit(_)
        | AccountName::Unearned(_)
        | AccountName::Escrow(_)
        | AccountName::Stake(_)) = transfer.debit
        else {
            return;
        };
        let key = (transfer.asset.clone(), transfer.debit.clone());
        let covered = self.sums.get(&key).is_some_and(|sums| {
            sums.debits_posted
                .checked_add(sums.debits_pending)
                .is_some_and(|debits| debits <= sums.credits_posted)
        });
        if !covered {
            let (asset, account) = key;
            self.findings.push(Finding::Overdrawn { account, asset });
        }
    }

    fn compare_totals(&mut self) {
        let accounts: std::collections::BTreeSet<_> = self.sums.keys().chain(self.stored.keys()).collect();
        for key in accounts {
            let (folded, stored) = (self.sums.get(key), self.stored.get(key));
            if folded.copied().unwrap_or_default() != stored.copied().unwrap_or_default() {
                let (asset, account) = key.clone();
                self.findings.push(Finding::TotalsDiffer { account, asset });
            }
        }
        // Of the stored totals: what the transfers sum to balances by construction.
        let mut assets: BTreeMap<&AssetId, [Option<u128>; 4]> = BTreeMap::new();
        for ((asset, _), sums) in &self.stored {
            let [debits_posted, credits_posted, debits_pending, credits_pending] =
                assets.entry(asset).or_insert([Some(0); 4]);
            for (total, part) in [
                (debits_posted, sums.debits_posted),
                (credits_posted, sums.credits_posted),
                (debits_pending, sums.debits_pending),
                (credits_pending, sums.credits_pending),
            ] {
                *total = total.and_then(|total| total.checked_add(part));
            }
        }
        for (asset, [debits_posted, credits_posted, debits_pending, credits_pending]) in assets {
            for (debits, credits, totals) in
                [(debits_posted, credits_posted, "posted"), (debits_pending, credits_pending, "pending")]
            {
                if debits.is_none() || debits != credits {
                    self.findings.push(Finding::OutOfBalance { asset: asset.clone(), totals });
                }
            }
        }
    }

    fn compare_settlements(&mut self) {
        let mut by_call: BTreeMap<CallId, &Hold> = BTreeMap::new();
        for (id, hold) in &self.holds {
            // What was reserved for no call waits for whoever asked for it, or expires.
            let Some(call) = hold.call else { continue };
            let owner = self.settlements.get(&call);
            let open = hold.resolution.is_none();
            if open && owner.is_none_or(|owner| owner.state.is_terminal()) {
                self.findings.push(Finding::OrphanHold(*id));
            }
            if by_call.insert(call, hold).is_some() {
                // A call reserves once; a second reservation belongs to nobody.
                self.findings.push(Finding::OrphanHold(*id));
            }
        }
        for (call, owner) in &self.settlements {
            let Owner { settle, state, amount, asset, refunded, splits: _ } = owner;
            let hold = by_call.get(call).filter(|hold| hold.amount == *amount && hold.asset == *asset);
            let resolution = hold.map(|hold| hold.resolution);
            // Of money that is on the books the rest is released with the settlement; what had been taken goes back.
            let released = match (state, settle, resolution) {
                (State::Settled, Settle::After, Some(Some(Resolution::Posted(posted)))) => {
                    let rest =
                        amount.checked_sub(posted).filter(|rest| !posted.is_zero() && rest <= refunded);
                    rest.unwrap_or_default()
                }
                _ => Amount::ZERO,
            };
            let posted = amount.checked_sub(released).unwrap_or_default();
            let finding = match (state, settle) {
                (State::Settled | State::Delivered | State::RefundDue | State::Refunded, _)
                | (State::Executing, Settle::Before | Settle::Escrow) => (resolution
                    != Some(Some(Resolution::Posted(posted))))
                .then_some(Finding::NotPosted(*call)),
                (State::Voided | State::Failed | State::InDoubt, _) => {
                    (resolution != Some(Some(Resolution::Voided))).then_some(Finding::NotReleased(*call))
                }
                (State::Executing, Settle::After)
                | (State::Claimed | State::Executed | State::Submitted | State::Unknown | State::Manual, _) => {
                    (resolution != Some(None)).then_some(Finding::HoldMissing(*call))
                }
            };
            self.findings.extend(finding);
            // Taken before the tool ran, and neither owed to its server nor back with the payer yet.
            let is_unearned = settle.takes_first() && matches!(state, State::Executing | State::RefundDue);
            let (came, left) = self.unearned.get(call).copied().unwrap_or_default();
            let expected = if is_unearned { amount.get() } else { 0 };
            if came.checked_sub(left) != Some(expected) {
                self.findings.push(Finding::NotEarned(*call));
            }
            if !self.is_shared(call, owner) {
                self.findings.push(Finding::NotShared(*call));
            }
            // What is paid for afterwards goes back with the settlement, and it is known before how much that will be.
            let is_open = *settle == Settle::After && !state.is_terminal();
            let gone = if is_open { 0 } else { refunded.get() };
            let back = self.refunds.get(call).copied().unwrap_or_default();
            if back.checked_add(released.get()) != Some(gone) || refunded > amount {
                self.findings.push(Finding::NotRefunded(*call));
            }
        }
    }

    /// Whether each payee has its share of what a call earned and did not give back: the floor of its ten-thousandths, reckoned here
    /// anew. What goes through an escrow is compared there, in sum.
    fn is_shared(&self, call: &CallId, owner: &Owner) -> bool {
        if owner.settle == Settle::Escrow || owner.splits.is_empty() {
            return true;
        }
        let is_kept = matches!(owner.state, State::Settled | State::Delivered);
        let kept = if is_kept { owner.amount.get().saturating_sub(owner.refunded.get()) } else { 0 };
        let found = self.shares.get(call);
        owner.splits.payees().iter().all(|(payee, share)| {
            let bps = u128::from(share.get());
            let (whole, odd) = (kept / 10_000, kept % 10_000);
            let expected = whole.saturating_mul(bps).saturating_add(odd.saturating_mul(bps) / 10_000);
            let (came, left) = found.and_then(|found| found.get(payee)).copied().unwrap_or_default();
            came.checked_sub(left) == Some(expected)
        })
    }
}

/// Whether a call has ended for which money was taken, also where it went back since. The commit of such an end brings the receipt, which
/// is kept for ever: none may be missing. Calls that have not ended have none yet.
fn has_moved(row: &SettlementRow) -> bool {
    matches!(row.state, State::Settled | State::Delivered | State::Refunded)
        && !matches!(row.funds, Funds::Free(_))
}

#[derive(Clone, Copy)]
enum Side {
    Debit,
    Credit,
}

/// Adds, and says whether it fitted.
fn add(total: &mut u128, amount: u128) -> bool {
    total.checked_add(amount).map(|sum| *total = sum).is_some()
}

/// Subtracts, and says whether there was enough.
fn take(total: &mut u128, amount: u128) -> bool {
    total.checked_sub(amount).map(|rest| *total = rest).is_some()
}

#[cfg(test)]
mod tests;
