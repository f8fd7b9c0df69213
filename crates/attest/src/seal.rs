use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
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
    /// The draft's members are not in canonical order.
    #[error("the draft's members are not in canonical order")]
    Order,
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
    let (payload, receipt_id) = placed(draft_json, seq, prev, signer.did())?;
    let signed = dsse::pre_authentication_encoding(PAYLOAD_TYPE, payload.as_bytes());
    let signature = signer.sign(&signed).ok_or(SealError::Sign)?;
    let envelope = dsse::envelope(PAYLOAD_TYPE, payload.as_bytes(), signer.key_id(), &signature);
    Ok(Sealed { envelope, receipt_id, hash: Digest::of(&signed) })
}

/// The draft with its place in the chain, and its id.
fn placed(
    draft_json: &str,
    seq: u64,
    prev: &Digest,
    gateway: &str,
) -> Result<(String, ReceiptId), SealError> {
    // A did:key, a digest and a number need no JSON escapes.
    let (gateway, prev, seq) = (format!("\"{gateway}\""), format!("\"{prev}\""), seq.to_string());
    let assigned = [("gateway", gateway.as_str()), ("prev", prev.as_str()), ("seq", seq.as_str())];
    let mut deserializer = serde_json::Deserializer::from_str(draft_json);
    let placing = Placing { assigned, bytes: draft_json.len().saturating_add(256) };
    let placed = deserializer.deserialize_map(placing).map_err(SealError::Draft)??;
    deserializer.end().map_err(SealError::Draft)?;
    Ok(placed)
}

/// Copies the members of a draft and puts the assigned ones among them. All names are ours: plain ASCII, so byte order is
/// the order that RFC 8785 section 3.2.3 asks.
struct Placing<'a> {
    assigned: [(&'static str, &'a str); 3],
    bytes: usize,
}

impl<'de> Visitor<'de> for Placing<'_> {
    type Value = Result<(String, ReceiptId), SealError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a draft of a statement")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut draft: A) -> Result<Self::Value, A::Error> {
        let mut text = String::with_capacity(self.bytes);
        let mut receipt_id = None;
        // Kept to the end: a map that is left half read counts as malformed.
        let mut refused = None;
        let mut assigned = self.assigned.into_iter().peekable();
        let mut before: Option<&str> = None;
        while let Some((name, value)) = draft.next_entry::<&str, &RawValue>()? {
            if let Some((reserved, _)) = self.assigned.iter().find(|(reserved, _)| *reserved == name) {
                refused.get_or_insert(SealError::Reserved(reserved));
            }
            if before.is_some_and(|before| before >= name) {
                refused.get_or_insert(SealError::Order);
            }
            before = Some(name);
            while let Some((name, value)) = assigned.next_if(|(assigned, _)| *assigned < name) {
                member(&mut text, name, value);
            }
            member(&mut text, name, value.get());
            if name == "receipt_id" {
                receipt_id = serde_json::from_str(value.get()).ok();
            }
        }
        assigned.for_each(|(name, value)| member(&mut text, name, value));
        text.push('}');
        Ok(match refused {
            Some(refused) => Err(refused),
            None => receipt_id.map(|id| (text, id)).ok_or(SealError::ReceiptId),
        })
    }
}

fn member(text: &mut String, name: &str, value: &str) {
    text.push(if text.is_empty() { '{' } else { ',' });
    text.push('"');
    text.push_str(name);
    text.push_str("\":");
    text.push_str(value);
}

#[cfg(test)]
mod tests;
