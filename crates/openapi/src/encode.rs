//! Percent-encoding (RFC 3986, section 2): whatever is not unreserved is written as its bytes.

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `text`, encoded, so that it is data wherever it stands in a URL.
pub(crate) fn encode_into(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            let digit = |four: u8| HEX.get(usize::from(four)).copied().map_or('0', char::from);
            url.push('%');
            url.push(digit(byte >> 4));
            url.push(digit(byte & 15));
        }
    }
}

/// `text`, encoded.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    encode_into(&mut encoded, text);
    encoded
}

/// Whether a server that decodes this and then walks the path would leave the place: a step `.` or `..` between slashes of
/// either kind, or nothing at all, which would make the path of another operation.
pub(crate) fn leaves_its_place(value: &str) -> bool {
    value.is_empty() || value.split(['/', '\\']).any(|step| matches!(step, "." | ".."))
}

#[cfg(test)]
mod tests;
