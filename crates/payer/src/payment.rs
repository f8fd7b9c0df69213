//! Making a payment out of a chosen offer: the one place where a wallet is used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use tollgate_domain::{Money, UnixMillis};
use tollgate_mcp::json;
use tollgate_rails::x402::sign_payment;

use crate::offer::{L402Offer, Offer, X402Offer};
use crate::request::{L402_AUTHORIZATION, X402_PAYMENT};
use crate::{EvmWallet, LightningError, LightningPayer, PayError, Randomness, Wallets};

const PAYMENT_SIGNATURE: HeaderName = HeaderName::from_static("payment-signature");

/// A payment that was made, in the form it travels in. A bearer secret until it is spent: never printed.
pub(crate) enum Payment {
    /// x402 `PaymentPayload`.
    X402(Box<RawValue>),
    /// `macaroon:preimage`.
    L402(String),
}

/// Whether an attempt to pay that ended like this surely handed nothing out.
pub(crate) fn nothing_left_the_wallet(error: &PayError) -> bool {
    match error {
        // A signature that was not made, a wallet that says it did not pay.
        PayError::NoWallet { .. }
        | PayError::UnsoundOffer(_)
        | PayError::NoRandomness(_)
        | PayError::Lightning(LightningError::Refused(_)) => true,
        PayError::Lightning(LightningError::Unclear(_) | LightningError::Malformed(_))
        | PayError::WrongPreimage
        | PayError::Request(_)
        | PayError::Unreachable { .. }
        | PayError::NotMcp { .. }
        | PayError::Refused { .. }
        | PayError::ToolFailed(_)
        | PayError::PriceAboveLimit { .. }
        | PayError::NoOffer { .. }
        | PayError::NetworkNotAllowed { .. }
        | PayError::PaymentRefused { .. }
        | PayError::InDoubt { .. } => false,
    }
}

impl Payment {
    /// The entry of `params._meta` in which it travels: a key and a raw value.
    pub(crate) fn meta_entry(&self) -> (&'static str, String) {
        match self {
            Self::X402(payload) => (X402_PAYMENT, payload.get().to_owned()),
            Self::L402(credential) => (L402_AUTHORIZATION, json::quote(credential)),
        }
    }

    /// The HTTP header in which it travels, as one line.
    pub(crate) fn header_line(&self) -> String {
        match self {
            Self::X402(payload) => format!("{PAYMENT_SIGNATURE}: {}", STANDARD.encode(payload.get())),
            Self::L402(credential) => format!("{AUTHORIZATION}: L402 {credential}"),
        }
    }

    /// The HTTP header in which it travels; `None` if it does not fit into one. Marked, so that nobody prints it.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::X402(payload) => (PAYMENT_SIGNATURE, STANDARD.encode(payload.get())),
            Self::L402(credential) => (AUTHORIZATION, format!("L402 {credential}")),
        };
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

/// Pays a chosen offer.
///
/// # Errors
/// [`PayError`]: why it was not paid.
pub(crate) async fn make(
    offer: &Offer,
    money: &Money,
    wallets: &Wallets,
    randomness: &dyn Randomness,
    now: UnixMillis,
) -> Result<Payment, PayError> {
    let no_wallet = || PayError::NoWallet { asset: money.asset.symbol().to_owned() };
    match offer {
        Offer::X402(offer) => {
            sign(offer, wallets.evm.as_ref().ok_or_else(no_wallet)?, randomness.bytes()?, now)
        }
        Offer::L402(offer) => pay(offer, wallets.lightning.as_deref().ok_or_else(no_wallet)?).await,
    }
}

fn sign(
    offer: &X402Offer,
    wallet: &EvmWallet,
    nonce: [u8; 32],
    now: UnixMillis,
) -> Result<Payment, PayError> {
    let resource = offer.required.resource.as_deref().map(RawValue::get);
    let payload = sign_payment(offer.entry.get(), resource, wallet.key(), nonce, now)
        .map_err(|error| PayError::UnsoundOffer(error.to_string()))?;
    let whole = match (&offer.required.extensions, payload.strip_suffix('}')) {
        // Declared extensions are echoed (x402 specification v2, section 5.2); a server may refuse a payment without them.
        (Some(extensions), Some(open)) => format!("{open},\"extensions\":{}}}", extensions.get()),
        _ => payload,
    };
    RawValue::from_string(whole)
        .map(Payment::X402)
        .map_err(|error| PayError::UnsoundOffer(format!("it cannot be echoed: {error}")))
}

async fn pay(offer: &L402Offer, wallet: &dyn LightningPayer) -> Result<Payment, PayError> {
    let preimage = match wallet.pay(&offer.bolt11).await {
        // An invoice is paid at most once, so asking again moves nothing and may bring the preimage that got lost. Whatever the
        // second answer says, the first attempt may have paid.
        Err(unclear @ LightningError::Unclear(_)) => wallet.pay(&offer.bolt11).await.map_err(|_| unclear)?,
        answer => answer?,
    };
    if !preimage.opens(&offer.payment_hash) {
        return Err(PayError::WrongPreimage);
    }
    Ok(Payment::L402(format!("{}:{}", offer.macaroon, preimage.to_hex())))
}

#[cfg(test)]
mod tests;
