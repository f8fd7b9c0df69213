//! The payer's side of L402: read a challenge, check it before paying, answer it.

use std::fmt;

use serde::Deserialize;
use tollgate_domain::Amount;

use super::identifier::Identifier;
use super::macaroon::Macaroon;
use super::www_authenticate::challenges;
use crate::lightning::{InvoiceError, InvoiceFacts, Preimage};

/// An L402 challenge: a token that starts to count once its invoice is paid.
#[derive(Clone, PartialEq, Eq)]
pub struct L402Challenge {
    /// The macaroon as sent; echoed unchanged.
    pub token: String,
    /// The BOLT11 payment request.
    pub invoice: String,
}

/// Why a challenge must not be paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// The invoice is no valid BOLT11.
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    /// The invoice leaves the amount to the payer.
    #[error("the invoice names no amount")]
    NoAmount,
    /// The invoice is over another amount than the price that was shown.
    #[error("the invoice is over {invoice} msat, the offered price is {offered} msat")]
    OtherAmount {
        /// What the invoice asks for.
        invoice: Amount,
        /// What was offered.
        offered: Amount,
    },
    /// The token was made for another invoice: paying this one would buy nothing.
    #[error("the token was made for another invoice")]
    OtherInvoice,
}

#[derive(Deserialize)]
struct ChallengeObject {
    macaroon: Option<String>,
    token: Option<String>,
    invoice: Option<String>,
    payment_request: Option<String>,
}

impl L402Challenge {
    /// The L402 (or LSAT) challenge in a `WWW-Authenticate` value, whatever stands before or behind it.
    pub fn from_www_authenticate(value: &str) -> Option<Self> {
        challenges(value).iter().filter(|challenge| challenge.is("L402") || challenge.is("LSAT")).find_map(
            |challenge| {
                // Both keys are in use: `macaroon` by most of the world, `token` by the specification of March 2026.
                let token = challenge.param("token").or_else(|| challenge.param("macaroon"))?;
                Self::of(Some(token), challenge.param("invoice"))
            },
        )
    }

    /// The challenge in a JSON object, as in an MCP tool result or a 402 body: `macaroon` or `token`, and `invoice` or
    /// `payment_request`.
    pub fn from_json(text: &str) -> Option<Self> {
        let object: ChallengeObject = serde_json::from_str(text).ok()?;
        let token = object.macaroon.as_deref().or(object.token.as_deref());
        Self::of(token, object.invoice.as_deref().or(object.payment_request.as_deref()))
    }

    fn of(token: Option<&str>, invoice: Option<&str>) -> Option<Self> {
        let visible = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        Some(Self { token: token.filter(visible)?.to_owned(), invoice: invoice.filter(visible)?.to_owned() })
    }

    /// Checks what can be checked before paying: the invoice is over exactly the whole satoshi of the offered price (in
    /// millisatoshi), and the token names the invoice's payment hash. A token whose identifier is not of version 0 tells
    /// nothing about its invoice and is let through.
    ///
    /// # Errors
    /// [`ChallengeError`]: why it must not be paid.
    pub fn check(&self, offered: Amount) -> Result<InvoiceFacts, ChallengeError> {
        let facts = InvoiceFacts::read(&self.invoice)?;
        let amount = facts.amount.ok_or(ChallengeError::NoAmount)?;
        if amount != offered {
            return Err(ChallengeError::OtherAmount { invoice: amount, offered });
        }
        let identifier =
            Macaroon::from_text(&self.token).ok().and_then(|token| Identifier::parse(token.identifier()));
        if identifier.is_some_and(|identifier| identifier.payment_hash != facts.payment_hash) {
            return Err(ChallengeError::OtherInvoice);
        }
        Ok(facts)
    }

    /// The `Authorization` value of the paid request.
    pub fn authorization(&self, preimage: &Preimage) -> String {
        format!("L402 {}", self.meta_text(preimage))
    }

    /// The text of `_meta["l402/authorization"]` of the paid `tools/call`.
    pub fn meta_text(&self, preimage: &Preimage) -> String {
        format!("{}:{}", self.token, preimage.to_hex())
    }
}

impl fmt::Debug for L402Challenge {
    /// A token is half of a bearer secret: only the invoice is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L402Challenge([redacted], {})", self.invoice)
    }
}

#[cfg(test)]
mod tests;
