//! EIP-3009 transfer authorizations: what a payer signs and a relayer submits.

use std::borrow::Cow;

use serde::Deserialize;
use tollgate_domain::Amount;

use super::eip712::{keccak256_of_parts, word};
use super::{Address, Domain, Signature, SignatureError};
use crate::base64_text;

/// What a proof text opens with; base64url of [`PROOF_BYTES`] follows.
const PROOF_PREFIX: &str = "eip3009:";
/// Payer, recipient, value, both ends of the window, nonce, signature.
const PROOF_BYTES: usize = 20 + 20 + 16 + 8 + 8 + 32 + 65;

/// `keccak256("TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)")`
/// (EIP-3009, "TRANSFER_WITH_AUTHORIZATION_TYPEHASH").
pub(crate) const TRANSFER_TYPE_HASH: [u8; 32] = [
    0x7c, 0x7c, 0x6c, 0xdb, 0x67, 0xa1, 0x87, 0x43, 0xf4, 0x9e, 0xc6, 0xfa, 0x9b, 0x35, 0xf5, 0x0d, 0x52,
    0xed, 0x05, 0xcb, 0xed, 0x4c, 0xc5, 0x92, 0xe1, 0x3b, 0x44, 0x50, 0x1c, 0x1a, 0x22, 0x67,
];

/// A transfer that its payer allows anyone to submit, once, within a time window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authorization {
    /// Who pays.
    pub from: Address,
    /// Who receives.
    pub to: Address,
    /// How much, in atomic units of the token.
    pub value: Amount,
    /// Seconds since the epoch after which it can be submitted (exclusive).
    pub valid_after: u64,
    /// Seconds since the epoch before which it can be submitted (exclusive).
    pub valid_before: u64,
    /// Chosen by the payer; usable once per payer and token.
    pub nonce: [u8; 32],
}

/// An authorization with its signature, not necessarily a right one: see [`SignedAuthorization::check`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedAuthorization {
    /// What was signed.
    pub authorization: Authorization,
    /// The payer's signature.
    pub signature: Signature,
}

/// Why parts of an authorization cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofTextError {
    /// It is not the JSON it should be.
    #[error("not an EIP-3009 authorization: {0}")]
    Json(String),
    /// One field has a wrong form.
    #[error("field {field}: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It opens like a packed authorization and is none.
    #[error("not a packed EIP-3009 authorization")]
    Packed,
    /// The signature has a wrong form.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl Authorization {
    /// What the payer signs: the EIP-712 digest in the token's domain.
    pub fn digest(&self, domain: &Domain) -> [u8; 32] {
        domain.digest(&keccak256_of_parts(&[
            &TRANSFER_TYPE_HASH,
            &self.from.to_word(),
            &self.to.to_word(),
            &word(self.value.get()),
            &word(self.valid_after.into()),
            &word(self.valid_before.into()),
            &self.nonce,
        ]))
    }

    /// The nonce as `0x…` in lower case.
    pub fn nonce_hex(&self) -> String {
        format!("0x{}", hex::encode(self.nonce))
    }
}

/// The wire form of an authorization: every value is a string (x402 `scheme_exact_evm`; MPP `evm/charge`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthorizationWire<'a> {
    #[serde(borrow)]
    pub(crate) from: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) to: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) value: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) valid_after: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) valid_before: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) nonce: Cow<'a, str>,
}

/// `{"authorization":{…},"signature":"0x…"}`: the payload of x402 `exact`.
#[derive(Deserialize)]
pub(crate) struct SignedWire<'a> {
    #[serde(borrow)]
    pub(crate) authorization: AuthorizationWire<'a>,
    #[serde(borrow)]
    pub(crate) signature: Cow<'a, str>,
}

impl AuthorizationWire<'_> {
    pub(crate) fn read(&self) -> Result<Authorization, ProofTextError> {
        let mut nonce = [0; 32];
        self.nonce
            .strip_prefix("0x")
            .and_then(|digits| hex::decode_to_slice(digits, &mut nonce).ok())
            .ok_or_else(|| field("nonce", "a nonce is 0x and 64 hexadecimal digits"))?;
        Ok(Authorization {
            from: self.from.parse().map_err(|error| field("from", error))?,
            to: self.to.parse().map_err(|error| field("to", error))?,
            value: self.value.parse().map_err(|error| field("value", error))?,
            valid_after: seconds("validAfter", &self.valid_after)?,
            valid_before: seconds("validBefore", &self.valid_before)?,
            nonce,
        })
    }
}

impl SignedWire<'_> {
    pub(crate) fn read(&self) -> Result<SignedAuthorization, ProofTextError> {
        Ok(SignedAuthorization {
            authorization: self.authorization.read()?,
            signature: Signature::from_hex(&self.signature)?,
        })
    }
}

