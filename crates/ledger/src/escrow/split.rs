//! Who gets what. All shares of one amount sum to it.

use tollgate_domain::{Amount, Bps};

/// A place where money of an escrow may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Purse {
    /// The payer's credit.
    Payer,
    /// The provider's credit.
    Provider,
    /// The mediator's credit.
    Mediator,
    /// The escrow's own account.
    Escrow,
    /// The escrow's account of stakes.
    Stake,
}

impl Purse {
    /// The word in receipts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Payer => "payer",
            Self::Provider => "provider",
            Self::Mediator => "mediator",
            Self::Escrow => "escrow",
            Self::Stake => "stake",
        }
    }
}

/// One movement of money; never of nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Movement {
    /// Whence.
    pub from: Purse,
    /// Where to.
    pub to: Purse,
    /// How much.
    pub amount: Amount,
}

/// The provider's share of what is left, rounded down. What remains, the odd unit included, is the payer's: whoever paid is not
/// charged for a rounding.
pub fn provider_share(rest: Amount, share: Bps) -> Amount {
    share.of(rest)
}

/// An amount in two halves; the odd unit is the first one's.
pub(super) fn halves(amount: Amount) -> (Amount, Amount) {
    let second = amount.get() / 2;
    (Amount::new(amount.get().saturating_sub(second)), Amount::new(second))
}

/// The movements of a transition, without those of nothing.
#[derive(Default)]
pub(super) struct Movements(Vec<Movement>);

impl Movements {
    pub(super) fn none() -> Vec<Movement> {
        Vec::new()
    }

    #[must_use]
    pub(super) fn and(mut self, from: Purse, to: Purse, amount: Amount) -> Self {
        if !amount.is_zero() {
            self.0.push(Movement { from, to, amount });
        }
        self
    }

    pub(super) fn all(self) -> Vec<Movement> {
        self.0
    }
}
