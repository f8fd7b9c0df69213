//! The settlement state machine: one enum, one pure [`State::apply`], one table for each [`Settle`]. Owns what may follow on
//! what and what that means for the money; never books anything itself.

mod after;
mod before;
mod escrow;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{
    Amount, AssetId, Binding, CallId, Digest, EscrowId, PaymentKey, Principal, ReceiptId, Settle, Splits,
    TransferId, UnixMillis,
};

use crate::budget::Reservation;
use crate::escrow::{EscrowRow, escrow_of_call};
use crate::{Funds, hold_id};

/// Where the settlement of one call stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Claimed, and nothing has been asked of anybody: where an attempt begins whose money moves first.
    Claimed,
    /// The tool is about to be called or is running. The money has moved already if it [moves first](Settle::takes_first).
    Executing,
    /// The tool answered and its result is kept; nothing has been submitted to the rail yet.
    Executed,
    /// About to be submitted to the rail, or submitted; no answer yet.
    Submitted,
    /// The money moved after the tool had delivered. The end.
    Settled,
    /// The tool delivered what had been paid for before. The end; under [`Settle::Escrow`] the money is in an escrow now, and goes
    /// its own way there.
    Delivered,
    /// The money has moved and there is nothing to show for it: it must go back.
    RefundDue,
    /// What was taken went back to whoever paid. The end of this attempt.
    Refunded,
    /// Nothing was charged and the reservation is released; the same proof may be used again. The end of this attempt.
    Voided,
    /// The rail definitely refused: no money moved, and the result is withheld. The end.
    Failed,
    /// Submitted, and it is not known what became of it. Not a failure: the claim stays.
    Unknown,
    /// The gateway stopped while the tool may have been running. Nothing was submitted, so nothing is charged and the
    /// reservation is released; but the proof never runs the tool again. The end.
    InDoubt,
    /// Waits for an operator.
    Manual,
}

/// Why a text names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no settlement state")]
pub struct StateError(String);

/// What happened to the call or its payment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// The tool answered; its result has this digest.
    Executed {
        /// The digest of the result's bytes.
        result: Digest,
    },
    /// The same, and the result costs less than what is held for it. The rest is released, or goes back where it was taken.
    Measured {
        /// The digest of the result's bytes.
        result: Digest,
        /// What it costs: more than nothing, and less than the amount.
        due: Amount,
    },
    /// The payment is about to be submitted to its rail. Written before the rail is asked, so that a crash finds it.
    Submitted,
    /// The money moved.
    Settled {
        /// Where: the rail's reference, such as a transaction hash.
        reference: String,
    },
    /// The money moved, and what was paid for will not come: it is due back.
    RefundDue {
        /// Why.
        cause: RefundCause,
    },
    /// What was due back went back.
    Refunded,
    /// The call ended without anything to pay for.
    Voided {
        /// Why.
        reason: String,
    },
    /// The payment definitely has no effect and never will.
    Failed {
        /// The rail's reason.
        reason: String,
    },
    /// The rail gave no definite answer, or a look-up still shows none.
    Unknown {
        /// The last evidence.
        evidence: String,
    },
    /// After a restart, the row was found still executing, and the tool may have run.
    FoundInDoubt,
    /// The gateway cannot decide; an operator has to.
    HandedOver {
        /// What is known.
        reason: String,
    },
}

/// Why money that was taken before the tool ran goes back. Written `tool_failed`, `not_asked`, `in_doubt`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RefundCause {
    /// The tool failed, or gave no usable answer.
    ToolFailed,
    /// The tool was certainly never asked: the gateway stopped before, or the rail answered when nobody waited any more.
    NotAsked,
    /// The gateway stopped while the tool may have been running.
    InDoubt,
}

/// Why a text names no [`RefundCause`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cause of a refund")]
pub struct RefundCauseError(String);

