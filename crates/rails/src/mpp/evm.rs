//! MPP's method `evm`, intent `charge`, credential type `authorization` (`draft-evm-charge-00`): the same EIP-3009
//! authorization as x402 `exact`, bound to its challenge by the nonce.

use serde_json::{Value, json};
use tollgate_domain::{Amount, UnixMillis};

use super::{Challenge, Challenges, Credential};
use crate::evm::eip712::keccak256_of_parts;
use crate::evm::eip3009::{AuthorizationWire, SignedWire};
use crate::evm::{Address, SignedAuthorization};
use crate::rail::PaymentRefusal;

/// The method's name.
pub const METHOD: &str = "evm";
const INTENT: &str = "charge";
const CREDENTIAL_TYPE: &str = "authorization";

/// To whom and in what a charge is paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) chain_id: u64,
    pub(crate) token: Address,
    pub(crate) recipient: Address,
    pub(crate) decimals: u8,
}

/// A credential whose challenge is ours and unchanged, and whose authorization answers that very challenge. The signature
/// has not been checked.
pub(crate) struct Charge {
    pub(crate) amount: Amount,
    pub(crate) seal: String,
    pub(crate) signed: SignedAuthorization,
}

/// A challenge over this amount.
pub(crate) fn challenge(
    challenges: &Challenges,
    target: &Target,
    amount: Amount,
    expires: UnixMillis,
    seal: &str,
) -> Challenge {
    challenges.challenge(METHOD, INTENT, request(target, amount), expires, seal)
}

fn request(target: &Target, amount: Amount) -> Value {
    json!({
        "amount": amount.to_string(),
        "currency": target.token.to_string(),
        "recipient": target.recipient.to_string(),
        "methodDetails": {
            "chainId": target.chain_id,
            "credentialTypes": [CREDENTIAL_TYPE],
            "decimals": target.decimals,
        },
    })
}

/// The EIP-3009 nonce that answers a challenge: `keccak256(abi.encodePacked(id, realm))`.
pub fn challenge_nonce(challenge: &Challenge) -> [u8; 32] {
    keccak256_of_parts(&[challenge.id().as_bytes(), challenge.realm().as_bytes()])
}

/// Whether a credential answers a challenge of this method; nothing about it is believed yet.
pub(crate) fn is_evm(credential: &str) -> bool {
    super::method_of(credential).as_deref() == Some(METHOD)
}

/// Reads a credential and checks everything but the signature, the time and the sealed quote.
pub(crate) fn open(
    challenges: &Challenges,
    target: &Target,
    credential: &str,
) -> Result<Charge, PaymentRefusal> {
    let unreadable = |reason: String| PaymentRefusal::Unreadable(format!("MPP credential: {reason}"));
    let credential = Credential::parse(credential)?;
    let challenge = credential.challenge();
    challenges.recognise(&credential)?;
    let text = |name: &'static str| {
        credential.payload_text(name).ok_or_else(|| unreadable(format!("payload.{name} is no text")))
    };
    expect("method", challenge.method(), METHOD)?;
    expect("intent", challenge.intent(), INTENT)?;
    expect("credential type", text("type")?, CREDENTIAL_TYPE)?;
    let amount = challenge
        .request()
        .get("amount")
        .and_then(Value::as_str)
        .and_then(|amount| amount.parse().ok())
        .ok_or_else(|| unreadable("its request has no amount".to_owned()))?;
    // The id covers the request, so it was ours; the operator may have changed chain, token or recipient since.
    let ours = request(target, amount);
    if *challenge.request() != ours {
        return Err(PaymentRefusal::WrongTarget {
            presented: challenge.request().to_string(),
            expected: ours.to_string(),
        });
    }
    let wire = SignedWire {
        authorization: AuthorizationWire {
            from: text("from")?.into(),
            to: text("to")?.into(),
            value: text("value")?.into(),
            valid_after: text("validAfter")?.into(),
            valid_before: text("validBefore")?.into(),
            nonce: text("nonce")?.into(),
        },
        signature: text("signature")?.into(),
    };
    let signed = wire.read().map_err(|error| unreadable(error.to_string()))?;
    if signed.authorization.nonce != challenge_nonce(challenge) {
        return Err(PaymentRefusal::Invalid("its nonce answers another challenge".to_owned()));
    }
    if let Some(source) = credential.source() {
        let payer = format!("did:pkh:eip155:{}:{}", target.chain_id, signed.authorization.from.to_lower());
        if !source.eq_ignore_ascii_case(&payer) {
            return Err(PaymentRefusal::Invalid("its source is not who signed".to_owned()));
        }
    }
    let seal = challenge.seal().ok_or_else(|| unreadable("its opaque map is not ours".to_owned()))?;
    Ok(Charge { amount, seal, signed })
}

fn expect(what: &str, presented: &str, expected: &str) -> Result<(), PaymentRefusal> {
    if presented == expected {
        return Ok(());
    }
    Err(PaymentRefusal::WrongTarget {
        presented: format!("{what} {:?}", presented.chars().take(32).collect::<String>()),
        expected: format!("{what} {expected:?}"),
    })
}

#[cfg(test)]
mod tests;