impl SignedAuthorization {
    /// Whether the signature is the payer's own over exactly this authorization in this domain.
    ///
    /// # Errors
    /// [`SignatureError::NoKey`] when nobody's key recovers; `Ok(false)` when another's does.
    pub fn check(&self, domain: &Domain) -> Result<bool, SignatureError> {
        let signer = self.signature.recover(&self.authorization.digest(domain))?;
        Ok(signer == self.authorization.from)
    }

    /// The authorization and its signature as JSON, as a payer sends them (x402 `exact`, member `payload`).
    pub fn to_payload_json(&self) -> String {
        let Authorization { from, to, value, valid_after, valid_before, .. } = &self.authorization;
        // Lower case: a checksum costs a hash, and nobody types this.
        let (from, to) = (from.to_lower(), to.to_lower());
        let (nonce, signature) = (self.authorization.nonce_hex(), self.signature.to_hex());
        // Every value is digits or hexadecimal: nothing needs escaping.
        format!(
            "{{\"authorization\":{{\"from\":\"{from}\",\"to\":\"{to}\",\"value\":\"{value}\",\"validAfter\":\"{valid_after}\",\
             \"validBefore\":\"{valid_before}\",\"nonce\":\"{nonce}\"}},\"signature\":\"{signature}\"}}"
        )
    }

    /// The text from which a settlement can be finished after a restart: short, because every paid call stores it. A
    /// bearer secret until it is spent.
    pub fn to_proof_text(&self) -> String {
        let Authorization { from, to, value, valid_after, valid_before, nonce } = &self.authorization;
        let mut bytes = Vec::with_capacity(PROOF_BYTES);
        bytes.extend_from_slice(from.as_bytes());
        bytes.extend_from_slice(to.as_bytes());
        bytes.extend_from_slice(&value.get().to_be_bytes());
        bytes.extend_from_slice(&valid_after.to_be_bytes());
        bytes.extend_from_slice(&valid_before.to_be_bytes());
        bytes.extend_from_slice(nonce);
        bytes.extend_from_slice(&self.signature.to_bytes());
        let mut text = String::with_capacity(PROOF_PREFIX.len().saturating_add(PROOF_BYTES * 4 / 3 + 4));
        text.push_str(PROOF_PREFIX);
        base64_text::encode_url_onto(&bytes, &mut text);
        text
    }

    /// Reads what [`SignedAuthorization::to_proof_text`] wrote; JSON too, as earlier versions stored it.
    ///
    /// # Errors
    /// [`ProofTextError`]: what is wrong with it.
    pub fn from_proof_text(text: &str) -> Result<Self, ProofTextError> {
        let Some(encoded) = text.strip_prefix(PROOF_PREFIX) else {
            let wire: SignedWire<'_> =
                serde_json::from_str(text).map_err(|error| ProofTextError::Json(error.to_string()))?;
            return wire.read();
        };
        let bytes = base64_text::decode_any(encoded).ok_or(ProofTextError::Packed)?;
        unpack(&bytes).ok_or(ProofTextError::Packed)?
    }
}

/// An authorization and its signature out of the bytes of a proof text. `None`: too few or too many of them.
fn unpack(mut bytes: &[u8]) -> Option<Result<SignedAuthorization, ProofTextError>> {
    let rest = &mut bytes;
    let authorization = Authorization {
        from: Address::from_bytes(take(rest)?),
        to: Address::from_bytes(take(rest)?),
        value: Amount::new(u128::from_be_bytes(take(rest)?)),
        valid_after: u64::from_be_bytes(take(rest)?),
        valid_before: u64::from_be_bytes(take(rest)?),
        nonce: take(rest)?,
    };
    let signature = Signature::from_bytes(&take(rest)?);
    let signed = signature.map(|signature| SignedAuthorization { authorization, signature });
    bytes.is_empty().then_some(signed.map_err(ProofTextError::from))
}

fn take<const LEN: usize>(rest: &mut &[u8]) -> Option<[u8; LEN]> {
    let (head, tail) = rest.split_first_chunk::<LEN>()?;
    *rest = tail;
    Some(*head)
}

fn field(field: &'static str, reason: impl ToString) -> ProofTextError {
    ProofTextError::Field { field, reason: reason.to_string() }
}

/// Reads whole seconds; larger than 64 bits has no meaning as a time and is refused.
fn seconds(name: &'static str, text: &str) -> Result<u64, ProofTextError> {
    let number: Amount =
        text.parse().map_err(|_| field(name, "a time is whole seconds in decimal digits"))?;
    u64::try_from(number.get()).map_err(|_| field(name, "a time is at most 2^64 - 1 seconds"))
}

#[cfg(test)]
mod tests;
