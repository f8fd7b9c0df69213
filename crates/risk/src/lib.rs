//! Is this behaviour normal: how fast a caller may go on.
//!
//! Owns the limiter: one rate, many keys, bounded memory. Whom a key stands for (a caller, a caller and a tool, an address
//! for callers who are not known otherwise) is decided by whoever asks; so is what happens to a call that is limited.
//!
//! This crate never reads a clock (it is told `now`), never computes in floats, and never keeps more than the configured
//! number of entries, however many keys strangers invent.
//!
//! ```
//! use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
//! use tollgate_domain::UnixMillis;
//! use tollgate_risk::{Limiter, Rate};
//!
//! // Two calls at once, then one more each second.
//! let rate = Rate::new(NonZeroU32::new(2).unwrap(), NonZeroU32::new(60).unwrap(), NonZeroU64::new(60_000).unwrap());
//! let limiter = Limiter::new(rate, NonZeroUsize::new(10_000).unwrap());
//! let now = UnixMillis::from_secs(1_700_000_000);
//! assert!(limiter.check("alice", 1, now).is_ok());
//! assert!(limiter.check("alice", 1, now).is_ok());
//! assert_eq!(limiter.check("alice", 1, now).unwrap_err().retry_after_ms, 1_000);
//! assert!(limiter.check("bob", 1, now).is_ok());
//! assert!(limiter.check("alice", 1, now.plus_millis(1_000)).is_ok());
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic)
)]

mod limiter;
mod rate;

pub use limiter::{Limited, Limiter};
pub use rate::Rate;
