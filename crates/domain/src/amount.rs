use std::fmt;
use std::str::FromStr;

use serde_with::{DeserializeFromStr, SerializeDisplay};

/// A count of the smallest unit of one asset. Never a float, never negative. Written as decimal digits: `"10000"`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, SerializeDisplay, DeserializeFromStr,
)]
pub struct Amount(u128);

/// Why a text is not an [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The text is empty, or holds something other than the digits 0 to 9.
    #[error("an amount is written in decimal digits only, such as \"10000\"")]
    NotDigits,
    /// The text has a leading zero, so it is not the one canonical form.
    #[error("an amount has no leading zeros")]
    LeadingZero,
    /// The value does not fit 128 bits.
    #[error("an amount is at most 2^128 - 1")]
    TooLarge,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `units` atomic units.
    pub const fn new(units: u128) -> Self {
        Self(units)
    }

    /// The number of atomic units.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` when it does not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// The difference, or `None` when `other` is larger.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(units) => Some(Self(units)),
            None => None,
        }
    }

    /// This amount in a coarser unit of `per_unit` atomic units, rounded **up**: a price is never undercut by rounding.
    /// `None` when `per_unit` is zero.
    pub const fn div_ceil(self, per_unit: u128) -> Option<u128> {
        if per_unit == 0 { None } else { Some(self.0.div_ceil(per_unit)) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({})", self.0)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Stricter than `u128::from_str`, which accepts `"+7"` and `"007"`: two spellings of one amount must not exist.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AmountError::NotDigits);
        }
        if text.len() > 1 && text.starts_with('0') {
            return Err(AmountError::LeadingZero);
        }
        text.parse().map(Self).map_err(|_| AmountError::TooLarge)
    }
}

#[cfg(test)]
mod tests;
