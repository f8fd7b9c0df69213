//! The limits that every house has.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use tollgate_risk::{Limiter, Rate};

/// How long past its expiry an unsettled payment is watched: an authorization that expired cannot be mined any more, this
/// leaves room for a block that was on its way.
pub const FINALITY_MS: u64 = 60_000;
/// How many callers a limiter remembers.
const CALLERS_MAX: usize = 100_000;

/// A burst of a tenth of a minute's allowance (at least 20 calls), refilled evenly.
pub fn limiter(per_minute: u32) -> Limiter {
    let refill = NonZeroU32::new(per_minute.max(1)).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new((per_minute / 10).max(20)).unwrap_or(NonZeroU32::MIN);
    let minute = NonZeroU64::new(60_000).unwrap_or(NonZeroU64::MIN);
    Limiter::new(
        Rate::new(burst, refill, minute),
        NonZeroUsize::new(CALLERS_MAX).unwrap_or(NonZeroUsize::MIN),
    )
}
