//! How the price of a call follows from the call: a small tree of rules that an operator writes once.
//!
//! Everything is whole atomic units. Where a rule divides, it rounds **up**: a price is never undercut by rounding.

mod formula;
mod measure;
mod period;
mod result;
mod units;
mod window;

use std::fmt::{self, Write as _};

use crate::{Amount, Asset, Bps, Digest, Money, Price, UnixMillis};

pub use formula::{Formula, FormulaError};
pub use measure::{Count, CountError, Measure, MeasureError, Reading};
pub use period::{Period, PeriodError, Usage};
pub use result::{ResultPrice, ResultPriceError};
pub use units::{Bounds, Computed, UnitPrice};
pub use window::{Days, Window, WindowError};

/// How deep rules may stand in each other.
pub const DEPTH_MAX: usize = 6;
/// How many rules one price may have.
pub const RULES_MAX: usize = 64;

/// What a tool costs: a price, or the rule that finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pricing {
    /// The same for every call.
    PerCall(Price),
    /// The first calls of a known caller in each period are free.
    FreeTier {
        /// How many; not zero.
        calls: u64,
        /// In each of these.
        per: Period,
        /// What calls cost after them.
        then: Box<Pricing>,
    },
    /// By how often a known caller has called the tool in the period.
    Volume {
        /// Calls are counted in each of these.
        per: Period,
        /// From how many calls before this one; ascending, the first from 0.
        tiers: Vec<(u64, Pricing)>,
    },
    /// By the caller's local reputation.
    Standing {
        /// From which reputation; descending: the first that a caller reaches counts.
        grades: Vec<(Bps, Pricing)>,
        /// For everybody else, and for whoever is not known.
        otherwise: Box<Pricing>,
    },
    /// By something that is counted in the arguments.
    PerUnit {
        /// What is counted.
        measure: Measure,
        /// How many of it make one unit, a begun one counts whole; not zero.
        size: u64,
        /// The price of the units in each asset, in the owner's order.
        options: Vec<UnitPrice>,
    },
    /// By the size of the result: quoted as a maximum, of which a part is charged.
    PerResult(ResultPrice),
    /// By a formula over what is counted in the arguments.
    Formula {
        /// What is counted, by name.
        measures: Vec<(String, Measure)>,
        /// The formula and its bounds in each asset, in the owner's order.
        options: Vec<Computed>,
    },
    /// By the time of the call, in UTC.
    Windows {
        /// The first window that the moment lies in counts.
        windows: Vec<(Window, Pricing)>,
        /// At all other times.
        otherwise: Box<Pricing>,
    },
}

/// What a price may depend on beside the operator's rules.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// When the call came.
    pub now: UnixMillis,
    /// How often the caller has called this tool; `None` for a caller who is not known well enough to be counted.
    pub usage: Option<Usage>,
    /// The caller's local reputation; `None` for whoever is not known.
    pub reputation: Option<Bps>,
    /// Counts in the arguments.
    pub reading: &'a dyn Reading,
}

impl fmt::Debug for Situation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, usage, reputation, .. } = self;
        write!(f, "Situation({now}, {usage:?}, {reputation:?})")
    }
}

/// What a call costs now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// The price, as far as the call is not free.
    pub price: Price,
    /// A free call that the caller may have left: whoever claims it first has it.
    pub free: Option<FreeCall>,
    /// What of the price is charged once there is a result; `None`: all of it.
    pub by_result: Option<ResultPrice>,
}

impl Due {
    /// All of this price, whatever the result.
    fn of(price: Price) -> Self {
        Self { price, free: None, by_result: None }
    }
}

/// One free call of so many in a period. Written `3/day`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FreeCall {
    /// How many there are.
    pub calls: u64,
    /// In which period.
    pub per: Period,
}

/// A text that names no [`FreeCall`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number of calls in a period, such as 3/day")]
pub struct FreeCallError(String);

impl fmt::Display for FreeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.calls, self.per)
    }
}

impl std::str::FromStr for FreeCall {
    type Err = FreeCallError;

