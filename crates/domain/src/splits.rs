use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Amount, Bps, ServerName};

/// How many others may share what a tool earns.
const PAYEES_MAX: usize = 16;

/// Who shares what a tool earns with its server, and how much of it: each payee a fixed share, rounded down, and the server the
/// remainder. Written `reviewers:0.2,platform:0.05`; empty for nobody.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Splits(Option<Arc<[(ServerName, Bps)]>>);

/// Why shares are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitsError {
    /// Too many payees.
    #[error("more than {PAYEES_MAX} payees")]
    Many,
    /// One payee twice.
    #[error("{0} is there twice")]
    Twice(ServerName),
    /// A share of nothing.
    #[error("the share of {0} is zero")]
    Zero(ServerName),
    /// More than there is.
    #[error("the shares sum to more than the whole")]
    TooMuch,
    /// The text is malformed.
    #[error("{0:?} is not PAYEE:SHARE, with commas between several")]
    Text(String),
}

impl Splits {
    /// Checks shares.
    ///
    /// # Errors
    /// [`SplitsError`].
    pub fn new(shares: impl IntoIterator<Item = (ServerName, Bps)>) -> Result<Self, SplitsError> {
        let shares: Vec<(ServerName, Bps)> = shares.into_iter().collect();
        if shares.len() > PAYEES_MAX {
            return Err(SplitsError::Many);
        }
        let mut sum = 0_u32;
        for (place, (payee, share)) in shares.iter().enumerate() {
            if *share == Bps::ZERO {
                return Err(SplitsError::Zero(payee.clone()));
            }
            if shares.iter().take(place).any(|(known, _)| known == payee) {
                return Err(SplitsError::Twice(payee.clone()));
            }
            sum = sum.saturating_add(u32::from(share.get()));
        }
        if sum > u32::from(Bps::ONE.get()) {
            return Err(SplitsError::TooMuch);
        }
        Ok(Self((!shares.is_empty()).then(|| shares.into())))
    }

    /// Whether the server has all of it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The payees with their shares.
    pub fn payees(&self) -> &[(ServerName, Bps)] {
        self.0.as_deref().unwrap_or_default()
    }

    /// What each payee has of so much, in the order in which they are written. With what is left, which is the server's, it is the
    /// whole: a share is rounded down, and all shares together are at most one.
    pub fn of(&self, total: Amount) -> impl Iterator<Item = (&ServerName, Amount)> {
        self.payees().iter().map(move |(payee, share)| (payee, share.of(total)))
    }

    /// What is left for the server.
    pub fn remainder(&self, total: Amount) -> Amount {
        // The shares are at most the whole, so nothing is cut off.
        self.of(total).fold(total, |left, (_, share)| left.checked_sub(share).unwrap_or_default())
    }
}

impl fmt::Display for Splits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (payee, share)) in self.payees().iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{payee}:{share}")?;
        }
        Ok(())
    }
}

impl FromStr for Splits {
    type Err = SplitsError;

    fn from_str(text: &str) -> Result<Self, SplitsError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let refused = || SplitsError::Text(text.chars().take(64).collect());
        let share = |part: &str| {
            let (payee, share) = part.split_once(':')?;
            Some((payee.parse().ok()?, share.parse().ok()?))
        };
        let shares: Option<Vec<(ServerName, Bps)>> = text.split(',').map(share).collect();
        Self::new(shares.ok_or_else(refused)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn splits(shares: &[u16]) -> Result<Splits, SplitsError> {
        let named = |(place, share): (usize, &u16)| (format!("p{place}").parse().unwrap(), Bps::new(*share));
        Splits::new(shares.iter().enumerate().map(named))
    }

    #[test]
    fn shares_are_some_and_at_most_the_whole() {
        assert!(splits(&[]).unwrap().is_empty());
        assert!(!splits(&[5_000, 5_000]).unwrap().is_empty(), "control");
        assert_eq!(splits(&[5_000, 5_001]), Err(SplitsError::TooMuch));
        assert_eq!(splits(&[0]), Err(SplitsError::Zero("p0".parse().unwrap())));
        assert_eq!(splits(&[1; 17]), Err(SplitsError::Many));
        let payee: ServerName = "p".parse().unwrap();
        let twice = [(payee.clone(), Bps::new(1)), (payee.clone(), Bps::new(2))];
        assert_eq!(Splits::new(twice), Err(SplitsError::Twice(payee)));
        for text in ["p", "p:", "p:2", "p:0.1,", ",", "p:0.1;q:0.1"] {
            assert!(text.parse::<Splits>().is_err(), "{text:?}");
        }
    }

    proptest! {
        /// All shares and the remainder are the whole, none is more than its part, and no unit is made or lost however the whole
        /// comes in pieces.
        #[test]
        fn shares_always_sum_to_the_whole(
            shares in prop::collection::vec(1_u16..2_500, 0..5),
            total in any::<u128>(),
            pieces in prop::collection::vec(0_u128..1_000_000, 0..8),
        ) {
            let Ok(splits) = splits(&shares) else { return Ok(()) };
            prop_assert_eq!(splits.to_string().parse::<Splits>(), Ok(splits.clone()));
            let whole = Amount::new(total);
            let mut sum = splits.remainder(whole);
            for ((_, part), (_, share)) in splits.of(whole).zip(splits.payees()) {
                let exact = part.get() / 10_000 <= total / 10_000 && part <= whole;
                prop_assert!(exact, "{} of {}", share, total);
                sum = sum.checked_add(part).unwrap();
            }
            prop_assert_eq!(sum, whole);
            // In pieces: each payee gets what it has of the sum so far less what it had before, never less than nothing.
            let (mut so_far, mut given) = (Amount::ZERO, vec![0_u128; shares.len()]);
            for piece in pieces {
                let next = so_far.checked_add(Amount::new(piece)).unwrap();
                for (slot, ((_, had), (_, has))) in given.iter_mut().zip(splits.of(so_far).zip(splits.of(next))) {
                    *slot += has.checked_sub(had).unwrap().get();
                }
                so_far = next;
            }
            let expected: Vec<u128> = splits.of(so_far).map(|(_, part)| part.get()).collect();
            prop_assert_eq!(given, expected);
        }
    }
}
