//! How money arrives: x402 (scheme `exact`), L402 over Lightning, and the MPP `Payment` scheme over both.
//!
//! Verifying a payment is **pure**: a proof, a quote and `now` go in, a [`Payment`] or a typed refusal comes out, and an
//! invalid proof burns nothing. Only [`PaymentRail::offer`] (a Lightning invoice) and [`PaymentRail::settle`] /
//! [`PaymentRail::look_up`] (a chain) reach outside, through ports of this crate and the guarded client of `egress`.
//!
//! This crate never reads a clock or randomness, keeps no claim (the ledger's unique key does) and knows no tool.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic)
)]

mod base64_text;
pub mod carriers;
pub mod evm;
pub mod foreign;
pub mod l402;
pub mod lightning;
pub mod mpp;
pub mod payout;
pub mod quote_seal;
pub mod rail;
pub mod x402;

pub use rail::{
    Arrival, Arrivals, Funds, Offer, OfferError, OfferForms, Payment, PaymentRail, PaymentRefusal, Presented,
    Proof, RailFuture, Settlement, SettlementAnswer,
};
