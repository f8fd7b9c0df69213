//! Takes access keys and personal data out of a tool's result: a mark stands in the place of each, and no other byte changes.
//!
//! All or nothing: where one of them cannot be taken out, or where what was not searched may hold another, there is no result
//! without them. What only looks like an order to a model stays where it is.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::Report;
use super::result::{Ended, Holding, Looked, look};
use super::texts::read;
use super::withheld::{self, DATA_BYTES_MIN, Hit, Sought};

/// What is taken out may have hidden what stands beside it, such as a key right behind another: so often a text is searched again.
const ROUNDS_MAX: usize = 8;
/// What a client brings back as it got it: with a mark inside, it would be of no use.
const BROUGHT_BACK: &[&str] = &["/requestState", "/taskId"];

/// What a result is like without access keys and personal data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Redaction {
    /// None were found.
    Unneeded,
    /// This is left.
    Done {
        /// The result with `[redacted: KIND]` in the place of each, such as `[redacted: GitHub token]`.
        result: String,
        /// How many of each kind were taken out.
        marks: BTreeMap<&'static str, usize>,
    },
    /// It cannot be had without them.
    Impossible(Obstacle),
}

/// Why something cannot be taken out of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// It is in the name of a member, by which others find its value.
    Name,
    /// It is in what the client has to bring back unchanged.
    BroughtBack,
    /// It is in the middle of Base64, which would not be read any more.
    Encoded,
    /// The result goes on behind what was searched.
    Bound,
    /// Something else appears wherever something was taken out.
    Endless,
    /// The result is no strict JSON: others may read another one.
    Unreadable,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "it is in the name of a member",
            Self::BroughtBack => "it is in what the client has to bring back unchanged",
            Self::Encoded => "it is in the middle of Base64",
            Self::Bound => "the answer goes on behind the mebibyte that is searched",
            Self::Endless => "another one appears wherever one is taken out",
            Self::Unreadable => "the answer is no strict JSON",
        })
    }
}

/// [`scan_result`](crate::scan_result), and the result without the access keys and personal data that were found.
pub fn redact_result(result: &[u8]) -> (Report, Redaction) {
    let Looked { report, holding, ended } = look(result);
    let redaction = match (ended, std::str::from_utf8(result)) {
        (Some(Ended::Unreadable), _) | (_, Err(_)) => Redaction::Impossible(Obstacle::Unreadable),
        _ if holding.is_empty() => Redaction::Unneeded,
        (Some(Ended::Bound), _) => Redaction::Impossible(Obstacle::Bound),
        (None, Ok(result)) => match redacted(result, &holding) {
            Ok((result, marks)) => Redaction::Done { result, marks },
            Err(obstacle) => Redaction::Impossible(obstacle),
        },
    };
    (report, redaction)
}

type Marks = BTreeMap<&'static str, usize>;

fn redacted(result: &str, holding: &[Holding]) -> Result<(String, Marks), Obstacle> {
    let (mut out, mut marks) = (String::with_capacity(result.len()), Marks::new());
    let mut from = 0;
    for Holding { pointer, written } in holding {
        let written = written.clone().ok_or(Obstacle::Name)?;
        if BROUGHT_BACK.contains(&pointer.as_str()) {
            return Err(Obstacle::BroughtBack);
        }
        let cleaned = cleaned(result.get(written.clone()).unwrap_or_default(), &mut marks)?;
        out.push_str(result.get(from..written.start).unwrap_or_default());
        out.push_str(&cleaned);
        from = written.end;
    }
    out.push_str(result.get(from..).unwrap_or_default());
    Ok((out, marks))
}

/// What is written between the quotes of a string, with marks, and searched again until nothing is found.
fn cleaned(written: &str, marks: &mut Marks) -> Result<String, Obstacle> {
    let mut written = written.to_owned();
    for _ in 0..ROUNDS_MAX {
        let text = read(&written);
        let hits = withheld::find(&text, Sought::of(&text));
        if hits.is_empty() {
            return Ok(written);
        }
        if hits.iter().any(|hit| is_encoded(&text, hit)) {
            return Err(Obstacle::Encoded);
        }
        for hit in &hits {
            *marks.entry(hit.what).or_default() += 1;
        }
        written = marked(&written, &hits);
    }
    Err(Obstacle::Endless)
}

/// Whether it stands in a row of Base64 that is longer than any address or word beside a key: chance has put it there, in an image.
fn is_encoded(text: &str, hit: &Hit) -> bool {
    let in_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    let (before, behind) = (text.as_bytes().get(..hit.range.start), text.as_bytes().get(hit.range.end..));
    let before = before.unwrap_or_default().iter().rev().take_while(in_base64).take(DATA_BYTES_MIN).count();
    let behind = behind.unwrap_or_default().iter().take_while(in_base64).take(DATA_BYTES_MIN).count();
    before + behind >= DATA_BYTES_MIN
}

/// What is written between the quotes of a string, with a mark in the place of each hit; everything beside them as it is written.
/// Marks need no escapes.
fn marked(written: &str, hits: &[Hit]) -> String {
    let mut out = String::with_capacity(written.len());
    // Where in the text, and where in what is written.
    let (mut at, mut from) = (0, 0);
    let mut hits = hits.iter().peekable();
    let mut inside = None;
    while let Some(rest) = written.get(from..).filter(|rest| !rest.is_empty()) {
        if inside == Some(at) {
            inside = None;
        }
        if let Some(hit) = hits.next_if(|hit| hit.range.start == at) {
            // Writing to a `String` cannot fail.
            write!(out, "[redacted: {}]", hit.what).unwrap_or_default();
            inside = Some(hit.range.end);
        }
        let Piece { written: length, says } = Piece::first(rest);
        if inside.is_none() {
            out.push_str(rest.get(..length).unwrap_or_default());
        }
        (at, from) = (at + says, from + length);
    }
    out
}

/// One character of a string, by how long it is in bytes.
struct Piece {
    /// As it is written.
    written: usize,
    /// As it is read.
    says: usize,
}

impl Piece {
    /// The first of what is written between the quotes of a strict JSON string.
    fn first(written: &str) -> Self {
        let one = |length| Self { written: length, says: length };
        let Some(escape) = written.strip_prefix('\\') else {
            return one(written.chars().next().map_or(1, char::len_utf8));
        };
        let unit = escape.strip_prefix('u').and_then(|unit| u32::from_str_radix(unit.get(..4)?, 16).ok());
        match unit {
            None => Self { written: 2, says: 1 },
            // A pair of surrogates.
            Some(0xd800..=0xdfff) => Self { written: 12, says: 4 },
            Some(unit) => Self { written: 6, says: char::from_u32(unit).map_or(1, char::len_utf8) },
        }
    }
}

#[cfg(test)]
mod tests;
