use tollgate_domain::{Digest, ReceiptId};

use crate::draft::GAP;
use crate::key::Signer;
use crate::wire::EXACT_MAX;
use crate::{PAYLOAD_TYPE, dsse, kept};

/// What the first receipt of a key names as the one before it: 64 zeros.
pub const FIRST_PREVIOUS: Digest = Digest::from_bytes([0; 32]);

/// How large a draft may be.
const DRAFT_BYTES_MAX: usize = 16 * 1024;

/// A signed receipt with its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The DSSE envelope as JSON text: what is given out and verified.
    pub envelope: String,
    /// The same in short, for whoever keeps many: [`crate::envelope_of`] gives the envelope back.
    pub kept: String,
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
    /// It is no draft: it does not leave open what sealing fills in, or leaves open something else.
    #[error("the draft does not leave open exactly gateway, prev and seq")]
    Gaps,
    /// The draft has no receipt id.
    #[error("the draft has no valid receipt_id")]
    ReceiptId,
    /// The sequence number is 0, or too large for an exact JSON number.
    #[error("{0} is no sequence number: they run from 1 to {EXACT_MAX}")]
    Sequence(u64),
    /// The cryptographic library gave no signature.
    #[error("sign the statement")]
    Sign,
}

/// Signs a draft ([`crate::StatementDraft::to_text`]) as receipt number `seq`, after the one with the hash `prev`.
///
/// Runs inside the store's commit: one copy of a small text, one signature. What was drafted is copied as it stands, between the
/// values that fill its gaps.
///
/// # Errors
/// [`SealError`]; nothing was signed.
pub fn seal(draft: &str, seq: u64, prev: &Digest, signer: &Signer) -> Result<Sealed, SealError> {
    if draft.len() > DRAFT_BYTES_MAX {
        return Err(SealError::TooLarge);
    }
    if !(1..=EXACT_MAX).contains(&seq) {
        return Err(SealError::Sequence(seq));
    }
    let [start, before_prev, before_seq, end] = around_gaps(draft).ok_or(SealError::Gaps)?;
    let receipt_id = receipt_id(before_seq).ok_or(SealError::ReceiptId)?;
    // A did:key, a digest and a number need no JSON escapes.
    let (prev, seq) = (prev.to_string(), seq.to_string());
    let payload = [start, signer.did(), before_prev, &prev, before_seq, &seq, end];
    let mut signed = dsse::pre_authentication(PAYLOAD_TYPE, payload.iter().map(|part| part.len()).sum());
    let head = signed.len();
    signed.extend(payload);
    let signature = signer.sign(signed.as_bytes()).ok_or(SealError::Sign)?;
    let (payload, signature) = (signed.get(head..).unwrap_or_default(), signature.as_ref());
    let envelope = dsse::envelope(PAYLOAD_TYPE, payload.as_bytes(), signer.key_id(), signature);
    let kept = kept::write(payload, signer.key_id(), signature);
    Ok(Sealed { envelope, kept, receipt_id, hash: Digest::of(signed.as_bytes()) })
}

/// What stands around the three gaps of a draft.
fn around_gaps(draft: &str) -> Option<[&str; 4]> {
    let mut parts = draft.split(GAP);
    let around = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let [gateway, prev, seq, _] = around;
    let named =
        gateway.ends_with(r#""gateway":""#) && prev.ends_with(r#""prev":""#) && seq.ends_with(r#""seq":"#);
    (named && parts.next().is_none()).then_some(around)
}

/// The id among members, which stands between `prev` and `seq` by its name. Inside a string the same letters would have their
/// quotes escaped.
fn receipt_id(members: &str) -> Option<ReceiptId> {
    let (_, from_id) = members.split_once(r#""receipt_id":""#)?;
    let (id, _) = from_id.split_once('"')?;
    id.parse().ok()
}

#[cfg(test)]
mod tests;
