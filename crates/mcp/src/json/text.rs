//! The inside of JSON strings: finding their end fast, unescaping, escaping.

use std::fmt::Write as _;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// How many leading bytes are neither a quote, nor a backslash, nor a control character.
///
/// Eight bytes at a time: subtracting makes the high bit of each matching byte, and perhaps of bytes above a match, so
/// the lowest flag is exact.
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut at = 0;
    for chunk in words {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        let stops = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let flags = stops & HIGHS;
        if flags != 0 {
            // At most 7: a count of trailing zeros of a non-zero word, divided by the bits of a byte.
            return at + usize::try_from(flags.trailing_zeros() / 8).unwrap_or(0);
        }
        at += 8;
    }
    at + tail.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Resolves the escapes of a string that the scanner accepted. An escape that it would have refused is dropped.
pub(crate) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = after.chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, used) = code_point(after);
                out.extend(character);
                rest = after.get(used..).unwrap_or_default();
                continue;
            }
            Some(itself) => out.push(itself),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// The character of `uXXXX` or of `uXXXX\uXXXX`, and how many bytes that took.
fn code_point(escape: &str) -> (Option<char>, usize) {
    let unit = |start: usize| escape.get(start..start + 4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let Some(high) = unit(1) else { return (None, 1) };
    if let Some(character) = char::from_u32(u32::from(high)) {
        return (Some(character), 5);
    }
    let pair = unit(7).and_then(|low| char::decode_utf16([high, low]).next()).and_then(Result::ok);
    (pair, if pair.is_some() { 11 } else { 5 })
}

/// `text` as a JSON string with its quotes, escaped as little as RFC 8785 section 3.2.2.2 allows.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(text, &mut out);
    out
}

/// Appends [`quote`] of `text`.
fn quote_into(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_at(plain_run(rest.as_bytes()));
        out.push_str(plain);
        let mut chars = after.chars();
        match chars.next() {
            None => break,
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => write_escape(out, control),
        }
        rest = chars.as_str();
    }
    out.push('"');
}

fn write_escape(out: &mut String, control: char) {
    // Writing to a `String` cannot fail.
    write!(out, "\\u{:04x}", u32::from(control)).unwrap_or_default();
}
