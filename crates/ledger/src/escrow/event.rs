//! What may happen to an escrow.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{Amount, Bps, Digest};

/// What somebody says about an escrow, for people: 1 to 4,096 bytes without control characters other than line breaks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Remark(Arc<str>);

/// Why a text is no [`Remark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text has 1 to 4096 bytes and no control characters but line breaks and tabs")]
pub struct RemarkError;

/// The longest remark.
const REMARK_BYTES_MAX: usize = 4_096;

impl Remark {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Remark {
    type Err = RemarkError;

    fn from_str(text: &str) -> Result<Self, RemarkError> {
        let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if text.is_empty() || text.len() > REMARK_BYTES_MAX || !text.chars().all(is_plain) {
            return Err(RemarkError);
        }
        Ok(Self(text.into()))
    }
}

/// What may happen to an escrow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EscrowEvent {
    /// The payer pays in the whole amount.
    Fund,
    /// The work begins: from now on the payer cannot take the money back alone.
    Lock,
    /// The provider says that the work is done.
    Deliver {
        /// The digest of what was delivered.
        result: Option<Digest>,
        /// What the provider says about it.
        note: Option<Remark>,
    },
    /// The payer releases a part, or all that is left; in a dispute, gives in.
    Accept(Part),
    /// A party ends it without the work: before the lock either of them, after it the provider.
    Cancel {
        /// Why.
        reason: Option<Remark>,
    },
    /// The payer disputes the delivery.
    Dispute {
        /// What the payer stakes on it.
        stake: Amount,
        /// Why.
        reason: Remark,
    },
    /// A party shows evidence.
    Submit {
        /// What it says.
        statement: Remark,
        /// The digest of a document that is kept elsewhere.
        document: Option<Digest>,
    },
    /// The mediator takes the case on, and stakes on it.
    TakeUp,
    /// Whoever may decides the dispute.
    Rule {
        /// How.
        ruling: Ruling,
        /// How sure; a mediator who is less sure than agreed hands over to the operator.
        confidence: Bps,
        /// What becomes of the payer's stake; `None`: what follows from the ruling.
        stake: Option<StakeRuling>,
        /// Why.
        reason: Option<Remark>,
    },
    /// A deadline passed.
    Expire,
}

/// How much the payer releases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// All that is left.
    Rest,
    /// The milestone at this place, from 0.
    Milestone(u8),
    /// So much, where there are no milestones.
    Amount(Amount),
}

/// How a dispute ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ruling {
    /// What is left goes to the provider.
    Release,
    /// What is left goes back to the payer.
    Refund,
    /// The provider gets this share of what is left, rounded down; the rest, the odd unit included, goes back to the payer.
    Split(Bps),
}

/// What becomes of the payer's stake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StakeRuling {
    /// It goes back.
    Return,
    /// It goes to the provider, who waited.
    Forfeit,
}

impl EscrowEvent {
    /// The word it is stored and shown with.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Fund => "fund",
            Self::Lock => "lock",
            Self::Deliver { .. } => "complete",
            Self::Accept(_) => "accept",
            Self::Cancel { .. } => "cancel",
            Self::Dispute { .. } => "dispute",
            Self::Submit { .. } => "evidence",
            Self::TakeUp => "mediate",
            Self::Rule { .. } => "resolve",
            Self::Expire => "expire",
        }
    }
}

impl Ruling {
    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Refund => "refund",
            Self::Split(_) => "split",
        }
    }

    /// What becomes of the payer's stake unless it is said: only a dispute that was wholly wrong costs it.
    pub const fn stake(self) -> StakeRuling {
        match self {
            Self::Release => StakeRuling::Forfeit,
            Self::Refund | Self::Split(_) => StakeRuling::Return,
        }
    }
}

impl EscrowEvent {
    /// A digest of the event with everything that it says.
    pub(super) fn digest(&self) -> Digest {
        let text = |remark: &Option<Remark>| remark.as_ref().map_or_else(String::new, Remark::to_string);
        let document = |digest: &Option<Digest>| digest.map_or_else(String::new, |digest| digest.to_string());
        // Texts stand last: nothing that follows could be taken for a part of them.
        let said = match self {
            Self::Fund | Self::Lock | Self::TakeUp | Self::Expire => String::new(),
            Self::Deliver { result, note } => format!("{}\0{}", document(result), text(note)),
            Self::Accept(Part::Rest) => "rest".to_owned(),
            Self::Accept(Part::Milestone(place)) => format!("milestone {place}"),
            Self::Accept(Part::Amount(amount)) => format!("amount {amount}"),
            Self::Cancel { reason } => text(reason),
            Self::Dispute { stake, reason } => format!("{stake}\0{reason}"),
            Self::Submit { statement, document: kept } => format!("{}\0{statement}", document(kept)),
            Self::Rule { ruling, confidence, stake, reason } => {
                let share = match ruling {
                    Ruling::Release | Ruling::Refund => Bps::ZERO,
                    Ruling::Split(share) => *share,
                };
                let stake = stake.map_or("", StakeRuling::word);
                format!("{}\0{share}\0{confidence}\0{stake}\0{}", ruling.word(), text(reason))
            }
        };
        Digest::of(format!("{}\0{said}", self.word()).as_bytes())
    }
}

impl StakeRuling {
    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Return => "return",
            Self::Forfeit => "forfeit",
        }
    }
}
