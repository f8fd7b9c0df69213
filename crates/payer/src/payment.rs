//! Making a payment out of a chosen offer: the one place where a wallet is used.

use serde_json::value::RawValue;
use tollgate_domain::{Money, UnixMillis};
use tollgate_rails::x402::sign_payment;

use crate::offer::{L402Offer, Offer, X402Offer};
use crate::{EvmWallet, LightningError, LightningPayer, PayError, Randomness, Wallets};

/// A payment that was made, in the form it travels in. A bearer secret until it is spent: never printed.
pub(crate) enum Payment {
    /// x402 `PaymentPayload`.
    X402(Box<RawValue>),
    /// `macaroon:preimage`.
    L402(String),
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
        // An invoice is paid at most once, so asking again moves nothing and may bring the preimage that got lost.
        Err(LightningError::Unclear(_)) => wallet.pay(&offer.bolt11).await?,
        answer => answer?,
    };
    if !preimage.opens(&offer.payment_hash) {
        return Err(PayError::WrongPreimage);
    }
    Ok(Payment::L402(format!("{}:{}", offer.macaroon, preimage.to_hex())))
}
