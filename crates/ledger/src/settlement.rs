//! The settlement state machine for `settle: after`: one enum, one pure [`State::apply`]. Owns what may follow on what
//! and what that means for the reservation; never books anything itself.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{
    Amount, AssetId, Binding, CallId, Digest, PaymentKey, Principal, ReceiptId, TransferId, UnixMillis,
};

use crate::budget::Reservation;
use crate::{Funds, hold_id};

/// Where the settlement of one call stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Claimed; the tool is about to be called or is running.
    Executing,
    /// The tool answered and its result is kept; nothing has been submitted to the rail yet.
    Executed,
    /// About to be submitted to the rail, or submitted; no answer yet.
    Submitted,
    /// The money moved. The end.
    Settled,
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
    /// The payment is about to be submitted to its rail. Written before the rail is asked, so that a crash finds it.
    Submitted,
    /// The money moved.
    Settled {
        /// Where: the rail's reference, such as a transaction hash.
        reference: String,
    },
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

/// What a transition books.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The pending transfer is posted.
    Post,
    /// The pending transfer is voided.
    Void,
}

/// The event cannot happen in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a settlement that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// The state.
    pub state: State,
    /// The event's word.
    pub event: &'static str,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Executing,
        Self::Executed,
        Self::Submitted,
        Self::Settled,
        Self::Voided,
        Self::Failed,
        Self::Unknown,
        Self::InDoubt,
        Self::Manual,
    ];

    /// The only way a settlement changes: old state + event → new state + what to book.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event cannot happen in this state.
    pub fn apply(self, event: &Event) -> Result<(Self, Effect), IllegalTransition> {
        match (self, event) {
            (Self::Executing, Event::Executed { .. }) => Ok((Self::Executed, Effect::Nothing)),
            (Self::Executing, Event::FoundInDoubt) => Ok((Self::InDoubt, Effect::Void)),
            (Self::Executed | Self::Unknown, Event::Submitted) => Ok((Self::Submitted, Effect::Nothing)),
            (Self::Submitted | Self::Unknown | Self::Manual, Event::Settled { .. }) => {
                Ok((Self::Settled, Effect::Post))
            }
            // Before anything was submitted the attempt can be undone without a trace on the rail. `executed` is not
            // among them: whoever has seen the tool run may not try again with the same proof.
            (Self::Executing | Self::Manual, Event::Voided { .. }) => Ok((Self::Voided, Effect::Void)),
            // `executed` may fail without a submission: the proof expired before it could be submitted.
            (Self::Executed | Self::Submitted | Self::Unknown | Self::Manual, Event::Failed { .. }) => {
                Ok((Self::Failed, Effect::Void))
            }
            (Self::Submitted | Self::Unknown, Event::Unknown { .. }) => Ok((Self::Unknown, Effect::Nothing)),
            (Self::Unknown, Event::HandedOver { .. }) => Ok((Self::Manual, Effect::Nothing)),
            (state, event) => Err(IllegalTransition { state, event: event.word() }),
        }
    }

    /// Whether nothing more happens to this attempt.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Settled | Self::Voided | Self::Failed | Self::InDoubt => true,
            Self::Executing | Self::Executed | Self::Submitted | Self::Unknown | Self::Manual => false,
        }
    }

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Executing => "executing",
            Self::Executed => "executed",
            Self::Submitted => "submitted",
            Self::Settled => "settled",
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
            Self::Submitted => "submitted",
            Self::Settled { .. } => "settled",
            Self::Voided { .. } => "voided",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
            Self::FoundInDoubt => "found_in_doubt",
            Self::HandedOver { .. } => "handed_over",
        }
    }
}

/// One attempt to pay for one call with one proof, as it stands in the store. The latest attempt of a payment key is
/// the one that counts; earlier ones are all voided.
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
    /// What it has taken of budgets.
    pub reserved: Reservation,
}

impl SettlementRow {
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
