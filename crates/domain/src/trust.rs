use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::Amount;

/// A share in basis points, 0 to 10,000. Written as a decimal fraction with at most four digits: `0.85`.
///
/// Integers, so that two machines agree; never a float.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, SerializeDisplay, DeserializeFromStr,
)]
pub struct Bps(u16);

/// Why a text or number is not a share between 0 and 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a share between 0 and 1 with at most four decimals, such as 0.85")]
pub struct BpsError(String);

impl Bps {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const ONE: Self = Self(10_000);

    /// The share of `bps` ten-thousandths; more than 10,000 is cut to the whole.
    pub const fn new(bps: u16) -> Self {
        Self(if bps > 10_000 { 10_000 } else { bps })
    }

    /// Ten-thousandths.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// This share of an amount, rounded down.
    #[must_use]
    pub fn of(self, total: Amount) -> Amount {
        let (whole, odd) = (total.get() / 10_000, total.get() % 10_000);
        let bps = u128::from(self.0);
        // At most 10,000 parts of a ten-thousandth: the sum is at most the total.
        Amount::new(whole.saturating_mul(bps).saturating_add(odd.saturating_mul(bps) / 10_000))
    }

    /// One step of an exponential moving average: `self·(1 − weight) + outcome·weight`, rounded half up.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "two products of at most 10^8 fit 32 bits")]
    pub fn moved_towards(self, outcome: Self, weight: Self) -> Self {
        let (value, outcome, weight) = (u32::from(self.0), u32::from(outcome.0), u32::from(weight.0));
        let moved = (value * (10_000 - weight) + outcome * weight + 5_000) / 10_000;
        Self(u16::try_from(moved).unwrap_or(10_000))
    }
}

impl fmt::Display for Bps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10_000, self.0 % 10_000);
        match fraction {
            fraction if fraction % 1_000 == 0 => write!(f, "{whole}.{}", fraction / 1_000),
            fraction if fraction % 100 == 0 => write!(f, "{whole}.{:02}", fraction / 100),
            fraction if fraction % 10 == 0 => write!(f, "{whole}.{:03}", fraction / 10),
            fraction => write!(f, "{whole}.{fraction:04}"),
        }
    }
}

impl fmt::Debug for Bps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Bps {
    type Err = BpsError;

    fn from_str(text: &str) -> Result<Self, BpsError> {
        let refused = || BpsError(text.chars().take(32).collect());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 1 || fraction.len() > 4 {
            return Err(refused());
        }
        let bps: u32 = format!("{whole}{fraction:0<4}").parse().map_err(|_| refused())?;
        match u16::try_from(bps) {
            Ok(bps) if bps <= 10_000 => Ok(Self(bps)),
            Ok(_) | Err(_) => Err(refused()),
        }
    }
}

/// How far a caller's identity was verified (KYA, "know your agent").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KyaTier {
    /// 0: nothing verified.
    #[default]
    Sandbox,
    /// 1: an organisation stands behind the agent.
    Organizational,
    /// 2: the agent can be audited.
    Auditable,
}

impl KyaTier {
    /// The tier's name, as it is serialised.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sandbox => "SANDBOX",
            Self::Organizational => "ORGANIZATIONAL",
            Self::Auditable => "AUDITABLE",
        }
    }

    /// The tier's number, 0 to 2.
    pub const fn level(self) -> u8 {
        match self {
            Self::Sandbox => 0,
            Self::Organizational => 1,
            Self::Auditable => 2,
        }
    }
}

/// What a tool asks of its callers before it names a price.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Requirement {
    /// The caller must be known by an API key; a wallet that merely pays is not enough.
    pub api_key: bool,
    /// The least local reputation.
    pub min_reputation: Bps,
}

/// Trust in a caller as judged now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Standing {
    /// The identity tier.
    pub tier: KyaTier,
    /// The local reputation, kept from settled calls.
    pub reputation: Bps,
    /// How many calls of this caller were settled.
    pub settled_calls: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_one_text_form() {
        for (bps, text) in [(0, "0.0"), (10_000, "1.0"), (8_500, "0.85"), (1, "0.0001"), (5_000, "0.5")] {
            assert_eq!(Bps::new(bps).to_string(), text);
            assert_eq!(text.parse(), Ok(Bps::new(bps)));
        }
        for text in ["1.0001", "2", "-0.1", "0.00001", ".5", "1e-1", ""] {
            assert!(text.parse::<Bps>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn the_moving_average_is_the_published_one() {
        // a2a-settlement: lambda 0.1 from 0.5; a success, then a failure: 0.5 -> 0.55 -> 0.495.
        let lambda = Bps::new(1_000);
        let after_success = Bps::new(5_000).moved_towards(Bps::ONE, lambda);
        assert_eq!(after_success, Bps::new(5_500));
        assert_eq!(after_success.moved_towards(Bps::ZERO, lambda), Bps::new(4_950));
    }
}
