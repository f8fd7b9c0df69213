use serde::Deserialize;
use tollgate_domain::{Digest, ReceiptId};

use crate::dsse::{self, Envelope, SIGNATURES_MAX};
use crate::escrow::{self, EscrowStatement};
use crate::key::PublicKey;
use crate::statement::Statement;
use crate::wire::{self, StatementError};
use crate::{PAYLOAD_TYPE, salted_digest};

/// How large an envelope may be.
const ENVELOPE_BYTES_MAX: usize = 64 * 1024;

/// Why an envelope is no valid receipt; one variant per step, in the order of the steps.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The text is larger than any receipt.
    #[error("the envelope is larger than {ENVELOPE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not a DSSE envelope in JSON.
    #[error("read the envelope: {0}")]
    Envelope(#[source] serde_json::Error),
    /// Signed, perhaps, but not as a receipt.
    #[error("the payload type is {0:?}, a receipt's is {PAYLOAD_TYPE:?}")]
    PayloadType(String),
    /// The payload is not base64.
    #[error("the payload is not base64")]
    PayloadEncoding,
    /// No signature is by a key that was given.
    #[error("signed by {0}, none of which is among the given keys")]
    UnknownKey(String),
    /// No signature by a given key verifies: the receipt was edited, or never signed by that key.
    #[error("the signature of key {0} does not verify")]
    Signature(String),
    /// The signed bytes have a second reading (not canonical JSON, RFC 8785).
    #[error("the payload is not canonical JSON")]
    NotCanonical,
    /// The signed text is no statement.
    #[error("read the statement: {0}")]
    Statement(#[from] StatementError),
    /// It names another gateway than the key that signed it.
    #[error("the statement is by {named}, the signature by {signed}")]
    Gateway {
        /// The gateway in the statement.
        named: String,
        /// The name of the key that signed.
        signed: String,
    },
}

/// Where a receipt stands, whatever it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The receipt's id.
    pub receipt_id: ReceiptId,
    /// Its place in the chain of its key, from 1.
    pub seq: u64,
    /// The hash of the receipt before it; [`crate::FIRST_PREVIOUS`] for the first.
    pub prev: Digest,
    /// The gateway: the `did:key` of the key that signed.
    pub gateway: String,
}

/// What a receipt is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// One call and what it came to.
    Call(Box<Statement>),
    /// Money that one event of an escrow moved.
    Escrow(Box<EscrowStatement>),
}

/// The members that every statement has.
#[derive(Deserialize)]
struct Placed {
    #[serde(default)]
    kind: Option<String>,
    receipt_id: ReceiptId,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    prev: Option<Digest>,
    #[serde(default)]
    gateway: Option<String>,
}

fn read(payload: &str) -> Result<(Place, Said), StatementError> {
    let placed: Placed = serde_json::from_str(payload).map_err(StatementError::Shape)?;
    let said = match placed.kind.as_deref() {
        None => Said::Call(Box::new(wire::Statement::read(payload)?)),
        Some(escrow::KIND) => Said::Escrow(Box::new(EscrowStatement::read(payload)?)),
        Some(other) => return Err(StatementError::Kind(other.chars().take(64).collect())),
    };
    let place = Place {
        receipt_id: placed.receipt_id,
        seq: placed.seq.ok_or(StatementError::Missing("seq"))?,
        prev: placed.prev.ok_or(StatementError::Missing("prev"))?,
        gateway: placed.gateway.ok_or(StatementError::Missing("gateway"))?,
    };
    Ok((place, said))
}

/// A receipt whose signature and form were checked. Its place in the chain is checked by [`crate::verify_chain`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    place: Place,
    said: Said,
    payload: String,
    key_id: String,
    hash: Digest,
}

