//! Double entry, claims and the settlement state machine: what happens to money, decided purely.
//!
//! A [`Command`] and a view of the books ([`Books`]) go into a [`Batch`]; an [`Outcome`] for each command and the rows to write
//! ([`BatchChanges`]) come out. The [`LedgerStore`] port is how the rest of the house asks for it; a store applies many
//! commands in one durable transaction, in order, and replies after the commit.
//!
//! Words are TigerBeetle's: a transfer moves an amount from a debited to a credited account of one asset; a pending
//! transfer reserves and is posted or voided exactly once; transfers are never changed.
//!
//! How far callers may spend is decided with the claim: see [`budget`].
//!
//! Invariants: every transfer balances; `credit:*` accounts never go below zero, pending debits included; one payment
//! key has at most one attempt that is neither voided nor refunded; only [`State::apply`] changes a state.
//!
//! This crate never does I/O, never reads a clock, never draws randomness: `now` and new ids travel in the command.
//!
//! ```
//! use tollgate_domain::{Digest, Settle};
//! use tollgate_ledger::{Effect, Event, State};
//!
//! let executed = Event::Executed { result: Digest::of(b"42") };
//! let (state, effect) = State::Executing.apply(Settle::After, &executed)?;
//! assert_eq!((state, effect), (State::Executed, Effect::Nothing));
//!
//! // Whoever has not submitted cannot have been paid.
//! let settled = Event::Settled { reference: "0xabc".into() };
//! assert!(State::Executing.apply(Settle::After, &settled).is_err());
//! # Ok::<(), tollgate_ledger::IllegalTransition>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic)
)]

mod account;
pub mod audit;
mod batch;
mod booking;
pub mod budget;
mod command;
mod draft;
mod engine;
pub mod escrow;
mod history;
#[cfg(test)]
mod memory;
pub mod payout;
mod port;
mod refund;
mod settlement;
mod shares;
mod standing;
pub mod statement;
mod transfer;

pub use account::{AccountBalance, AccountName, AccountNameError, Balances, BookingError, Clearing};
pub use batch::{Batch, BatchChanges, Kept, Moved, NewReceipt, Sealed, SealedReceipt, Sealer};
pub use command::{
    Advance, Advanced, Booked, Claim, Claimed, Command, Funds, FundsError, Grant, Granted, Outcome, Refusal,
    StoredAnswer,
};
pub use engine::{Books, EngineError};
pub use history::CallHistory;
pub use port::{LedgerStore, PaidCall, PendingSettlements, RecentCall, Spent, StoreError};
pub use refund::{Refund, Refunded};
pub use settlement::{
    Effect, Event, IllegalTransition, RefundCause, RefundCauseError, SettlementRow, State, StateError,
};
pub use standing::{Record, Verdict};
pub use transfer::{
    Transfer, TransferKind, TransferKindError, arrival_id, earned_id, expiry_id, hold_id, operator_refund_id,
    refund_id, requested_id, resolution_id, share_id,
};
