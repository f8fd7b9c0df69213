//! The envelope: DSSE (secure-systems-lab/dsse, `protocol.md` and `envelope.md` of version 1.0), JSON form.

use base64::Engine as _;
use base64::engine::general_purpose::{self, STANDARD, URL_SAFE};
use serde::Deserialize;

/// How many signatures an envelope may carry: ours, and those that others add.
pub(crate) const SIGNATURES_MAX: usize = 16;

/// Writes base64 in the standard alphabet, with vector instructions where the processor has them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::standard(general_purpose::PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64: general_purpose::GeneralPurpose = STANDARD;

/// An envelope as it was read. Unknown members are passed over, as `envelope.md` asks.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    #[serde(rename = "payloadType")]
    pub(crate) payload_type: String,
    pub(crate) payload: String,
    pub(crate) signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Deserialize)]
pub(crate) struct Signature {
    /// A hint that nothing authenticates: it only narrows which keys are tried.
    #[serde(default)]
    pub(crate) keyid: String,
    pub(crate) sig: String,
}

/// The bytes that are signed, `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`, up to the body; with room for it.
pub(crate) fn pre_authentication(payload_type: &str, body_bytes: usize) -> String {
    let head = format!("DSSEv1 {} {payload_type} {body_bytes} ", payload_type.len());
    let mut encoding = String::with_capacity(head.len().saturating_add(body_bytes));
    encoding.push_str(&head);
    encoding
}

/// The bytes that are signed, of a body that is at hand.
pub(crate) fn pre_authentication_encoding(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut encoding = pre_authentication(payload_type, body.len()).into_bytes();
    encoding.extend_from_slice(body);
    encoding
}

/// The envelope of a payload with one signature. Its members are in canonical order; the texts need no escapes.
pub(crate) fn envelope(payload_type: &str, payload: &[u8], key_id: &str, signature: &[u8]) -> String {
    let mut text = String::with_capacity(payload.len().saturating_mul(4) / 3 + 320);
    text.push_str(r#"{"payload":""#);
    encode(payload, &mut text);
    text.extend([
        r#"","payloadType":""#,
        payload_type,
        r#"","signatures":[{"keyid":""#,
        key_id,
        r#"","sig":""#,
    ]);
    encode(signature, &mut text);
    text.push_str(r#""}]}"#);
    text
}

/// Writes base64 in the standard alphabet behind a text.
pub(crate) fn encode(bytes: &[u8], text: &mut String) {
    BASE64.encode_string(bytes, text);
}

/// Reads base64 in the standard or the URL-safe alphabet: verifiers must accept either.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_published_encoding() {
        // DSSE protocol.md, "Test Vectors" (Apache-2.0).
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn lengths_count_bytes_and_keep_type_and_body_apart() {
        assert_eq!(pre_authentication_encoding("é", b""), "DSSEv1 2 é 0 ".as_bytes());
        assert_ne!(pre_authentication_encoding("a", b"b 1 c"), pre_authentication_encoding("a b", b"1 c"));
    }

    #[test]
    fn the_published_envelope_is_read() {
        // DSSE protocol.md, "Test Vectors" (Apache-2.0); its ECDSA signature is outside this crate.
        let text = r#"{"payload": "aGVsbG8gd29ybGQ=",
 "payloadType": "http://example.com/HelloWorld",
 "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#;
        let read: Envelope = serde_json::from_str(text).unwrap();
        assert_eq!(decode(&read.payload).unwrap(), b"hello world");
        assert_eq!(read.payload_type, "http://example.com/HelloWorld");
        let signature = &read.signatures[0];
        assert_eq!((signature.keyid.as_str(), decode(&signature.sig).unwrap().len()), ("", 64));
    }

    #[test]
    fn both_alphabets_are_read() {
        assert_eq!(decode("-_8=").unwrap(), decode("+/8=").unwrap());
        assert_eq!(decode("+/8"), None, "padding is part of the form");
        assert_eq!(decode("+_8="), None, "one text is in one alphabet");
    }
}
