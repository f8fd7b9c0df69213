//! Where a payout stands, and what may follow on what.

use std::fmt;
use std::str::FromStr;

use super::command::Actor;
use super::refusal::PayoutRefusal;

/// Where a payout stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PayoutState {
    /// Asked for and reserved; waits for the operator's word.
    Requested,
    /// Reserved; waits to be submitted.
    Held,
    /// Its instruction is kept and may be on its way.
    Submitted,
    /// The rail gave no definite answer so far.
    Unknown,
    /// The money is at its destination.
    Settled,
    /// Definitely without effect; the reservation was released.
    Failed,
    /// Given up before it was submitted; the reservation was released.
    Cancelled,
}

/// Why a text names no [`PayoutState`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of a payout")]
pub struct PayoutStateError(String);

/// What may happen to a payout.
#[derive(Clone, PartialEq, Eq)]
pub enum PayoutEvent {
    /// The operator lets a large one go.
    Approve,
    /// The provider or the operator gives it up.
    Cancel,
    /// From now on it may be on its way, by this instruction and by no other.
    Submit {
        /// What the rail needs to carry it out, as text that survives a restart. May hold a bearer secret.
        instruction: String,
    },
    /// The rail carried it out.
    Settled {
        /// Where it is found there.
        reference: String,
    },
    /// The rail says that there is no effect and will be none.
    Failed {
        /// Why, in the rail's words.
        reason: String,
    },
    /// The rail does not know, or did not answer.
    Unknown {
        /// What it said last.
        evidence: String,
    },
}

/// What a transition means for the money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PayoutEffect {
    /// Nothing.
    Nothing,
    /// The reservation is posted: the money left the books.
    Post,
    /// The reservation is released.
    Void,
}

impl fmt::Debug for PayoutEvent {
    /// Without the instruction: it may be a bearer secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl PayoutEvent {
    /// The word in answers and logs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Cancel => "cancel",
            Self::Submit { .. } => "submit",
            Self::Settled { .. } => "settled",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether this actor may ever bring it about.
    const fn is_for(&self, actor: &Actor) -> bool {
        matches!(
            (self, actor),
            (Self::Approve, Actor::Operator(_))
                | (Self::Cancel, Actor::Operator(_) | Actor::Provider { .. })
                | (
                    Self::Submit { .. } | Self::Settled { .. } | Self::Failed { .. } | Self::Unknown { .. },
                    Actor::Gateway
                )
        )
    }
}

impl PayoutState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Requested,
        Self::Held,
        Self::Submitted,
        Self::Unknown,
        Self::Settled,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Held => "held",
            Self::Submitted => "submitted",
            Self::Unknown => "unknown",
            Self::Settled => "settled",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Settled | Self::Failed | Self::Cancelled)
    }

    /// What follows on an event by an actor, and what that means for the money.
    ///
    /// # Errors
    /// [`PayoutRefusal::WrongParty`], [`PayoutRefusal::WrongState`]; then nothing follows.
    pub fn apply(self, event: &PayoutEvent, actor: &Actor) -> Result<(Self, PayoutEffect), PayoutRefusal> {
        use PayoutEffect::{Nothing, Post, Void};
        use PayoutEvent as Event;
        if !event.is_for(actor) {
            return Err(PayoutRefusal::WrongParty { event: event.word() });
        }
        match (self, event) {
            (Self::Requested, Event::Approve) => Ok((Self::Held, Nothing)),
            (Self::Requested | Self::Held, Event::Cancel) => Ok((Self::Cancelled, Void)),
            (Self::Held, Event::Submit { .. }) => Ok((Self::Submitted, Nothing)),
            (Self::Submitted | Self::Unknown, Event::Settled { .. }) => Ok((Self::Settled, Post)),
            // Held: it cannot be submitted any more, such as an invoice that has expired; nothing was sent.
            (Self::Held | Self::Submitted | Self::Unknown, Event::Failed { .. }) => Ok((Self::Failed, Void)),
            (Self::Submitted | Self::Unknown, Event::Unknown { .. }) => Ok((Self::Unknown, Nothing)),
            (_, _) => Err(PayoutRefusal::WrongState { event: event.word(), state: self }),
        }
    }
}

impl fmt::Display for PayoutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for PayoutState {
    type Err = PayoutStateError;

    fn from_str(text: &str) -> Result<Self, PayoutStateError> {
        let found = Self::ALL.into_iter().find(|state| state.word() == text);
        found.ok_or_else(|| PayoutStateError(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests;
