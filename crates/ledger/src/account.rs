//! Accounts and what stands on them. Owns the names, the four running totals and the one balance limit; never decides
//! what to book.

use std::fmt;
use std::str::FromStr;

use tollgate_domain::{Amount, AssetId, EscrowId, Principal, Rail, ServerName};

/// Where money enters or leaves the books.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Clearing {
    /// Settled on a chain through x402.
    X402,
    /// Received over Lightning.
    L402,
    /// Entered by an operator.
    Manual,
    /// Sandbox money of dev mode, made from nothing and worth nothing.
    Sandbox,
}

/// An account of the books. There is one per asset. Written `clearing:x402`, `clearing:l402`, `clearing:manual`,
/// `clearing:sandbox`, `credit:<principal>`, `payable:<server>`, `unearned:<server>`, `escrow:<escrow>`, `stake:<escrow>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountName {
    /// The other side of everything that comes in from outside. Its debits exceed its credits.
    Clearing(Clearing),
    /// Prepaid credit of a caller; of a wallet in the sandbox, its balance of the sandbox token. Debits, pending ones
    /// included, never exceed the posted credits.
    Credit(Principal),
    /// What is owed to the operator of a server for its answered calls.
    Payable(ServerName),
    /// What an escrow holds for its two parties.
    Escrow(EscrowId),
    /// What was staked in the dispute over an escrow.
    Stake(EscrowId),
    /// What was taken for calls of a server before they were answered: owed to its operator or due back, as each call ends.
    /// Never below zero.
    Unearned(ServerName),
}

/// Why a text names no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no account; accounts are clearing:x402, clearing:l402, clearing:manual, clearing:sandbox, credit:<principal>, \
     payable:<server>, unearned:<server>, escrow:<escrow>, stake:<escrow>"
)]
pub struct AccountNameError(String);

impl Clearing {
    /// The clearing account of a rail; prepaid credit is already on the books and has none.
    pub const fn of(rail: Rail) -> Option<Self> {
        match rail {
            Rail::X402 => Some(Self::X402),
            Rail::L402 => Some(Self::L402),
            Rail::Credit => None,
        }
    }
}

impl AccountName {
    /// Whether this account may never be debited (or reserved) beyond its posted credits.
    pub const fn debits_must_not_exceed_credits(&self) -> bool {
        matches!(self, Self::Credit(_) | Self::Unearned(_) | Self::Escrow(_) | Self::Stake(_))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clearing(Clearing::X402) => f.write_str("clearing:x402"),
            Self::Clearing(Clearing::L402) => f.write_str("clearing:l402"),
            Self::Clearing(Clearing::Manual) => f.write_str("clearing:manual"),
            Self::Clearing(Clearing::Sandbox) => f.write_str("clearing:sandbox"),
            Self::Credit(principal) => write!(f, "credit:{principal}"),
            Self::Payable(server) => write!(f, "payable:{server}"),
            Self::Escrow(escrow) => write!(f, "escrow:{escrow}"),
            Self::Stake(escrow) => write!(f, "stake:{escrow}"),
            Self::Unearned(server) => write!(f, "unearned:{server}"),
        }
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        let refused = || AccountNameError(text.chars().take(128).collect());
        match text.split_once(':').ok_or_else(refused)? {
            ("clearing", "x402") => Ok(Self::Clearing(Clearing::X402)),
            ("clearing", "l402") => Ok(Self::Clearing(Clearing::L402)),
            ("clearing", "manual") => Ok(Self::Clearing(Clearing::Manual)),
            ("clearing", "sandbox") => Ok(Self::Clearing(Clearing::Sandbox)),
            ("credit", principal) => principal.parse().map(Self::Credit).map_err(|_| refused()),
            ("payable", server) => server.parse().map(Self::Payable).map_err(|_| refused()),
            ("escrow", escrow) => escrow.parse().map(Self::Escrow).map_err(|_| refused()),
            ("stake", escrow) => escrow.parse().map(Self::Stake).map_err(|_| refused()),
            ("unearned", server) => server.parse().map(Self::Unearned).map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}

/// The four running totals of one account in one asset (TigerBeetle, "Account"); they only ever count what transfers
/// say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Balances {
    /// Reserved by pending transfers that debit this account.
    pub debits_pending: Amount,
    /// Debited for good.
    pub debits_posted: Amount,
    /// Reserved by pending transfers that credit this account.
    pub credits_pending: Amount,
    /// Credited for good.
    pub credits_posted: Amount,
}

