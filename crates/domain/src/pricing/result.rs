//! A price by the size of the result. Nobody knows it before the tool has run: the most is quoted and held, and what the result
//! does not come to is not charged.

use std::fmt;

use crate::{Amount, AssetId, Money, Price};

use super::UnitPrice;

/// What begun units of a result cost, in each asset, up to a maximum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultPrice {
    bytes: u64,
    options: Vec<UnitPrice>,
    maximum: Price,
}

/// Why there is no such price. Each names the symbol of the asset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultPriceError {
    /// A unit has no size.
    #[error("a unit of the result is at least one byte")]
    NoSize,
    /// There is nothing to quote.
    #[error("a maximum in {0} is missing: it is what is quoted and held before the size is known")]
    NoMaximum(String),
    /// The smallest result would cost nothing, and a settlement of nothing is none.
    #[error("the minimum in {0} is at least one atomic unit: only a tool without a price is free")]
    Nothing(String),
    /// Every result would cost the same.
    #[error("in {0} one unit costs nothing, or as much as the maximum: the size would never matter")]
    Constant(String),
    /// One asset has two prices.
    #[error("{0} is there twice")]
    Twice(String),
}

impl ResultPrice {
    /// A price in units of so many bytes, of which a begun one counts whole.
    ///
    /// # Errors
    /// [`ResultPriceError`] for what cannot be quoted, and for what is no price by size.
    pub fn new(bytes: u64, options: Vec<UnitPrice>) -> Result<Self, ResultPriceError> {
        if bytes == 0 {
            return Err(ResultPriceError::NoSize);
        }
        let mut most: Vec<Money> = Vec::with_capacity(options.len());
        for option in &options {
            let symbol = || option.asset.symbol().to_owned();
            let Some(maximum) = option.bounds.maximum else {
                return Err(ResultPriceError::NoMaximum(symbol()));
            };
            if option.bounds.minimum.is_zero() {
                return Err(ResultPriceError::Nothing(symbol()));
            }
            if option.each.is_zero() || option.of(1).is_none_or(|one| one >= maximum) {
                return Err(ResultPriceError::Constant(symbol()));
            }
            if most.iter().any(|known| known.asset == option.asset) {
                return Err(ResultPriceError::Twice(symbol()));
            }
            most.push(Money { amount: maximum, asset: option.asset.clone() });
        }
        Ok(Self { bytes, options, maximum: Price::any_of(most) })
    }

    /// What is quoted: the most that a call costs.
    pub fn maximum(&self) -> &Price {
        &self.maximum
    }

    /// How many bytes make one unit.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The price of the units in each asset, in the owner's order.
    pub fn options(&self) -> &[UnitPrice] {
        &self.options
    }

    /// What a result of so many bytes costs: never nothing, never more than the maximum. `None` in an asset that it is not priced in.
    pub fn of(&self, asset: &AssetId, bytes: u64) -> Option<Amount> {
        let option = self.options.iter().find(|option| option.asset.id() == asset)?;
        option.of(bytes.div_ceil(self.bytes))
    }

    pub(super) fn spelled(&self) -> String {
        let options: Vec<String> = self.options.iter().map(UnitPrice::spelled).collect();
        format!("{},{}", self.bytes, options.join(","))
    }
}

impl fmt::Display for ResultPrice {
    /// For people: `0.001 USDC for each 1024 bytes of the result, at most 0.05 USDC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, option) in self.options.iter().enumerate() {
            let (or, asset) = (if place == 0 { "" } else { " or " }, &option.asset);
            let most = option.bounds.maximum.unwrap_or_default();
            if !option.base.is_zero() {
                write!(f, "{or}{} and {}", asset.display(option.base), asset.display(option.each))?;
            } else {
                write!(f, "{or}{}", asset.display(option.each))?;
            }
            write!(f, " for each {} bytes of the result, at most {}", self.bytes, asset.display(most))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
