//! The port behind which an authorization becomes a transfer, and the words for why it did not.

use std::fmt;

use tollgate_domain::{Amount, UnixMillis};

use crate::evm::{Address, SignedAuthorization};
use crate::rail::{Arrival, RailFuture, SettlementAnswer};

/// Moves the money of one authorization, at most once by (token, payer, nonce).
pub trait Settler: Send + Sync + fmt::Debug {
    /// Submits the authorization and waits, for a bounded time, until its effect is known. One that was used before is refused: whoever may
    /// have submitted it already looks it up first, and once more after such a refusal.
    fn settle<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer>;

    /// Finds out what became of it, without submitting anything. What moved before `since` moved for something else, though nobody who
    /// looks can tell for what, nor trust two clocks to the second: it is never settled, and never failed.
    fn look_up<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        since: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer>;

    /// How much the transaction `reference` moved for this authorization; `None` when nothing.
    ///
    /// # Errors
    /// Why the chain does not tell.
    fn confirm<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        reference: &'a str,
    ) -> RailFuture<'a, Result<Option<Amount>, String>>;

    /// What `recipient` was sent lately, as far back as the settler looks.
    ///
    /// # Errors
    /// Why the chain does not tell.
    fn arrivals(&self, recipient: Address) -> RailFuture<'_, Result<Vec<Arrival>, String>>;
}

/// Error words as the official x402 SDKs emit them (`@x402/evm` 2.27.0), for `errorReason` of a settle response.
pub mod reason {
    /// The payer has less than the value.
    pub const INSUFFICIENT_BALANCE: &str = "invalid_exact_evm_insufficient_balance";
    /// The payer has used this nonce for something else, or cancelled it.
    pub const NONCE_ALREADY_USED: &str = "invalid_exact_evm_nonce_already_used";
    /// The chain says that the transaction failed.
    pub const TRANSACTION_FAILED: &str = "invalid_exact_evm_transaction_failed";
    /// A dry run of the transaction fails, so it was not sent.
    pub const TRANSACTION_SIMULATION_FAILED: &str = "invalid_exact_evm_transaction_simulation_failed";
    /// The transaction succeeded, but the token logged no such transfer.
    pub const TRANSFER_EVENT_MISMATCH: &str = "invalid_exact_evm_transfer_event_mismatch";
    /// The node serves another chain than the configured one.
    pub const NETWORK_MISMATCH: &str = "invalid_exact_evm_network_mismatch";
    /// `validBefore` has passed.
    pub const VALID_BEFORE: &str = "invalid_exact_evm_payload_authorization_valid_before";
}
