//! Base64 as peers really send it: either alphabet, padded or not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};

/// Decodes either alphabet, padded or not.
pub(crate) fn decode_any(text: &str) -> Option<Vec<u8>> {
    let url_alphabet = text.bytes().any(|byte| byte == b'-' || byte == b'_');
    let engine = if url_alphabet { &URL_SAFE_PAD_INDIFFERENT } else { &STANDARD_PAD_INDIFFERENT };
    engine.decode(text).ok()
}

/// Encodes in the URL alphabet without padding.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same behind a text that is there already.
pub(crate) fn encode_url_onto(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}
