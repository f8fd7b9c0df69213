//! Is this behaviour normal: how fast callers may go on, how much of theirs is under way at once, and how much memory that takes.
//!
//! Owns the limits: rules with a rate each, what they count, whom they tell apart, and the buckets that follow from it, in
//! bounded memory; and the [`Room`] that bodies or answers share. What happens to a call that is limited, or finds no room, is decided
//! by whoever asks.
//!
//! Invariants: in no span of time does a limit admit more than its burst and what came back meanwhile; a call that one limit
//! refuses takes nothing from any other. This crate never reads a clock (it is told `now`), never computes in floats, and
//! never keeps more than the configured number of buckets, however many callers strangers invent.
//!
//! ```
//! use std::num::{NonZeroU32, NonZeroUsize};
//! use std::sync::Arc;
//! use tollgate_domain::{Origin, ToolRef, UnixMillis};
//! use tollgate_risk::{Asking, Counts, Label, Limits, Part, Per, Plan, Rate, Rule, Scope};
//!
//! // Two calls at once from each address, then one more each second.
//! let rule = Rule {
//!     label: Arc::new(Label { name: "mine".into(), rate: "60/minute".into(), per: "address".into() }),
//!     counts: Counts::Calls,
//!     scope: Scope::Gateway,
//!     per: Per::of([Part::Address]),
//!     rate: Rate::of("60/minute".parse().unwrap(), NonZeroU32::new(2)),
//!     shared: false,
//! };
//! let plan = Plan::new(vec![rule], vec![]).unwrap();
//! let limits = Limits::new(&plan, NonZeroUsize::new(10_000).unwrap());
//! let tool = ToolRef { server: "weather".parse().unwrap(), tool: "forecast".parse().unwrap() };
//! let (here, there) = (Origin::named("192.0.2.1"), Origin::named("192.0.2.2"));
//! let now = UnixMillis::from_secs(1_700_000_000);
//! let call = |origin, now| limits.take_call(Asking { caller: None, origin, tool: &tool }, now);
//! assert!(call(&here, now).is_ok());
//! assert!(call(&here, now).is_ok());
//! assert_eq!(call(&here, now).unwrap_err().retry_after_ms, 1_000);
//! assert!(call(&there, now).is_ok());
//! assert!(call(&here, now.plus_millis(1_000)).is_ok());
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic)
)]

mod at_once;
mod buckets;
mod limits;
mod plan;
mod rate;
pub mod room;
mod rule;

pub use at_once::{AtOnce, Place};
pub use limits::{Ask, Asking, Crowded, Entrance, Limited, Limits, Seen, Shared};
pub use plan::{Plan, TooHeavy, Weights};
pub use rate::{Rate, Refill, RefillError};
pub use room::Room;
pub use rule::{Counts, Label, Part, PartError, Per, Rule, Scope};
