//! Where an escrow stands.

use tollgate_domain::{Amount, UnixMillis};

use super::event::Ruling;

/// Where an escrow stands; with the moments and stakes that only count there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EscrowState {
    /// Agreed on; no money has moved.
    Created {
        /// Until when it must be funded and locked.
        expires: UnixMillis,
    },
    /// The amount is on the escrow's account.
    Funded {
        /// Until when it must be locked.
        expires: UnixMillis,
    },
    /// The work is under way.
    Locked {
        /// Until when it must be delivered.
        deadline: UnixMillis,
    },
    /// The provider says that the work is done.
    Delivered {
        /// Until when the payer may dispute; then what is left is released.
        window_ends: UnixMillis,
    },
    /// The payer says that it is not.
    Disputed(Dispute),
    /// Everything that was left went to the provider.
    Released,
    /// Everything that was left went back to the payer.
    Refunded,
    /// A dispute was decided.
    Resolved {
        /// How.
        ruling: Ruling,
        /// Whether because one side was silent.
        by_default: bool,
    },
    /// Ended before any money moved.
    Cancelled,
    /// Never funded in time.
    Expired,
}

/// A dispute under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Dispute {
    /// Whose turn it is.
    pub phase: Phase,
    /// How many pieces of evidence the payer has shown.
    pub payer_evidence: u8,
    /// How many the provider has shown.
    pub provider_evidence: u8,
    /// What the payer staked, now on the account of stakes.
    pub stake: Amount,
    /// What the mediator staked, now on the account of stakes; `None`: the mediator has not taken the case on.
    pub mediator_stake: Option<Amount>,
}

/// Whose turn it is in a dispute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// The parties show their evidence.
    Evidence {
        /// Until when; if only one has by then, it has won.
        until: UnixMillis,
    },
    /// The mediator decides.
    Mediation {
        /// Until when; then the operator does.
        until: UnixMillis,
    },
    /// The operator decides. There is no deadline: what nobody decided is kept, never guessed.
    Operator,
}

/// What somebody is to an escrow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Pays.
    Payer,
    /// Works and is paid.
    Provider,
    /// Decides disputes, if it was agreed on.
    Mediator,
    /// Runs the gateway, and decides what the mediator did not.
    Operator,
    /// Sees to deadlines.
    Clock,
}

impl EscrowState {
    /// The word it is stored and shown with.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Funded { .. } => "funded",
            Self::Locked { .. } => "locked",
            Self::Delivered { .. } => "delivered",
            Self::Disputed(_) => "disputed",
            Self::Released => "released",
            Self::Refunded => "refunded",
            Self::Resolved { .. } => "resolved",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Every word.
    pub const WORDS: [&'static str; 10] = [
        "created",
        "funded",
        "locked",
        "delivered",
        "disputed",
        "released",
        "refunded",
        "resolved",
        "cancelled",
        "expired",
    ];

    /// The words of those that are not the end.
    pub const OPEN_WORDS: [&'static str; 5] = ["created", "funded", "locked", "delivered", "disputed"];

    /// One of the words, from a text.
    pub fn word_of(text: &str) -> Option<&'static str> {
        Self::WORDS.into_iter().find(|word| *word == text)
    }

    /// Whether nothing more happens.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Created { .. }
            | Self::Funded { .. }
            | Self::Locked { .. }
            | Self::Delivered { .. }
            | Self::Disputed(_) => false,
            Self::Released | Self::Refunded | Self::Resolved { .. } | Self::Cancelled | Self::Expired => true,
        }
    }

    /// The moment from which on only the clock may act; `None`: nothing is waited for.
    pub const fn due(&self) -> Option<UnixMillis> {
        match self {
            Self::Created { expires } | Self::Funded { expires } => Some(*expires),
            Self::Locked { deadline } => Some(*deadline),
            Self::Delivered { window_ends } => Some(*window_ends),
            Self::Disputed(dispute) => match dispute.phase {
                Phase::Evidence { until } | Phase::Mediation { until } => Some(until),
                Phase::Operator => None,
            },
            Self::Released | Self::Refunded | Self::Resolved { .. } | Self::Cancelled | Self::Expired => None,
        }
    }
}

impl Phase {
    /// Every word.
    pub const WORDS: [&'static str; 3] = ["evidence", "mediation", "operator"];

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Evidence { .. } => "evidence",
            Self::Mediation { .. } => "mediation",
            Self::Operator => "operator",
        }
    }
}

impl Role {
    /// The word in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Payer => "payer",
            Self::Provider => "provider",
            Self::Mediator => "mediator",
            Self::Operator => "operator",
            Self::Clock => "clock",
        }
    }
}
