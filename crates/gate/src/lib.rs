//! The street: what a tool call walks before it may be carried out, and how it ends.
//!
//! [`Gate::authorize`] takes a [`Call<Received>`](Call) past every station, each of which consumes it and adds one stamp;
//! [`Gate::take`] takes the money of a held call whose tool is paid before it runs. Only a [`Call<Ready>`](Call) yields a
//! [`Permitted`] call, and only `gate` can make one. [`Gate::complete`] ends each held call in exactly one settlement, refund or
//! void, and one receipt. [`Gate::recover`] does the same for what a crash left open.
//!
//! What happens on the way:
//!
//! ```text
//! receive ─ authenticate ─ evaluate ─ quote ─ pay ─ screen ─ hold ─ take ─► carried out ─ settle, refund or void ─ seal
//! ```
//!
//! This crate knows no database, no HTTP server and no way to run a tool; it reads no clock and no randomness but through
//! [`Ports`].
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic)
)]

mod answer;
mod call;
mod charge;
mod code;
mod complete;
mod demand;
mod denial;
mod entrust;
mod escrow;
mod evidence;
mod fault;
mod found;
mod payout;
mod permitted;
mod ports;
mod preview;
mod pricing;
mod reading;
mod receipt;
mod recover;
mod refund;
mod result;
mod spending;
mod station;
mod street;
mod take;
mod viewer;

pub use answer::{Answer, Door, Naming, delivered, denied, faulted, render};
pub use call::{
    Authenticated, Call, CreditUse, Held, Paid, Presentation, Quoted, Ready, Received, Request, Screened,
    Trusted,
};
pub use charge::Charge;
pub use code::{CODES, Code, Retry};
pub use complete::{Completed, Ending, ToolAnswer};
pub use demand::Demand;
pub use denial::Denial;
pub use entrust::{CallEscrows, Entrusted};
pub use evidence::{Evidence, Refund};
pub use fault::Fault;
pub use found::{Found, IDEMPOTENCY_META, MAXIMUM_META, maximum, request};
pub use permitted::{HeldCall, Permitted};
pub use ports::{ArgumentSchema, Catalog, Listed, Mode, Ports, Withheld};
pub use preview::{Challenge, Checked};
pub use pricing::pricing;
pub use recover::Recovered;
pub use refund::{RefundAsked, RefundMade, RefundRefused};
pub use station::{Refusal, Verdict};
pub use street::{Gate, GateLimits};
pub use take::NotTaken;
pub use viewer::Viewer;
