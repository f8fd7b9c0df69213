//! Lightning as the gateway's wallet sees it: ask for an invoice, ask what became of it. Only as wide as selling calls
//! needs: this crate never pays, and the paid path makes no wallet call at all (the preimage is the proof).
//!
//! - [`LightningWallet`]: the port. [`dev`] (a wallet of our own on regtest) and [`lnbits`] implement it.
//! - [`invoice`]: what a BOLT11 text says.

use std::fmt;

use tollgate_domain::{Amount, UnixMillis};

use crate::rail::RailFuture;

pub mod dev;
pub mod invoice;
pub mod lnbits;
pub mod lnd_rest;
mod preimage;
#[cfg(test)]
pub(crate) mod testing;

pub use invoice::{
    InvoiceError, InvoiceFacts, LightningNetwork, invoice_amount_msat, invoice_payee, invoice_payment_hash,
};
pub use preimage::{Preimage, PreimageError};

/// The most satoshi an invoice is asked for: all bitcoin there will ever be.
pub const SATS_MAX: u64 = 2_100_000_000_000_000;

/// An invoice to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvoiceRequest {
    /// Whole satoshi, 1 to [`SATS_MAX`].
    pub sats: u64,
    /// What the payer's wallet shows; at most 639 bytes (BOLT 11, field `d`).
    pub memo: String,
    /// Seconds from `now` for which it can be paid.
    pub expiry_seconds: u64,
    /// The time of the request.
    pub now: UnixMillis,
}

/// An invoice that a wallet made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invoice {
    /// The payment request (BOLT 11).
    pub bolt11: String,
    /// The SHA-256 digest of the preimage that the payer will learn.
    pub payment_hash: [u8; 32],
}

/// What became of an invoice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvoiceState {
    /// Not paid yet.
    Open,
    /// The payer's money is locked, not yet taken (hold invoice).
    Held,
    /// Paid.
    Settled {
        /// The preimage, where the wallet tells it.
        preimage: Option<Preimage>,
        /// How much came in, in millisatoshi, where the wallet tells it.
        amount: Option<Amount>,
    },
    /// Not paid in time.
    Expired,
    /// Withdrawn.
    Cancelled,
    /// The wallet knows no such invoice.
    Unknown,
}

/// Why a wallet did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// It refuses for now: rate limit, or an answer without an invoice. Worth another try.
    #[error("the wallet is busy: {0}")]
    Busy(String),
    /// It could not be reached, or did not answer in time.
    #[error("reach the wallet")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused the key it was shown.
    #[error("the wallet refuses its key (HTTP status {0})")]
    Forbidden(u16),
    /// It answered with an error, or with something that cannot be read.
    #[error("the wallet's answer is of no use: {0}")]
    Answer(String),
    /// The invoice it gave is not what was asked for.
    #[error("the wallet's invoice is not what was asked for: {0}")]
    OtherInvoice(String),
    /// The key is of another wallet than the one that was told to pay.
    #[error("the wallet {given} was told to pay, and the key is of {id}: configure the key of the first one")]
    OtherWallet {
        /// Who was told to pay.
        given: String,
        /// Whose key it is.
        id: String,
    },
    /// An invoice of this amount, memo or expiry cannot be written.
    #[error("such an invoice cannot be written: {0}")]
    Request(String),
    /// The store or the randomness behind the wallet failed.
    #[error("use what the wallet is built on")]
    Backing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A wallet that receives. A run-time plural (`Arc<dyn LightningWallet>`): the backend is configuration.
pub trait LightningWallet: Send + Sync + fmt::Debug {
    /// The backend's name in errors and logs: `dev`, `lnbits`.
    fn name(&self) -> &'static str;

    /// Makes an invoice. The answer was checked: it is over exactly these satoshi, and the hash is the invoice's own.
    ///
    /// # Errors
    /// [`WalletError`]: why there is none.
    fn create_invoice(&self, request: InvoiceRequest) -> RailFuture<'_, Result<Invoice, WalletError>>;

    /// What became of the invoice with this payment hash.
    ///
    /// # Errors
    /// [`WalletError`] when the wallet does not say.
    fn look_up(
        &self,
        payment_hash: [u8; 32],
        now: UnixMillis,
    ) -> RailFuture<'_, Result<InvoiceState, WalletError>>;
}
