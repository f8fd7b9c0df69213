//! What a text contains that is nobody's to read: access keys and personal data. It is never repeated, in no excerpt and no place.

use std::ops::Range;

use super::places::Place;
use super::{Report, Rule, Severity};

mod personal;
mod secrets;

/// A text of at least this length without any space is data.
pub(super) const DATA_BYTES_MIN: usize = 1024;

/// Something in a text that must not be repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hit {
    /// Where it stands, in bytes.
    pub(super) range: Range<usize>,
    rule: Rule,
    /// What it is, such as `GitHub token`.
    pub(super) what: &'static str,
    /// What a report shows of it: as much as its issuer gives every key.
    shown: Option<String>,
}

/// Which of the two are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sought {
    /// Access keys alone: in what is data, rows of digits mean nothing.
    AccessKeys,
    /// Personal data as well.
    Everything,
}

impl Sought {
    /// What is looked for in a text.
    pub(super) fn of(text: &str) -> Self {
        if is_data(text) { Self::AccessKeys } else { Self::Everything }
    }
}

/// Whether a text is data, such as an image in Base64: nothing that a model reads as words, and its digits are no numbers. Keys are
/// found in it all the same.
fn is_data(text: &str) -> bool {
    text.len() >= DATA_BYTES_MIN && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Everything of it in a text, in order and without overlaps.
pub(super) fn find(text: &str, sought: Sought) -> Vec<Hit> {
    let mut hits = secrets::find(text);
    if sought == Sought::Everything {
        hits.extend(personal::find(text));
    }
    hits.sort_by_key(|hit| hit.range.start);
    let mut end = 0;
    hits.retain(|hit| {
        let is_apart = hit.range.start >= end;
        end = end.max(hit.range.end);
        is_apart
    });
    hits
}

/// The text without it: `[…]` stands in its place, which no rule about words knows.
pub(super) fn without(text: &str, hits: &[Hit]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for hit in hits {
        out.push_str(text.get(from..hit.range.start).unwrap_or_default());
        out.push_str("[…]");
        from = hit.range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// Says what was found, and no more of it than every key of its kind begins with.
pub(super) fn tell(hits: &[Hit], place: &Place, report: &mut Report) {
    for Hit { rule, what, shown, .. } in hits {
        let excerpt = shown.as_ref().map_or_else(|| (*what).to_owned(), |shown| format!("{what}, {shown}…"));
        report.add(*rule, Severity::High, place, &excerpt);
    }
}

/// Whether a key or a number may begin here: not within a word, an identifier or base64url. In JSON that is written within a text,
/// the letter of `\n`, `\r` and `\t` belongs to no word.
fn begins_word(bytes: &[u8], at: usize) -> bool {
    let back = |count: usize| at.checked_sub(count).and_then(|at| bytes.get(at)).copied();
    match back(1) {
        Some(b'n' | b'r' | b't') => back(2) == Some(b'\\'),
        Some(byte) => !is_word(byte),
        None => true,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// How many bytes in a row are of a kind, from here on.
fn run(bytes: &[u8], at: usize, is_of_kind: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(at).take_while(|byte| is_of_kind(**byte)).count()
}

#[cfg(test)]
pub(super) mod tests;
