//! Amounts that are computed from counts, each in one asset and within bounds.

use crate::{Amount, Asset, Formula, FormulaError};

/// The least and the most that a computed price may be, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The least: 1 unless an operator wants calls to be free.
    pub minimum: Amount,
    /// The most.
    pub maximum: Option<Amount>,
}

/// The price of units in one asset: `base + units × each`, within bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitPrice {
    /// In which asset.
    pub asset: Asset,
    /// What every call costs.
    pub base: Amount,
    /// What each unit costs beside.
    pub each: Amount,
    /// The bounds.
    pub bounds: Bounds,
}

/// A price by formula in one asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Computed {
    /// In which asset.
    pub asset: Asset,
    /// The formula, in atomic units.
    pub formula: Formula,
    /// The bounds.
    pub bounds: Bounds,
}

impl Bounds {
    /// Bounds of one unit at least and nothing at most.
    pub const PLAIN: Self = Self { minimum: Amount::new(1), maximum: None };

    fn within(&self, amount: Amount) -> Amount {
        let least = amount.max(self.minimum);
        self.maximum.map_or(least, |maximum| least.min(maximum))
    }

    fn spelled(&self) -> String {
        let maximum = self.maximum.map(|maximum| maximum.to_string()).unwrap_or_default();
        format!("{}..{maximum}", self.minimum)
    }
}

impl UnitPrice {
    /// The price of so many units; `None` when it does not fit 128 bits and has no maximum.
    pub fn of(&self, units: u64) -> Option<Amount> {
        let each = self.each.get().checked_mul(u128::from(units));
        match each.map(Amount::new).and_then(|each| self.base.checked_add(each)) {
            Some(amount) => Some(self.bounds.within(amount)),
            None => self.bounds.maximum,
        }
    }

    pub(super) fn spelled(&self) -> String {
        format!("{}+{}:{}:{}", self.base, self.each, self.asset.id(), self.bounds.spelled())
    }
}

impl Computed {
    /// The price for these counts by name.
    ///
    /// # Errors
    /// [`FormulaError`] when the formula has no whole result from zero up.
    pub fn of(&self, counted: &[(&str, u64)]) -> Result<Amount, FormulaError> {
        let value = self
            .formula
            .value(&|name| counted.iter().find(|(known, _)| *known == name).map(|(_, count)| *count))?;
        Ok(self.bounds.within(value))
    }

    pub(super) fn spelled(&self) -> String {
        format!("{}:{}:{}", self.formula, self.asset.id(), self.bounds.spelled())
    }
}
