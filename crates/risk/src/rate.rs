use std::num::{NonZeroU32, NonZeroU64};

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

    /// How many units may be taken at once after a pause.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst
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

/// Milliseconds in nanoseconds; any `u64` fits.
pub(crate) fn nanos(millis: u64) -> u128 {
    u128::from(millis).saturating_mul(NANOS_PER_MILLI)
}

/// Nanoseconds in milliseconds, rounded up; what does not fit is as good as never.
pub(crate) fn millis_ceil(nanos: u128) -> u64 {
    u64::try_from(nanos.div_ceil(NANOS_PER_MILLI)).unwrap_or(u64::MAX)
}
