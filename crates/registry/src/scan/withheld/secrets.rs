//! Access keys, by the shapes that their issuers give them so that scanners find them: a prefix, an alphabet, a length.
//!
//! A key without such a shape (32 hexadecimal digits, say) looks as any hash does, and is not found.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Hit, begins_word, is_word, run};
use crate::scan::Rule;

/// A key made at random has more than this many different characters; `xxxxxxxx` in a manual has not.
const DIFFERENT_MIN: usize = 8;
/// How much of a key a report shows, in characters: every key of its kind begins with it.
const SHOWN_CHARS: usize = 4;
/// Rows of at least this many Base64 characters are in every private key; a manual writes `...` there.
const KEY_ROW_MIN: usize = 32;
/// Longer than the header of any token is.
const JWT_HEADER_BYTES_MAX: usize = 8 * 1024;
const JWT_SIGNATURE_CHARS_MIN: usize = 20;

const PEM_BEGINS: &[u8] = b"-----BEGIN ";
const PEM_DASHES: &[u8] = b"-----";
/// Longer than the name of any kind of key in PEM.
const PEM_LABEL_BYTES_MAX: usize = 48;

/// What keys of one kind look like.
struct Shape {
    what: &'static str,
    /// What they begin with.
    prefix: &'static str,
    /// Of which characters the rest is.
    is_of_rest: fn(u8) -> bool,
    /// How many of these there are at least, and at most.
    rest: (usize, usize),
    /// What else is known of the rest.
    is_rest: fn(&[u8]) -> bool,
}

const fn alphanumeric(what: &'static str, prefix: &'static str, rest: (usize, usize)) -> Shape {
    Shape { what, prefix, is_of_rest: |byte| byte.is_ascii_alphanumeric(), rest, is_rest: |_| true }
}

/// Letters and digits in parts, parted by dashes.
const fn slack(prefix: &'static str) -> Shape {
    let is_of_rest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    Shape { what: "Slack token", prefix, is_of_rest, rest: (20, 255), is_rest: has_digits }
}

/// Anything of base64url, in which a row of letters and digits is longer than a word.
const fn dashed(what: &'static str, prefix: &'static str) -> Shape {
    Shape { what, prefix, is_of_rest: is_word, rest: (40, 255), is_rest: has_long_part }
}

/// The shapes, the longer prefix first where one begins with another.
const SHAPES: &[Shape] = &[
    Shape {
        is_of_rest: |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        is_rest: is_no_aws_example,
        ..alphanumeric("AWS access key id", "AKIA", (16, 16))
    },
    Shape {
        is_of_rest: |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        is_rest: is_no_aws_example,
        ..alphanumeric("AWS access key id", "ASIA", (16, 16))
    },
    alphanumeric("GitHub token", "ghp_", (36, 251)),
    alphanumeric("GitHub token", "gho_", (36, 251)),
    alphanumeric("GitHub token", "ghu_", (36, 251)),
    alphanumeric("GitHub token", "ghs_", (36, 251)),
    alphanumeric("GitHub token", "ghr_", (36, 251)),
    Shape {
        is_of_rest: |byte| byte.is_ascii_alphanumeric() || byte == b'_',
        ..alphanumeric("GitHub token", "github_pat_", (82, 244))
    },
    slack("xoxa-"),
    slack("xoxb-"),
    slack("xoxe-"),
    slack("xoxo-"),
    slack("xoxp-"),
    slack("xoxr-"),
    slack("xoxs-"),
    slack("xapp-"),
    alphanumeric("Stripe live key", "sk_live_", (24, 247)),
    alphanumeric("Stripe live key", "rk_live_", (24, 247)),
    Shape { is_of_rest: is_word, ..alphanumeric("Google API key", "AIza", (35, 35)) },
    dashed("Anthropic API key", "sk-ant-"),
    dashed("OpenAI API key", "sk-proj-"),
    dashed("OpenAI API key", "sk-svcacct-"),
    dashed("OpenAI API key", "sk-admin-"),
    dashed("OpenRouter API key", "sk-or-"),
    Shape { is_rest: has_digits, ..alphanumeric("API key of a model", "sk-", (32, 64)) },
    alphanumeric("Tollgate API key", "tgk_", (43, 43)),
    alphanumeric("Tollgate admin key", "tga_", (43, 43)),
];

pub(super) fn find(text: &str) -> Vec<Hit> {
    let bytes = text.as_bytes();
    let mut hits = Vec::new();
    let mut at = 0;
    while let Some(ahead) = bytes.iter().skip(at).position(|byte| may_begin(*byte)) {
        let start = at + ahead;
        at = match found_at(bytes, start) {
            Some((what, length)) => {
                let range = start..start + length;
                let shown: String =
                    text.get(range.clone()).unwrap_or_default().chars().take(SHOWN_CHARS).collect();
                let shown = Some(shown).filter(|shown| !shown.starts_with('-'));
                hits.push(Hit { range: range.clone(), rule: Rule::AccessKey, what, shown });
                range.end
            }
            None => start + 1,
        };
    }
    hits
}

