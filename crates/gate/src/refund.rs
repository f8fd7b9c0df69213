//! An operator gives back what was kept of a call. The receipt that says so is sealed in the same commit.

use tollgate_domain::{Amount, CallId, EscrowId, TransferId};
use tollgate_ledger::escrow::EscrowStore;
use tollgate_ledger::{LedgerStore, Refunded, Refusal, SettlementRow, State, StoreError, operator_refund_id};

use crate::evidence::Refund;
use crate::fault::Fault;
use crate::ports::Ports;
use crate::receipt::Told;
use crate::station::store_fault;
use crate::street::Gate;

/// What an operator asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundAsked {
    /// The call.
    pub call: CallId,
    /// How much, in atomic units; `None`: what is left.
    pub amount: Option<Amount>,
    /// Why; kept with the transfer.
    pub reason: String,
    /// A word that means this refund for ever: asking again under it books once. Empty for the one refund of a call.
    pub id: String,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundMade {
    /// The transfer.
    pub transfer: TransferId,
    /// What went back of the call in all, and whose credit it is.
    pub refund: Refund,
    /// Whether exactly this had been booked before.
    pub again: bool,
    /// The sealed envelope of the receipt, when something was booked.
    pub receipt: Option<String>,
}

/// Why nothing went back.
#[derive(Debug, thiserror::Error)]
pub enum RefundRefused {
    /// No paid call has this id.
    #[error("no paid call has this id")]
    Unknown,
    /// Nothing was kept of it.
    #[error("nothing was kept of {call}, which is {state}")]
    NothingKept {
        /// The call.
        call: CallId,
        /// Where its settlement stands.
        state: State,
    },
    /// The money is in an escrow.
    #[error("what was paid for {call} is in {escrow}, where it is decided who gets it")]
    InEscrow {
        /// The call.
        call: CallId,
        /// The escrow.
        escrow: EscrowId,
    },
    /// More would go back than was kept.
    #[error("more than is left of what was kept: {left} atomic units")]
    Exceeds {
        /// What is left.
        left: Amount,
    },
    /// The id was used for another refund.
    #[error("the id was used for another refund of this call")]
    Reused,
    /// The ledger did not book it.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl<P: Ports> Gate<P> {
    /// Gives back what was kept of a call, or a part of it, as prepaid credit of whoever paid.
    ///
    /// # Errors
    /// [`RefundRefused`]: then nothing was booked.
    pub async fn refund(&self, asked: RefundAsked) -> Result<RefundMade, RefundRefused> {
        let row = self.ports.ledger().settlement_by_call(&asked.call).await.map_err(store_fault)?;
        let row = row.ok_or(RefundRefused::Unknown)?;
        let escrow = match row.escrow() {
            Some(id) => self.ports.ledger().escrow(&id).await.map_err(store_fault)?,
            None => None,
        };
        let before = row.back(escrow.as_ref());
        // What is left is nothing when the same is asked for again: then it is what was booked that counts.
        let left = row.amount.checked_sub(before).unwrap_or_default();
        let amount = asked.amount.unwrap_or(left);
        let id = operator_refund_id(&row.call, &asked.id);
        let total = before.checked_add(amount).unwrap_or(row.amount);
        let drafted = self.told_refund(&row, total)?.draft(self.ports.random()?);
        let refund = tollgate_ledger::Refund {
            key: row.key.clone(),
            call: row.call,
            id,
            amount,
            before,
            reason: asked.reason,
            statement: Some(drafted.statement),
            private: Some(drafted.salts),
            now: self.ports.now(),
        };
        let refunded = self.ports.ledger().refund(refund).await.map_err(refused)?;
        let Refunded { again, total, receipt } = refunded;
        let refund = Refund { amount: total, asset: row.asset.clone(), to: row.refund_to().clone() };
        Ok(RefundMade { transfer: id, refund, again, receipt })
    }

    fn told_refund<'a>(&self, row: &'a SettlementRow, total: Amount) -> Result<Told<'a>, Fault> {
        let told = self.told_of(row, "delivered", self.ports.now())?;
        Ok(Told {
            result: row.result,
            charged: total < row.amount,
            payment_ref: row.reference.clone(),
            settlement: if total < row.amount { "refunded_in_part" } else { "refunded" },
            refunded: Some(total),
            ..told
        })
    }
}

fn refused(error: StoreError) -> RefundRefused {
    match error {
        StoreError::Refused(Refusal::NothingKept { call, state }) => {
            RefundRefused::NothingKept { call, state }
        }
        StoreError::Refused(Refusal::InEscrow { call, escrow }) => RefundRefused::InEscrow { call, escrow },
        StoreError::Refused(Refusal::RefundExceeds { left }) => RefundRefused::Exceeds { left },
        StoreError::Refused(Refusal::TransferReused(_)) => RefundRefused::Reused,
        other => RefundRefused::Fault(store_fault(other)),
    }
}
