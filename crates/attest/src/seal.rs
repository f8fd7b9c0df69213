use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tollgate_domain::{Digest, ReceiptId};

use crate::key::Signer;
use crate::wire::EXACT_MAX;
use crate::{PAYLOAD_TYPE, dsse};

/// What the first receipt of a key names as the one before it: 64 zeros.
pub const FIRST_PREVIOUS: Digest = Digest::from_bytes([0; 32]);

/// How large a draft may be.
const DRAFT_BYTES_MAX: usize = 16 * 1024;

/// A signed receipt with its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The DSSE envelope as JSON text: what is stored, given out and verified.
    pub envelope: String,
    /// The receipt's id, as drafted.
    pub receipt_id: ReceiptId,
    /// What the next receipt of this key names as `prev`: the SHA-256 digest of the signed bytes (DSSE
    /// pre-authentication encoding). Of those, and not of the envelope's text, so that the chain holds when an envelope
    /// is printed anew or gets further signatures.
    pub hash: Digest,
}

/// Why a draft was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The draft is larger than any statement.
    #[error("the draft is larger than {DRAFT_BYTES_MAX} bytes")]
    TooLarge,
    /// The draft is no JSON object.
    #[error("read the draft: {0}")]
    Draft(#[source] serde_json::Error),
    /// The draft has no receipt id.
    #[error("the draft has no valid receipt_id")]
    ReceiptId,
    /// The draft claims a place in a chain, which only sealing assigns.
    #[error("the draft already has the member {0:?}")]
    Reserved(&'static str),
    /// The sequence number is 0, or too large for an exact JSON number.
    #[error("{0} is no sequence number: they run from 1 to {EXACT_MAX}")]
    Sequence(u64),
    /// The cryptographic library gave no signature.
    #[error("sign the statement")]
    Sign,
}

/// Signs a draft ([`crate::StatementDraft::to_json`]) as receipt number `seq`, after the one with the hash `prev`.
///
/// Runs inside the store's commit: one pass over a small text, one signature. Members are moved as raw text, never
/// re-encoded, and stay in canonical order.
///
/// # Errors
/// [`SealError`]; nothing was signed.
pub fn seal(draft_json: &str, seq: u64, prev: &Digest, signer: &Signer) -> Result<Sealed, SealError> {
    if draft_json.len() > DRAFT_BYTES_MAX {
        return Err(SealError::TooLarge);
    }
    if !(1..=EXACT_MAX).contains(&seq) {
        return Err(SealError::Sequence(seq));
    }
    let drafted: BTreeMap<&str, &RawValue> = serde_json::from_str(draft_json).map_err(SealError::Draft)?;
    let receipt_id = drafted.get("receipt_id").and_then(|raw| serde_json::from_str(raw.get()).ok());
    let receipt_id = receipt_id.ok_or(SealError::ReceiptId)?;

    // A did:key, a digest and a number need no JSON escapes.
    let assigned = [
        ("gateway", format!("\"{}\"", signer.did())),
        ("prev", format!("\"{prev}\"")),
        ("seq", seq.to_string()),
    ];
    let mut members: BTreeMap<&str, &str> = drafted.iter().map(|(name, raw)| (*name, raw.get())).collect();
    for (name, value) in &assigned {
        if members.insert(name, value).is_some() {
            return Err(SealError::Reserved(name));
        }
    }
    let payload = object(&members, draft_json.len());

    let signed = dsse::pre_authentication_encoding(PAYLOAD_TYPE, payload.as_bytes());
    let signature = signer.sign(&signed).ok_or(SealError::Sign)?;
    let envelope = dsse::envelope(PAYLOAD_TYPE, payload.as_bytes(), signer.key_id(), &signature);
    Ok(Sealed { envelope, receipt_id, hash: Digest::of(&signed) })
}

/// A JSON object of raw members. Their names are ours: plain ASCII, so byte order is the order RFC 8785 section 3.2.3 asks.
fn object(members: &BTreeMap<&str, &str>, size_hint: usize) -> String {
    let mut text = String::with_capacity(size_hint.saturating_add(256));
    for (name, value) in members {
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push('"');
        text.push_str(name);
        text.push_str("\":");
        text.push_str(value);
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests;
