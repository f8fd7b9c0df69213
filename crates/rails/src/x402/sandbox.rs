//! The sandbox: a token ledger of our own in place of a chain, with the same checks an EIP-3009 token makes.
//!
//! It is a book beside the gateway's ledger, so that the two can be compared like chain and ledger. Its references open
//! with `sandbox:`: nothing of it can be taken for a transaction.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tollgate_domain::{Amount, UnixMillis};

use super::settler::{Settler, reason};
use crate::evm::eip712::{keccak256_of_parts, word};
use crate::evm::{Address, Authorization, SignedAuthorization};
use crate::rail::{RailFuture, SettlementAnswer};

/// One transfer in the sandbox token, as an authorization asks for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SandboxTransfer {
    /// The authorization; its signature has been checked.
    pub authorization: Authorization,
    /// What the transfer will be known as: a function of payer, recipient, value and nonce.
    pub reference: String,
}

/// Why the sandbox token refuses a transfer. Definite: nothing moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SandboxRefusal {
    /// The payer has less than the value.
    #[error("the payer's sandbox balance is too low")]
    InsufficientBalance,
    /// The payer used this nonce for another transfer.
    #[error("the payer has used this nonce")]
    NonceAlreadyUsed,
    /// It is too early.
    #[error("the authorization is not valid yet")]
    NotYetValid,
    /// It is too late.
    #[error("the authorization has expired")]
    Expired,
}

/// Why the sandbox book gave no transfer or no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SandboxError {
    /// The token's rules refuse it.
    #[error(transparent)]
    Refused(#[from] SandboxRefusal),
    /// The book could not be read or written; whether something moved is not known.
    #[error("the sandbox book is not available: {0}")]
    Unavailable(String),
}

/// What the token's rules say about a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SandboxDecision {
    /// Book it: take the value from the payer, give it to the recipient, remember (payer, nonce) with the reference.
    Move,
    /// This very transfer is booked already: book nothing, answer with its reference.
    AlreadyMoved,
}

impl SandboxRefusal {
    /// The word for it in a settle response, as the official SDKs spell it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InsufficientBalance => reason::INSUFFICIENT_BALANCE,
            Self::NonceAlreadyUsed => reason::NONCE_ALREADY_USED,
            Self::NotYetValid => reason::VALID_AFTER,
            Self::Expired => reason::VALID_BEFORE,
        }
    }
}

impl SandboxTransfer {
    /// The transfer of this authorization.
    pub fn new(authorization: Authorization) -> Self {
        let hash = keccak256_of_parts(&[
            b"tollgate sandbox transfer",
            authorization.from.as_bytes(),
            authorization.to.as_bytes(),
            &word(authorization.value.get()),
            &authorization.nonce,
        ]);
        // Shorter than a transaction hash on purpose.
        let reference = format!("sandbox:0x{}", hex::encode(&hash[..20]));
        Self { authorization, reference }
    }

    /// The token's rules, in the order a token checks them: the nonce, the time window (both ends exclusive, EIP-3009),
    /// the balance. `used` is the reference under which the book knows (payer, nonce). A book calls this inside its
    /// transaction.
    ///
    /// # Errors
    /// [`SandboxRefusal`]: which rule refuses.
    pub fn decide(
        &self,
        used: Option<&str>,
        balance: Amount,
        now: UnixMillis,
    ) -> Result<SandboxDecision, SandboxRefusal> {
        match used {
            Some(reference) if reference == self.reference => return Ok(SandboxDecision::AlreadyMoved),
            Some(_) => return Err(SandboxRefusal::NonceAlreadyUsed),
            None => {}
        }
        if now.secs() <= self.authorization.valid_after {
            return Err(SandboxRefusal::NotYetValid);
        }
        if now.secs() >= self.authorization.valid_before {
            return Err(SandboxRefusal::Expired);
        }
        if balance < self.authorization.value {
            return Err(SandboxRefusal::InsufficientBalance);
        }
        Ok(SandboxDecision::Move)
    }
}

/// The sandbox token's ledger, kept by a store. One book is one token.
pub trait SandboxBook: Send + Sync + 'static {
    /// Books a transfer, atomically and durably, as [`SandboxTransfer::decide`] says; answers with its reference, the same
    /// one when it was booked before.
    fn transfer(
        &self,
        transfer: &SandboxTransfer,
        now: UnixMillis,
    ) -> impl Future<Output = Result<String, SandboxError>> + Send;

    /// The reference of the transfer for which this payer used this nonce, if any.
    fn authorization_used(
        &self,
        from: Address,
        nonce: [u8; 32],
    ) -> impl Future<Output = Result<Option<String>, SandboxError>> + Send;

    /// What an address has.
    fn balance(&self, owner: Address) -> impl Future<Output = Result<Amount, SandboxError>> + Send;

    /// Gives an address new sandbox money.
    fn mint(&self, owner: Address, amount: Amount) -> impl Future<Output = Result<(), SandboxError>> + Send;
}

/// Settles in a sandbox book.
pub struct SandboxSettler<B> {
    book: Arc<B>,
}

impl<B: SandboxBook> SandboxSettler<B> {
    /// Settles in this book.
    pub const fn new(book: Arc<B>) -> Self {
        Self { book }
    }
}

impl<B> fmt::Debug for SandboxSettler<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxSettler")
    }
}

impl<B: SandboxBook> Settler for SandboxSettler<B> {
    fn settle<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move {
            let transfer = SandboxTransfer::new(signed.authorization);
            match self.book.transfer(&transfer, now).await {
                Ok(reference) => SettlementAnswer::Settled { reference },
                Err(SandboxError::Refused(refusal)) => {
                    SettlementAnswer::Failed { reason: refusal.word().to_owned() }
                }
                Err(error @ SandboxError::Unavailable(_)) => {
                    SettlementAnswer::Unknown { evidence: error.to_string() }
                }
            }
        })
    }

    fn look_up<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        _now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move {
            let transfer = SandboxTransfer::new(signed.authorization);
            match self.book.authorization_used(signed.authorization.from, signed.authorization.nonce).await {
                Ok(Some(reference)) if reference == transfer.reference => {
                    SettlementAnswer::Settled { reference }
                }
                Ok(Some(_)) => SettlementAnswer::Failed { reason: reason::NONCE_ALREADY_USED.to_owned() },
                Ok(None) => SettlementAnswer::Absent,
                Err(error) => SettlementAnswer::Unknown { evidence: error.to_string() },
            }
        })
    }
}

#[cfg(test)]
mod tests;