    fn from_str(text: &str) -> Result<Self, FreeCallError> {
        let refused = || FreeCallError(text.chars().take(32).collect());
        let (calls, per) = text.split_once('/').ok_or_else(refused)?;
        // Printed again to refuse other spellings of one number.
        let calls: u64 = calls.parse().ok().filter(|n: &u64| n.to_string() == calls).ok_or_else(refused)?;
        Ok(Self { calls, per: per.parse().map_err(|_| refused())? })
    }
}

/// Why a call has no price: it is refused, never guessed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceUnknown {
    /// What the price is counted from is not in the arguments, or is nothing that can be counted.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The formula has no whole result for these arguments.
    #[error(transparent)]
    Formula(#[from] FormulaError),
    /// The price does not fit 128 bits.
    #[error("the price is larger than any amount")]
    TooLarge,
}

impl Pricing {
    /// Free of charge, always.
    pub const FREE: Self = Self::PerCall(Price::FREE);

    /// What this call costs.
    ///
    /// # Errors
    /// [`PriceUnknown`] when the arguments give no price.
    pub fn due(&self, situation: &Situation<'_>) -> Result<Due, PriceUnknown> {
        match self {
            Self::PerCall(price) => Ok(Due::of(price.clone())),
            Self::FreeTier { calls, per, then } => {
                let mut due = then.due(situation)?;
                let has_left = situation.usage.is_some_and(|usage| usage.within(*per) < *calls);
                if has_left && !due.price.is_free() {
                    due.free = Some(FreeCall { calls: *calls, per: *per });
                }
                Ok(due)
            }
            Self::Volume { per, tiers } => {
                let before = situation.usage.map_or(0, |usage| usage.within(*per));
                let reached = tiers.iter().rev().find(|(from, _)| *from <= before);
                reached.map_or(Self::FREE.due(situation), |(_, pricing)| pricing.due(situation))
            }
            Self::Standing { grades, otherwise } => {
                let reaches = |least: &Bps| situation.reputation.is_some_and(|has| has >= *least);
                let reached = grades.iter().find(|(least, _)| reaches(least));
                reached.map_or(otherwise.as_ref(), |(_, pricing)| pricing).due(situation)
            }
            Self::PerUnit { measure, size, options } => {
                let units = situation.reading.count(measure)?.div_ceil((*size).max(1));
                let amount = |option: &UnitPrice| option.of(units).ok_or(PriceUnknown::TooLarge);
                priced(options.iter().map(|option| (&option.asset, amount(option))))
            }
            Self::PerResult(rule) => {
                Ok(Due { by_result: Some(rule.clone()), ..Due::of(rule.maximum().clone()) })
            }
            Self::Formula { measures, options } => {
                let counted: Result<Vec<(&str, u64)>, MeasureError> = measures
                    .iter()
                    .map(|(name, measure)| Ok((name.as_str(), situation.reading.count(measure)?)))
                    .collect();
                let counted = counted?;
                priced(options.iter().map(|option| (&option.asset, option.of(&counted).map_err(Into::into))))
            }
            Self::Windows { windows, otherwise } => {
                let current = windows.iter().find(|(window, _)| window.contains(situation.now));
                current.map_or(otherwise.as_ref(), |(_, pricing)| pricing).due(situation)
            }
        }
    }

    /// Whether one buyer may be asked for less than another.
    pub fn depends_on_buyer(&self) -> bool {
        match self {
            Self::FreeTier { .. } | Self::Volume { .. } | Self::Standing { .. } => true,
            Self::Windows { .. } => self.parts().any(Self::depends_on_buyer),
            Self::PerCall(_) | Self::PerUnit { .. } | Self::PerResult(_) | Self::Formula { .. } => false,
        }
    }

    /// Whether no call can ever cost anything.
    pub fn is_free(&self) -> bool {
        match self {
            Self::PerCall(price) => price.is_free(),
            Self::FreeTier { then, .. } => then.is_free(),
            Self::Volume { .. } | Self::Standing { .. } | Self::Windows { .. } => {
                self.parts().all(|part| part.is_free())
            }
            Self::PerUnit { options, .. } => options.is_empty(),
            Self::PerResult(rule) => rule.maximum().is_free(),
            Self::Formula { options, .. } => options.is_empty(),
        }
    }