/// Why a transfer cannot be booked on these balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookingError {
    /// The debited account may not go below zero, and would.
    #[error("the account has {available} available, less than the transfer")]
    ExceedsCredits {
        /// What could be debited now.
        available: Amount,
    },
    /// A total would not fit 128 bits.
    #[error("a total of the account would not fit 128 bits")]
    Overflow,
    /// More would be released than is pending.
    #[error("less is pending on the account than the resolution releases")]
    NotPending,
    /// One account cannot stand on both sides.
    #[error("a transfer needs two different accounts")]
    SameAccount,
    /// A transfer of nothing.
    #[error("a transfer moves more than nothing")]
    Zero,
}

impl Balances {
    /// Posted credits less posted and pending debits: what may still be debited from an account that may not go below
    /// zero. `None` when debits exceed credits.
    pub fn available(&self) -> Option<Amount> {
        self.credits_posted.checked_sub(self.debits_posted)?.checked_sub(self.debits_pending)
    }

    /// These balances after a movement that debits them. `limited` is [`AccountName::debits_must_not_exceed_credits`].
    ///
    /// # Errors
    /// [`BookingError`], and then nothing has changed.
    pub(crate) fn debited(self, movement: Movement, limited: bool) -> Result<Self, BookingError> {
        let (pending, posted) = movement.totals(self.debits_pending, self.debits_posted)?;
        let after = Self { debits_pending: pending, debits_posted: posted, ..self };
        // Resolving a reservation needs no check: the reservation already counted.
        let takes = matches!(movement, Movement::Post(_) | Movement::Reserve(_));
        if limited && takes && after.available().is_none() {
            return Err(BookingError::ExceedsCredits { available: self.available().unwrap_or_default() });
        }
        Ok(after)
    }

    /// These balances after a movement that credits them.
    ///
    /// # Errors
    /// [`BookingError`], and then nothing has changed.
    pub(crate) fn credited(self, movement: Movement) -> Result<Self, BookingError> {
        let (pending, posted) = movement.totals(self.credits_pending, self.credits_posted)?;
        Ok(Self { credits_pending: pending, credits_posted: posted, ..self })
    }
}

/// What a transfer does to one side of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Movement {
    /// Posts this much at once.
    Post(Amount),
    /// Reserves this much.
    Reserve(Amount),
    /// Ends a reservation, and posts all of it, a part, or nothing.
    Resolve {
        /// How much was reserved.
        reserved: Amount,
        /// How much of it is posted.
        posted: Amount,
    },
}

impl Movement {
    /// The pending and the posted total of one side afterwards.
    fn totals(self, pending: Amount, posted: Amount) -> Result<(Amount, Amount), BookingError> {
        let more = |total: Amount, amount| total.checked_add(amount).ok_or(BookingError::Overflow);
        Ok(match self {
            Self::Post(amount) => (pending, more(posted, amount)?),
            Self::Reserve(amount) => (more(pending, amount)?, posted),
            Self::Resolve { reserved, posted: part } if part <= reserved => {
                (pending.checked_sub(reserved).ok_or(BookingError::NotPending)?, more(posted, part)?)
            }
            Self::Resolve { .. } => return Err(BookingError::NotPending),
        })
    }
}

/// What stands on one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountBalance {
    /// Which account.
    pub account: AccountName,
    /// In which asset.
    pub asset: AssetId,
    /// Its totals.
    pub balances: Balances,
}

#[cfg(test)]
mod tests;
