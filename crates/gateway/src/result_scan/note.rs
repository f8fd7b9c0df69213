//! What is said beside an answer in which something was found: rules and kinds, and not a word of the answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

/// The header in which an answer carries the note.
const NOTE_HEADER: HeaderName = HeaderName::from_static("tollgate-findings");
/// The key of the note in `_meta`.
pub(crate) const NOTE_META: &str = "tollgate/findings";

/// A note beside an answer: the score and what it is made of, such as `score 60 = high override 60`, and how many of each kind were
/// taken out of it, such as `redacted: GitHub token x1`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note(Box<Parts>);

/// Boxed: few answers have one, and all make room for it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Parts {
    explained: String,
    redacted: BTreeMap<&'static str, usize>,
}

impl Note {
    /// A note of what was found, and of what was taken out.
    pub(crate) fn new(explained: String, redacted: BTreeMap<&'static str, usize>) -> Self {
        Self(Box::new(Parts { explained, redacted }))
    }

    /// Whether anything was taken out of the answer.
    pub(crate) fn says_redacted(&self) -> bool {
        !self.0.redacted.is_empty()
    }

    /// Writes the note into the head of an answer.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        let mut text = self.0.explained.clone();
        for (index, (kind, count)) in self.0.redacted.iter().enumerate() {
            let opens = if index == 0 { "; redacted:" } else { "," };
            // Writing to a `String` cannot fail.
            write!(text, "{opens} {kind} x{count}").unwrap_or_default();
        }
        if let Ok(text) = HeaderValue::from_str(&text) {
            headers.insert(NOTE_HEADER, text);
        }
    }

    /// The raw JSON of [`NOTE_META`].
    pub(crate) fn json(&self) -> String {
        let Parts { explained, redacted } = &*self.0;
        if redacted.is_empty() {
            return json!({ "explained": explained }).to_string();
        }
        json!({ "explained": explained, "redacted": redacted }).to_string()
    }
}