    /// In which periods the calls of a known caller have to be counted, each with how far.
    pub fn meters(&self) -> Vec<(Period, u64)> {
        let mut meters: Vec<(Period, u64)> = self.parts().flat_map(Self::meters).collect();
        match self {
            Self::FreeTier { calls, per, .. } => meters.push((*per, *calls)),
            Self::Volume { per, tiers } => {
                meters.push((*per, tiers.iter().map(|(from, _)| *from).max().unwrap_or_default()));
            }
            Self::PerCall(_)
            | Self::Standing { .. }
            | Self::PerUnit { .. }
            | Self::PerResult(_)
            | Self::Formula { .. }
            | Self::Windows { .. } => {}
        }
        // Sorted by how far, within a period: the last of each goes furthest.
        meters.sort_unstable();
        let furthest: std::collections::BTreeMap<Period, u64> = meters.into_iter().collect();
        furthest.into_iter().collect()
    }

    /// Whether something is counted in the arguments, so that their digest alone does not do.
    pub fn reads_arguments(&self) -> bool {
        matches!(self, Self::PerUnit { .. } | Self::Formula { .. }) || self.parts().any(Self::reads_arguments)
    }

    /// Whether a call may be charged less than it is quoted at, by the size of its result.
    pub fn reads_result(&self) -> bool {
        matches!(self, Self::PerResult(_)) || self.parts().any(Self::reads_result)
    }

    /// The price of every call, where it is the same for all.
    pub fn per_call(&self) -> Option<&Price> {
        match self {
            Self::PerCall(price) => Some(price),
            _ => None,
        }
    }

    /// The first asset that a call may cost.
    pub fn first_asset(&self) -> Option<&Asset> {
        match self {
            Self::PerCall(price) => price.options().first().map(|option| &option.asset),
            Self::PerUnit { options, .. } => options.first().map(|option| &option.asset),
            Self::PerResult(rule) => rule.maximum().options().first().map(|option| &option.asset),
            Self::Formula { options, .. } => options.first().map(|option| &option.asset),
            Self::FreeTier { .. } | Self::Volume { .. } | Self::Standing { .. } | Self::Windows { .. } => {
                self.parts().find_map(Self::first_asset)
            }
        }
    }

    /// The version of this price list: the same rules have the same version everywhere and after every restart, and a price
    /// per call the version of its [`Price`].
    pub fn version(&self) -> u16 {
        if let Self::PerCall(price) = self {
            return price.version();
        }
        let mut text = String::new();
        self.spell(&mut text);
        let [high, low, ..] = *Digest::of(text.as_bytes()).as_bytes();
        u16::from_be_bytes([high, low])
    }

    /// How many rules there are, and how deep they stand in each other.
    pub fn extent(&self) -> (usize, usize) {
        let (rules, depth) = self
            .parts()
            .map(Self::extent)
            .fold((0_usize, 0), |(rules, depth), part| (rules.saturating_add(part.0), depth.max(part.1)));
        (rules.saturating_add(1), depth.saturating_add(1))
    }

