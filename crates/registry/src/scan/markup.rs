//! What is in a text without being read: comments, poses of a system message, encoded texts, room that hides the rest.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::places::{Kind, Place};
use super::{Report, Rule, Severity, around};

/// A comment longer than this says something; a shorter one is an example of a comment.
const COMMENT_CHARS_MAX: usize = 24;
/// Base64 shorter than this is an example or an identifier.
const BLOB_CHARS_MIN: usize = 48;
/// A row of this many spaces or line ends moves what follows out of sight.
const SPACES_MAX: usize = 100;
const LINE_ENDS_MAX: usize = 12;
/// Descriptions of more than this many bytes are rare; of more than the second, unheard of.
const LONG_BYTES: usize = 8 * 1024;
const VERY_LONG_BYTES: usize = 32 * 1024;

/// Marks by which chat templates and prompts set off what the system says.
const ROLE_MARKS: &[&str] = &[
    "<important>",
    "</important>",
    "<system>",
    "</system>",
    "<instructions>",
    "</instructions>",
    "<|im_start|>",
    "<|system|>",
    "<|endoftext|>",
    "[inst]",
    "[/inst]",
    "<<sys>>",
    "<secret>",
    "<critical>",
    "<system_prompt>",
    "<assistant>",
    "\n\nhuman:",
    "\n\nassistant:",
    "### system",
    "[system]",
    "begin system prompt",
];

pub(super) fn scan(place: &Place, report: &mut Report) {
    if place.kind == Kind::Image {
        return;
    }
    scan_marks(place, report);
    blobs(place, report);
    padding(place, report);
}

/// The part of it that no text of any kind should contain.
pub(super) fn scan_marks(place: &Place, report: &mut Report) {
    comments(place, report);
    let lower = place.text.to_lowercase();
    for mark in ROLE_MARKS {
        if let Some(at) = lower.find(mark) {
            report.add(Rule::RoleMarkup, Severity::High, place, around(&lower, at));
        }
    }
}

fn comments(place: &Place, report: &mut Report) {
    let mut rest = place.text.as_str();
    while let Some((_, opened)) = rest.split_once("<!--") {
        let (inside, after) = opened.split_once("-->").unwrap_or((opened, ""));
        let says = inside.split_whitespace().map(|word| word.chars().count()).sum::<usize>();
        let severity = if says > COMMENT_CHARS_MAX { Severity::High } else { Severity::Low };
        report.add(Rule::HtmlComment, severity, place, inside);
        rest = after;
    }
}

/// Rows of the Base64 alphabet. One that decodes to a text was written to be decoded by a model.
fn blobs(place: &Place, report: &mut Report) {
    let in_alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    for row in place.text.split(|c| !in_alphabet(c)).filter(|row| row.len() >= BLOB_CHARS_MIN) {
        let has = |kind: fn(&u8) -> bool| row.as_bytes().iter().any(kind);
        if !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)) {
            continue;
        }
        // Whatever is cut off at the end, whole groups of four decode.
        let whole = row.get(..row.len() - row.len() % 4).unwrap_or_default();
        let decoded =
            STANDARD_NO_PAD.decode(whole).or_else(|_| URL_SAFE_NO_PAD.decode(whole)).unwrap_or_default();
        match String::from_utf8(decoded) {
            Ok(text) if is_readable(&text) => {
                report.add(Rule::EncodedBlob, Severity::High, place, &format!("{row} decodes to: {text}"));
            }
            Ok(_) | Err(_) => report.add(Rule::EncodedBlob, Severity::Low, place, row),
        }
    }
}

fn is_readable(text: &str) -> bool {
    let readable = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ' || *c == '\n').count();
    !text.is_empty() && readable * 100 >= text.chars().count() * 95
}

fn padding(place: &Place, report: &mut Report) {
    let text = place.text.as_str();
    if text.len() > LONG_BYTES {
        let severity = if text.len() > VERY_LONG_BYTES { Severity::High } else { Severity::Medium };
        report.add(Rule::LongText, severity, place, &format!("{} bytes", text.len()));
    }
    let mut rest = text.trim_end();
    while let Some(start) = rest.find(char::is_whitespace) {
        let from = rest.get(start..).unwrap_or_default();
        let end = from.find(|c: char| !c.is_whitespace()).unwrap_or(from.len());
        let room = from.get(..end).unwrap_or_default();
        let line_ends = room.chars().filter(|c| *c == '\n').count();
        if room.chars().count() > SPACES_MAX || line_ends > LINE_ENDS_MAX {
            let behind: String = from.get(end..).unwrap_or_default().chars().take(80).collect();
            report.add(
                Rule::Padding,
                Severity::High,
                place,
                &format!("{} characters of room before: {behind}", room.chars().count()),
            );
        }
        rest = from.get(end..).unwrap_or_default();
    }
}
