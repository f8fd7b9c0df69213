//! What does not hold, and its words for people.

use std::fmt;

use tollgate_domain::{AssetId, CallId, EscrowId, PaymentKey, PayoutId, TransferId};

use crate::AccountName;
use crate::budget::Counter;

/// One thing that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// Σ debits ≠ Σ credits of the stored totals of an asset.
    OutOfBalance {
        /// The asset.
        asset: AssetId,
        /// Which pair of totals: `posted` or `pending`.
        totals: &'static str,
    },
    /// The stored totals of an account are not the sum of its transfers.
    TotalsDiffer {
        /// The account.
        account: AccountName,
        /// The asset.
        asset: AssetId,
    },
    /// More was debited or reserved than credited, on an account that may not go below zero.
    Overdrawn {
        /// The account.
        account: AccountName,
        /// The asset.
        asset: AssetId,
    },
    /// A total does not fit 128 bits.
    Overflow {
        /// The transfer at which it happened.
        transfer: TransferId,
    },
    /// Two transfers have one id.
    DuplicateTransfer(TransferId),
    /// A transfer resolves one that is not pending, not there, is another movement, or is smaller.
    ResolvesNothing(TransferId),
    /// A pending transfer was resolved more than once.
    ResolvedTwice(TransferId),
    /// The pending transfer of a call is open, and no open settlement owns it.
    OrphanHold(TransferId),
    /// An open settlement has no open pending transfer of its amount.
    HoldMissing(CallId),
    /// A settled call has no posted transfer of exactly its amount.
    NotPosted(CallId),
    /// A payee has another part of what a call earned than its share.
    NotShared(CallId),
    /// What was taken for a call before its tool ran is not where the call's state says.
    NotEarned(CallId),
    /// What went back of a call is not what its row says.
    NotRefunded(CallId),
    /// A voided or failed call was charged, or its reservation was not released.
    NotReleased(CallId),
    /// A payment key has more than one attempt that is neither voided nor refunded.
    SpentTwice(PaymentKey),
    /// A counter of a budget is not the sum of what its settlements and escrows have taken.
    BudgetDiffers(Counter),
    /// The accounts of an escrow do not hold what its state says.
    EscrowDiffers(EscrowId),
    /// An escrow ended, and what it gave out is not what came in.
    EscrowUneven(EscrowId),
    /// The reservation of a payout is not what its state says.
    PayoutDiffers(PayoutId),
    /// Earnings or credit are reserved for a payout, and no payout says so.
    PayoutMissing(TransferId),
    /// A receipt, or its place in the chain, is not what was signed.
    ReceiptChain(String),
    /// A settlement names a receipt that is not there, or money of its call has moved and it names none.
    ReceiptMissing(CallId),
    /// The storage engine's own check complains.
    Storage(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBalance { asset, totals } => {
                write!(f, "{totals} debits and credits of {asset} differ")
            }
            Self::TotalsDiffer { account, asset } => {
                write!(f, "the totals of {account} in {asset} are not the sum of its transfers")
            }
            Self::Overdrawn { account, asset } => write!(f, "{account} is overdrawn in {asset}"),
            Self::Overflow { transfer } => write!(f, "a total does not fit at {transfer}"),
            Self::DuplicateTransfer(id) => write!(f, "{id} is there twice"),
            Self::ResolvesNothing(id) => write!(f, "{id} resolves no pending transfer of the same movement"),
            Self::ResolvedTwice(id) => write!(f, "{id} was resolved more than once"),
            Self::OrphanHold(id) => write!(f, "{id} is pending and belongs to no open settlement"),
            Self::HoldMissing(call) => {
                write!(f, "the open settlement of {call} has no pending transfer of its amount")
            }
            Self::NotPosted(call) => write!(f, "{call} is settled without a posted transfer of its amount"),
            Self::NotReleased(call) => {
                write!(f, "{call} ended without payment, but its reservation was not released")
            }
            Self::NotShared(call) => write!(f, "what {call} earned is not shared as its settlement says"),
            Self::NotEarned(call) => {
                write!(f, "what was taken for {call} before its tool ran is not where its state says")
            }
            Self::NotRefunded(call) => write!(f, "what went back of {call} is not what its settlement says"),
            Self::SpentTwice(key) => {
                write!(f, "{key} has more than one attempt that is neither voided nor refunded")
            }
            Self::BudgetDiffers(Counter { node, asset, span }) => {
                write!(
                    f,
                    "what is used of {node} per {span} in {asset} is not the sum of its settlements and escrows"
                )
            }
            Self::EscrowDiffers(id) => write!(f, "the accounts of {id} do not hold what its state says"),
            Self::EscrowUneven(id) => write!(f, "{id} ended without giving out exactly what came in"),
            Self::PayoutDiffers(id) => write!(f, "what is reserved for {id} is not what its state says"),
            Self::PayoutMissing(id) => {
                write!(f, "{id} reserves money for a payout and belongs to none")
            }
            Self::ReceiptChain(reason) => write!(f, "receipts: {reason}"),
            Self::ReceiptMissing(call) => write!(f, "the receipt of {call} is not there"),
            Self::Storage(reason) => write!(f, "storage: {reason}"),
        }
    }
}