/// Whether any key begins like this.
fn may_begin(byte: u8) -> bool {
    matches!(byte, b'-' | b'A' | b'e' | b'g' | b'r' | b's' | b't' | b'x')
}

/// What key begins here, and how many bytes it has.
fn found_at(bytes: &[u8], at: usize) -> Option<(&'static str, usize)> {
    let rest = bytes.get(at..)?;
    if rest.starts_with(PEM_BEGINS) {
        return private_key(rest).map(|length| ("private key", length));
    }
    if !begins_word(bytes, at) {
        return None;
    }
    if rest.starts_with(b"eyJ") {
        return jwt(rest).map(|length| ("JSON Web Token", length));
    }
    SHAPES.iter().find_map(|shape| Some((shape.what, shape.length(rest)?)))
}

impl Shape {
    /// How long a key of this kind is that a text begins with.
    fn length(&self, text: &[u8]) -> Option<usize> {
        let rest = text.strip_prefix(self.prefix.as_bytes())?;
        let (least, most) = self.rest;
        let length = run(rest, 0, self.is_of_rest);
        let own = rest.get(..length)?;
        // What goes on in letters that such a key does not have is something else.
        let ends = rest.get(length).is_none_or(|next| !is_word(*next));
        let fits = ends && (least..=most).contains(&length) && is_random(own) && (self.is_rest)(own);
        fits.then_some(self.prefix.len() + length)
    }
}

fn is_random(text: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in text {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    seen.iter().filter(|seen| **seen).count() > DIFFERENT_MIN
}

/// AWS writes `EXAMPLE` at the end of the keys in its manuals, and gives out none like that.
fn is_no_aws_example(rest: &[u8]) -> bool {
    !rest.ends_with(b"EXAMPLE")
}

/// More digits than words have.
fn has_digits(rest: &[u8]) -> bool {
    rest.iter().filter(|byte| byte.is_ascii_digit()).count() >= 3
}

/// A part with letters and digits that is longer than words are.
fn has_long_part(rest: &[u8]) -> bool {
    rest.split(|byte| matches!(byte, b'-' | b'_'))
        .any(|part| part.len() >= 12 && part.iter().any(u8::is_ascii_digit))
}

/// A block in PEM (RFC 7468) or of OpenPGP (RFC 9580, section 6.2) that a text begins with, up to the line that ends it or, where it
/// was cut off, up to the end of the text.
fn private_key(text: &[u8]) -> Option<usize> {
    let label_at = PEM_BEGINS.len();
    let is_of_label = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    let label = text.get(label_at..label_at + run(text, label_at, is_of_label))?;
    let is_private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    if !is_private || label.len() > PEM_LABEL_BYTES_MAX {
        return None;
    }
    let body_at = label_at + label.len() + PEM_DASHES.len();
    if text.get(label_at + label.len()..body_at)? != PEM_DASHES {
        return None;
    }
    let after = text.get(body_at..)?;
    // Only up to the next dashes: each byte is looked at once, however many blocks are begun.
    let body_length = after.windows(PEM_DASHES.len()).position(|five| five == PEM_DASHES);
    let body = after.get(..body_length.unwrap_or(after.len()))?;
    let in_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let has_key = body.split(|byte| !in_base64(byte)).any(|row| row.len() >= KEY_ROW_MIN && is_random(row));
    if !has_key {
        return None;
    }
    let end = text.get(body_at + body.len()..)?;
    let end_length = match end.strip_prefix(b"-----END ") {
        Some(rest) => b"-----END ".len() + run(rest, 0, is_of_label) + PEM_DASHES.len(),
        None => 0,
    };
    Some((body_at + body.len() + end_length).min(text.len()))
}

/// A signed token in three parts (RFC 7515, section 7.1) that a text begins with: its header is JSON that names an algorithm.
fn jwt(text: &[u8]) -> Option<usize> {
    let header = run(text, 0, is_word);
    if header > JWT_HEADER_BYTES_MAX || text.get(header) != Some(&b'.') {
        return None;
    }
    let payload = run(text, header + 1, is_word);
    let signature_at = header + 1 + payload + 1;
    if payload == 0 || text.get(signature_at - 1) != Some(&b'.') {
        return None;
    }
    let signature = run(text, signature_at, is_word);
    let end = signature_at + signature;
    let goes_on = text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(|byte| is_word(*byte));
    if signature < JWT_SIGNATURE_CHARS_MIN || goes_on {
        return None;
    }
    let decoded = URL_SAFE_NO_PAD.decode(text.get(..header)?).ok()?;
    let says: Value = serde_json::from_slice(&decoded).ok()?;
    says.get("alg").and_then(Value::as_str)?;
    Some(end)
}