    /// The rules right under this one.
    fn parts(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::PerCall(_) | Self::PerUnit { .. } | Self::PerResult(_) | Self::Formula { .. } => {
                Box::new(std::iter::empty())
            }
            Self::FreeTier { then, .. } => Box::new(std::iter::once(then.as_ref())),
            Self::Volume { tiers, .. } => Box::new(tiers.iter().map(|(_, part)| part)),
            Self::Standing { grades, otherwise } => {
                Box::new(grades.iter().map(|(_, part)| part).chain([otherwise.as_ref()]))
            }
            Self::Windows { windows, otherwise } => {
                Box::new(windows.iter().map(|(_, part)| part).chain([otherwise.as_ref()]))
            }
        }
    }

    /// One spelling of these rules, for their version: every number and name, in order.
    fn spell(&self, text: &mut String) {
        // Writing to a `String` does not fail.
        let _written = match self {
            Self::PerCall(price) => {
                let options = price.options().iter();
                let options: Vec<String> =
                    options.map(|option| format!("{}:{}", option.amount, option.asset.id())).collect();
                write!(text, "call({})", options.join(","))
            }
            Self::FreeTier { calls, per, .. } => write!(text, "free({calls},{per})"),
            Self::Volume { per, tiers } => {
                let from: Vec<String> = tiers.iter().map(|(from, _)| from.to_string()).collect();
                write!(text, "volume({per},{})", from.join(","))
            }
            Self::Standing { grades, .. } => {
                let least: Vec<String> = grades.iter().map(|(least, _)| least.to_string()).collect();
                write!(text, "standing({})", least.join(","))
            }
            Self::PerUnit { measure, size, options } => {
                let options: Vec<String> = options.iter().map(UnitPrice::spelled).collect();
                write!(text, "unit({measure:?},{size},{})", options.join(","))
            }
            Self::PerResult(rule) => write!(text, "result({})", rule.spelled()),
            Self::Formula { measures, options } => {
                let options: Vec<String> = options.iter().map(Computed::spelled).collect();
                write!(text, "formula({measures:?},{})", options.join(","))
            }
            Self::Windows { windows, .. } => {
                let windows: Vec<String> = windows.iter().map(|(window, _)| window.to_string()).collect();
                write!(text, "windows({})", windows.join(","))
            }
        };
        text.push('[');
        self.parts().for_each(|part| part.spell(text));
        text.push(']');
    }
}

impl fmt::Display for Pricing {
    /// For people, in one line: `3 calls a day free, then 0.01 USDC or 10 sat`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |texts: Vec<String>| texts.join(" or ");
        match self {
            Self::PerCall(price) if price.is_free() => f.write_str("free"),
            Self::PerCall(price) => f.write_str(&or(price.options().iter().map(Money::to_string).collect())),
            Self::FreeTier { calls, per, then } => write!(f, "{calls} calls per {per} free, then {then}"),
            Self::Volume { per, tiers } => {
                let tiers = tiers.iter().map(|(from, part)| format!("{part} from {from} calls"));
                write!(f, "per {per}: {}", tiers.collect::<Vec<_>>().join(", "))
            }
            Self::Standing { grades, otherwise } => {
                for (least, part) in grades {
                    write!(f, "{part} from reputation {least}, ")?;
                }
                write!(f, "otherwise {otherwise}")
            }
            Self::PerUnit { measure, size, options } => {
                let options = options.iter().map(|option| option.asset.display(option.each)).collect();
                write!(f, "{} for each {size} {} of {}", or(options), measure.of, measure.pointer)
            }
            Self::PerResult(rule) => write!(f, "{rule}"),
            Self::Formula { options, .. } => {
                let shown = |option: &Computed| format!("{} in {}", option.formula, option.asset.symbol());
                f.write_str(&or(options.iter().map(shown).collect()))
            }
            Self::Windows { windows, otherwise } => {
                for (window, part) in windows {
                    write!(f, "{part} on {window} UTC, ")?;
                }
                write!(f, "otherwise {otherwise}")
            }
        }
    }
}

impl From<Price> for Pricing {
    fn from(price: Price) -> Self {
        Self::PerCall(price)
    }
}

impl Default for Pricing {
    fn default() -> Self {
        Self::FREE
    }
}

/// A price of these amounts. A caller pays one of them: where one is nothing, the call is free.
fn priced<'a>(
    options: impl Iterator<Item = (&'a Asset, Result<Amount, PriceUnknown>)>,
) -> Result<Due, PriceUnknown> {
    let options: Result<Vec<Money>, PriceUnknown> =
        options.map(|(asset, amount)| Ok(Money { amount: amount?, asset: asset.clone() })).collect();
    let options = options?;
    let is_free = options.iter().any(|option| option.amount.is_zero());
    Ok(Due::of(if is_free { Price::FREE } else { Price::any_of(options) }))
}

#[cfg(test)]
mod tests;