impl RefundCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::ToolFailed, Self::NotAsked, Self::InDoubt];

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ToolFailed => "tool_failed",
            Self::NotAsked => "not_asked",
            Self::InDoubt => "in_doubt",
        }
    }

    /// Why, as a note beside the transfer.
    pub const fn note(self) -> &'static str {
        match self {
            Self::ToolFailed => "refunded: the tool failed",
            Self::NotAsked => "refunded: the tool was not asked",
            Self::InDoubt => "refunded: in doubt after a crash",
        }
    }

    /// Whether the same proof may run the tool again, paid from what went back. In doubt it never does.
    pub const fn may_be_repeated(self) -> bool {
        match self {
            Self::ToolFailed | Self::NotAsked => true,
            Self::InDoubt => false,
        }
    }
}

impl fmt::Display for RefundCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for RefundCause {
    type Err = RefundCauseError;

    fn from_str(text: &str) -> Result<Self, RefundCauseError> {
        let known = Self::ALL.into_iter().find(|cause| cause.word() == text);
        known.ok_or_else(|| RefundCauseError(text.chars().take(32).collect()))
    }
}

/// What a transition books.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The pending transfer is posted.
    Post,
    /// The pending transfer is voided.
    Void,
    /// What was taken before the tool ran is earned: it is owed to the operator of the tool's server.
    Earn,
    /// What was taken before the tool ran goes into an escrow between whoever called and the tool's server.
    Entrust,
    /// What was taken before the tool ran becomes credit of whoever paid.
    Refund,
}

/// The event cannot happen in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a settlement that is {state} cannot be {event} when it is settled {settle}")]
pub struct IllegalTransition {
    /// When the money moves.
    pub settle: Settle,
    /// The state.
    pub state: State,
    /// The event's word.
    pub event: &'static str,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 13] = [
        Self::Claimed,
        Self::Executing,
        Self::Executed,
        Self::Submitted,
        Self::Settled,
        Self::Delivered,
        Self::RefundDue,
        Self::Refunded,
        Self::Voided,
        Self::Failed,
        Self::Unknown,
        Self::InDoubt,
        Self::Manual,
    ];

    /// Where an attempt begins.
    pub const fn first(settle: Settle) -> Self {
        match settle {
            Settle::After => Self::Executing,
            Settle::Before | Settle::Escrow => Self::Claimed,
        }
    }

    /// The only way a settlement changes: when the money moves + old state + event → new state + what to book.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event cannot happen in this state.
    pub fn apply(self, settle: Settle, event: &Event) -> Result<(Self, Effect), IllegalTransition> {
        let next = match settle {
            Settle::After => after::next(self, event),
            Settle::Before => before::next(self, event),
            Settle::Escrow => escrow::next(self, event),
        };
        next.ok_or(IllegalTransition { settle, state: self, event: event.word() })
    }

    /// Whether nothing more happens to this attempt.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Settled
            | Self::Delivered
            | Self::Refunded
            | Self::Voided
            | Self::Failed
            | Self::InDoubt => true,
            Self::Claimed
            | Self::Executing
            | Self::Executed
            | Self::Submitted
            | Self::RefundDue
            | Self::Unknown
            | Self::Manual => false,
        }
    }

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Executing => "executing",
            Self::Executed => "executed",
            Self::Submitted => "submitted",
            Self::Settled => "settled",
            Self::Delivered => "delivered",
            Self::RefundDue => "refund_due",
            Self::Refunded => "refunded",
            Self::Voided => "voided",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::InDoubt => "in_doubt",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for State {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let known = Self::ALL.into_iter().find(|state| state.word() == text);
        known.ok_or_else(|| StateError(text.chars().take(32).collect()))
    }
}

impl Event {
    /// The event as a past participle, for texts and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Executed { .. } => "executed",
            Self::Measured { .. } => "measured",
            Self::Submitted => "submitted",
            Self::Settled { .. } => "settled",
            Self::RefundDue { .. } => "refund_due",
            Self::Refunded => "refunded",
            Self::Voided { .. } => "voided",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
            Self::FoundInDoubt => "found_in_doubt",
            Self::HandedOver { .. } => "handed_over",
        }
    }
}

