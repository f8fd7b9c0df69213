//! What a batch writes.

use std::sync::Arc;

use tollgate_domain::{AssetId, CallId, Principal, UnixMillis};

use super::SealedReceipt;
use crate::budget::BudgetChanges;
use crate::escrow::EscrowChanges;
use crate::payout::{PayeeChange, PayoutChanges};
use crate::{AccountName, Balances, Record, SettlementRow, State, Transfer};

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
