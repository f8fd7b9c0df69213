//! A receipt in the form in which a store keeps it: the envelope without its base64, a third smaller.
//!
//! `KEYID.SIGNATURE.PAYLOAD`: the key id as the envelope has it, the signature in base64, the signed statement as it is. An envelope
//! begins with a brace and a key id does not, so a store may have both.

use std::borrow::Cow;

use crate::{PAYLOAD_TYPE, dsse};

/// The form that is kept of a payload and its one signature.
pub(crate) fn write(payload: &str, key_id: &str, signature: &[u8]) -> String {
    let mut kept = String::with_capacity(payload.len().saturating_add(160));
    kept.extend([key_id, "."]);
    dsse::encode(signature, &mut kept);
    kept.extend([".", payload]);
    kept
}

/// The envelope of which this is kept, to the letter as it was sealed; an envelope is itself. `None`: it is neither.
pub fn envelope_of(kept: &str) -> Option<Cow<'_, str>> {
    if kept.starts_with('{') {
        return Some(Cow::Borrowed(kept));
    }
    let (key_id, rest) = kept.split_once('.')?;
    let (signature, payload) = rest.split_once('.')?;
    let signature = dsse::decode(signature)?;
    Some(Cow::Owned(dsse::envelope(PAYLOAD_TYPE, payload.as_bytes(), key_id, &signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_smaller_and_gives_the_same_envelope() {
        let payload = r#"{"a":"ü.{}","v":1}"#;
        let envelope = dsse::envelope(PAYLOAD_TYPE, payload.as_bytes(), "key-id_1", &[7; 64]);
        let kept = write(payload, "key-id_1", &[7; 64]);
        assert!(kept.len() < envelope.len());
        assert_eq!(envelope_of(&kept).unwrap(), envelope);
        assert_eq!(envelope_of(&envelope).unwrap(), envelope, "as older versions kept it");
    }

    #[test]
    fn what_is_neither_is_told() {
        for kept in ["", "key", "key.c2ln", "key.no base64.{}"] {
            assert_eq!(envelope_of(kept), None, "{kept}");
        }
    }
}
