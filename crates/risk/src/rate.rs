use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;

/// How fast a key may go: `burst` units at once, refilled by `refill` units every `per_ms` milliseconds.
///
/// Kept as the time one unit takes to come back, in nanoseconds and rounded up: rounding never admits more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    burst: NonZeroU32,
    unit_nanos: u128,
}

const NANOS_PER_MILLI: u128 = 1_000_000;

impl Rate {
    /// The rate of `burst` units at once and `refill` units per `per_ms` milliseconds.
    pub fn new(burst: NonZeroU32, refill: NonZeroU32, per_ms: NonZeroU64) -> Self {
        let period = nanos(per_ms.get());
        Self { burst, unit_nanos: period.div_ceil(u128::from(refill.get())) }
    }

    /// The rate of this refill; without a burst of its own, what comes back in one period may be taken at once.
    pub fn of(refill: Refill, burst: Option<NonZeroU32>) -> Self {
        Self::new(burst.unwrap_or(refill.units), refill.units, refill.period.millis())
    }

    /// How many units may be taken at once after a pause.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// How long an empty bucket takes to be full, in milliseconds, rounded up.
    pub fn full_ms(&self) -> u64 {
        millis_ceil(self.tolerance_nanos())
    }

    /// How long `units` take to come back, in nanoseconds.
    pub(crate) fn nanos_of(&self, units: u32) -> u128 {
        // At most 2^32 units of at most 2^84 ns: far from overflow.
        self.unit_nanos.saturating_mul(u128::from(units))
    }

    /// How long an empty bucket takes to be full, in nanoseconds.
    pub(crate) fn tolerance_nanos(&self) -> u128 {
        self.nanos_of(self.burst.get())
    }
}

/// How fast units come back, in one text form: `60/minute`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refill {
    units: NonZeroU32,
    period: Period,
}

/// Why a text is not a [`Refill`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is not a whole number from 1 per second, minute, hour or day, such as 60/minute")]
pub struct RefillError(String);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    const fn word(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn millis(self) -> NonZeroU64 {
        let millis = match self {
            Self::Second => NonZeroU64::new(1_000),
            Self::Minute => NonZeroU64::new(60_000),
            Self::Hour => NonZeroU64::new(3_600_000),
            Self::Day => NonZeroU64::new(86_400_000),
        };
        match millis {
            Some(millis) => millis,
            None => NonZeroU64::MIN, // never: no period is zero
        }
    }
}

impl Refill {
    /// So many units a minute.
    pub const fn per_minute(units: NonZeroU32) -> Self {
        Self { units, period: Period::Minute }
    }
}

impl FromStr for Refill {
    type Err = RefillError;

    fn from_str(text: &str) -> Result<Self, RefillError> {
        let parsed = || {
            let (units, period) = text.split_once('/')?;
            // The parser of integers would take a sign and leading zeros as well: one text form means one.
            let is_plain = units.bytes().all(|byte| byte.is_ascii_digit()) && !units.starts_with('0');
            let units = units.parse().ok().filter(|_| is_plain)?;
            let period = Period::ALL.into_iter().find(|known| known.word() == period)?;
            Some(Self { units, period })
        };
        parsed().ok_or_else(|| RefillError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Refill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.units, self.period.word())
    }
}

/// Milliseconds in nanoseconds; any `u64` fits.
pub(crate) fn nanos(millis: u64) -> u128 {
    u128::from(millis).saturating_mul(NANOS_PER_MILLI)
}

/// Nanoseconds in milliseconds, rounded up; what does not fit is as good as never.
pub(crate) fn millis_ceil(nanos: u128) -> u64 {
    u64::try_from(nanos.div_ceil(NANOS_PER_MILLI)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