/// One attempt to pay for one call with one proof, as it stands in the store. The latest attempt of a payment key is
/// the one that counts; earlier ones are all voided or refunded.
#[derive(Clone, PartialEq, Eq)]
pub struct SettlementRow {
    /// What is spent.
    pub key: PaymentKey,
    /// Which attempt with this key, from 1.
    pub attempt: u32,
    /// The call.
    pub call: CallId,
    /// Who called.
    pub caller: Principal,
    /// Who pays, most often the caller: to them goes what goes back.
    pub payer: Principal,
    /// When the money moves.
    pub settle: Settle,
    /// What the payment is for.
    pub binding: Binding,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Where the money comes from.
    pub funds: Funds,
    /// What settling needs, opaque outside the rail. May hold a bearer secret.
    pub proof: Arc<str>,
    /// Until when the proof can be used on its rail.
    pub expires: UnixMillis,
    /// Where it stands.
    pub state: State,
    /// When the call was claimed.
    pub claimed: UnixMillis,
    /// When the state last changed.
    pub updated: UnixMillis,
    /// The digest of the tool's result, once there was one.
    pub result: Option<Digest>,
    /// Where the money moved, once settled.
    pub reference: Option<String>,
    /// The reason or evidence of the last voided, failed, unknown or handed-over event.
    pub reason: Option<String>,
    /// The latest receipt of the call.
    pub receipt: Option<ReceiptId>,
    /// Why the money is due back, or went back, where it is not an operator's decision.
    pub refund: Option<RefundCause>,
    /// How much of the amount is not kept: what the size of a result left of it, from when that is known, and what went back since.
    /// What went into an escrow and came back from there is not in it: see [`Self::back`].
    pub refunded: Amount,
    /// What it has taken of budgets.
    pub reserved: Reservation,
    /// Who shares what it earns.
    pub splits: Splits,
}

impl SettlementRow {
    /// Whether whoever paid has less now than before the call, and will keep having less.
    pub fn charged(&self) -> bool {
        matches!(self.state, State::Settled | State::Delivered) && self.refunded < self.amount
    }

    /// How much of the amount is kept: what the result costs, less what went back since.
    pub fn due(&self) -> Amount {
        self.amount.checked_sub(self.refunded).unwrap_or_default()
    }

    /// How much of the amount is back with whoever paid, or never left: [`Self::refunded`], and what the escrow that the money was
    /// put into gave back.
    pub fn back(&self, escrow: Option<&EscrowRow>) -> Amount {
        let escrow = escrow.map(|escrow| escrow.refunded).unwrap_or_default();
        self.refunded.checked_add(escrow).unwrap_or(self.amount)
    }

    /// The escrow that the money was put into, if it was.
    pub fn escrow(&self) -> Option<EscrowId> {
        let is_entrusted = self.settle == Settle::Escrow
            && self.state == State::Delivered
            && !matches!(self.funds, Funds::Free(_));
        is_entrusted.then(|| escrow_of_call(&self.call))
    }

    /// Whose credit it becomes when money goes back. Of what would have gone into an escrow, whoever called and would have been
    /// its payer, whichever wallet paid.
    pub fn refund_to(&self) -> &Principal {
        match &self.funds {
            _ if self.settle == Settle::Escrow => &self.caller,
            Funds::OnSettlement | Funds::Free(_) => &self.payer,
            Funds::Arrived { holder } => holder,
            Funds::Credit(principal) => principal,
        }
    }

    /// Whether the same proof may be presented again for the same request: this attempt left it unspent, or what it paid
    /// went back.
    pub fn may_be_repeated(&self) -> bool {
        match self.state {
            State::Voided => true,
            State::Refunded => self.refund.is_some_and(RefundCause::may_be_repeated),
            State::Claimed
            | State::Executing
            | State::Executed
            | State::Submitted
            | State::Settled
            | State::Delivered
            | State::RefundDue
            | State::Failed
            | State::Unknown
            | State::InDoubt
            | State::Manual => false,
        }
    }

    /// The id of the pending transfer that reserves the price.
    pub fn hold(&self) -> TransferId {
        hold_id(&self.call)
    }
}

impl fmt::Debug for SettlementRow {
    /// Without the proof: it may be a bearer secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, attempt, call, state, amount, asset, .. } = self;
        write!(
            f,
            "SettlementRow({key} attempt {attempt}, {call}, {state}, {amount} {asset}, proof [redacted])"
        )
    }
}

#[cfg(test)]
mod tests;
