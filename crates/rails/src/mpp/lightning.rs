//! MPP's method `lightning`, intent `charge` (`draft-lightning-charge-00` on `draft-httpauth-payment`), over the same
//! invoice as the L402 challenge beside it.
//!
//! What the challenge's id does not say by itself (tool, arguments, price, caller) stands in its `opaque` map as the very
//! caveats of the macaroon beside it, and is read by the same rules. The proof is the preimage, so a payment has one key,
//! its payment hash, whichever of the two challenges is answered.

use serde_json::{Value, json};
use tollgate_domain::UnixMillis;

use super::{Challenge, Challenges, Credential};
use crate::l402::Opened;
use crate::l402::caveats;
use crate::l402::terms::Terms;
use crate::lightning::{Invoice, Preimage};
use crate::rail::PaymentRefusal;

/// The method's name.
pub const METHOD: &str = "lightning";
const INTENT: &str = "charge";
/// Stands between two caveats in the sealed text. No caveat holds one: they are visible ASCII and spaces.
const SEPARATOR: &str = "\n";

/// A challenge for this invoice and these terms. `network` is the word of the Lightning network, such as `regtest`.
pub(crate) fn challenge(
    challenges: &Challenges,
    network: &str,
    sats: u64,
    invoice: &Invoice,
    terms: &Terms,
) -> Challenge {
    let request = json!({
        "amount": sats.to_string(),
        "currency": "sat",
        "methodDetails": {
            "invoice": invoice.bolt11,
            "network": network,
            "paymentHash": hex::encode(invoice.payment_hash),
        },
    });
    let seal = caveats::minted(terms).join(SEPARATOR);
    challenges.challenge(METHOD, INTENT, request, UnixMillis::from_secs(terms.valid_until), &seal)
}

/// Whether a credential answers a challenge of this method; nothing about it is believed yet.
pub(crate) fn is_lightning(credential: &str) -> bool {
    super::method_of(credential).as_deref() == Some(METHOD)
}

/// Reads a credential, checks that its challenge is ours and unchanged, and that the preimage opens its payment hash.
pub(crate) fn open(challenges: &Challenges, credential: &str) -> Result<Opened, PaymentRefusal> {
    let unreadable = |reason: &str| PaymentRefusal::Unreadable(format!("MPP credential: {reason}"));
    let credential = Credential::parse(credential)?;
    let challenge = credential.challenge();
    challenges.recognise(&credential)?;
    for (presented, expected) in [(challenge.method(), METHOD), (challenge.intent(), INTENT)] {
        if presented != expected {
            return Err(PaymentRefusal::WrongTarget {
                presented: presented.to_owned(),
                expected: expected.to_owned(),
            });
        }
    }
    let hash_text = challenge.request().pointer("/methodDetails/paymentHash").and_then(Value::as_str);
    let mut payment_hash = [0; 32];
    hex::decode_to_slice(hash_text.unwrap_or_default(), &mut payment_hash)
        .map_err(|_| unreadable("its request has no payment hash"))?;
    let seal = challenge.seal().ok_or_else(|| unreadable("its opaque map is not ours"))?;
    let conditions = caveats::read(seal.split(SEPARATOR).map(str::as_bytes))
        .map_err(|error| PaymentRefusal::Invalid(error.to_string()))?;
    let preimage = credential.payload_text("preimage").unwrap_or_default();
    let preimage = Preimage::parse(preimage).map_err(|error| PaymentRefusal::Invalid(error.to_string()))?;
    Opened::proven(payment_hash, &preimage, conditions.terms)
}

#[cfg(test)]
mod tests;