/// Checks one receipt against the public keys of its gateway. Needs nothing else: no network, no gateway, no clock.
///
/// # Errors
/// [`VerifyError`] naming the first step that failed.
pub fn verify(envelope: &str, keys: &[PublicKey]) -> Result<Verified, VerifyError> {
    if envelope.len() > ENVELOPE_BYTES_MAX {
        return Err(VerifyError::TooLarge);
    }
    let envelope: Envelope = serde_json::from_str(envelope).map_err(VerifyError::Envelope)?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(VerifyError::PayloadType(envelope.payload_type.chars().take(128).collect()));
    }
    let payload = dsse::decode(&envelope.payload).ok_or(VerifyError::PayloadEncoding)?;
    let signed = dsse::pre_authentication_encoding(PAYLOAD_TYPE, &payload);
    let key = signing_key(&envelope, &signed, keys)?;
    let payload = canonical(payload)?;
    let (place, said) = read(&payload)?;
    if place.gateway != key.did() {
        let named = place.gateway.chars().take(128).collect();
        return Err(VerifyError::Gateway { named, signed: key.did().to_owned() });
    }
    Ok(Verified { place, said, payload, key_id: key.key_id().to_owned(), hash: Digest::of(&signed) })
}

/// What an envelope says of a call, whoever signed it: for one that a gateway has sealed and kept itself. `None`: it is no such envelope.
pub fn kept_statement(envelope: &str) -> Option<Statement> {
    let envelope: Envelope = serde_json::from_str(envelope).ok()?;
    let payload = String::from_utf8(dsse::decode(&envelope.payload)?).ok()?;
    match read(&payload).ok()? {
        (_, Said::Call(statement)) => Some(*statement),
        _ => None,
    }
}

/// The given key by which a signature verifies. Signatures by other keys are somebody else's and are passed over.
fn signing_key<'a>(
    envelope: &Envelope,
    signed: &[u8],
    keys: &'a [PublicKey],
) -> Result<&'a PublicKey, VerifyError> {
    let mut failed = None;
    for signature in envelope.signatures.iter().take(SIGNATURES_MAX) {
        let Some(key) = keys.iter().find(|key| key.key_id() == signature.keyid) else {
            continue;
        };
        match dsse::decode(&signature.sig) {
            Some(sig) if key.verifies(signed, &sig) => return Ok(key),
            Some(_) | None => failed = Some(key),
        }
    }
    Err(match failed {
        Some(key) => VerifyError::Signature(key.key_id().to_owned()),
        None => VerifyError::UnknownKey(named(envelope)),
    })
}

/// The key ids that an envelope names, for people.
fn named(envelope: &Envelope) -> String {
    let ids = envelope.signatures.iter().take(SIGNATURES_MAX);
    let ids: Vec<String> = ids.map(|signature| signature.keyid.chars().take(64).collect()).collect();
    if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") }
}

/// The payload as text, if it is the canonical spelling of itself. What was signed then has exactly one reading: no
/// duplicate member that two parsers could take differently, no number with two spellings.
fn canonical(payload: Vec<u8>) -> Result<String, VerifyError> {
    let text = String::from_utf8(payload).map_err(|_| VerifyError::NotCanonical)?;
    match serde_json_canonicalizer::pipe(&text) {
        Ok(canonical) if canonical == text => Ok(text),
        Ok(_) | Err(_) => Err(VerifyError::NotCanonical),
    }
}

impl Verified {
    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What the receipt says.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// What it says of a call; `None`: it is about an escrow.
    pub fn call(&self) -> Option<&Statement> {
        match &self.said {
            Said::Call(statement) => Some(statement),
            Said::Escrow(_) => None,
        }
    }

    /// The signed JSON itself, members of later versions included.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// The id of the key that signed ([`PublicKey::key_id`]).
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The hash by which the next receipt of this key names this one.
    pub fn hash(&self) -> &Digest {
        &self.hash
    }

    /// Whether the call was made with these arguments, given as canonical JSON (RFC 8785). The salt is what the gateway gave
    /// the parties with the receipt.
    pub fn matches_arguments(&self, salt: &[u8; 16], canonical: &[u8]) -> bool {
        let digest = salted_digest(salt, Digest::of(canonical).as_bytes());
        self.call().is_some_and(|said| said.args_sha256 == digest)
    }

    /// Whether the call had this result, given as canonical JSON (RFC 8785) without the `_meta` that the gateway adds to.
    pub fn matches_result(&self, salt: &[u8; 16], canonical: &[u8]) -> bool {
        let digest = salted_digest(salt, Digest::of(canonical).as_bytes());
        self.call().is_some_and(|said| said.result_sha256 == Some(digest))
    }
}

#[cfg(test)]
mod tests;
