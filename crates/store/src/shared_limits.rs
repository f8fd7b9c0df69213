//! How often callers may come, counted by all gateways on one database together.

use tollgate_domain::Digest;

/// What is to be taken from one bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedTake {
    /// Whose bucket it is.
    pub key: Digest,
    /// How long what is taken needs to come back, in nanoseconds.
    pub cost_nanos: u128,
    /// How long an empty bucket needs to be full, in nanoseconds. Above [`SHARED_FULL_MS_MAX`] it counts as that.
    pub full_nanos: u128,
}

/// A bucket has no room; nothing was taken from any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedWait {
    /// Its place among those that were asked for, from 0.
    pub place: usize,
    /// When it has room, if nothing else is taken before, in milliseconds; at least 1.
    pub wait_ms: u64,
}

/// The longest that an empty bucket may need to be full: ten years.
pub const SHARED_FULL_MS_MAX: u64 = 10 * 366 * 86_400_000;
