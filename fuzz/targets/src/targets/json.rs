//! The strict scanner against `serde_json`.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tollgate_mcp::canonical::{canonical, digest};
use tollgate_mcp::json::{check, string};
use tollgate_mcp::{JsonError, Limits};

pub(crate) const WORDS: &[&str] = &[
    "{\"a\":",
    "[",
    "]",
    "}",
    ",",
    "\"a\"",
    "\\u0061",
    "\\ud83d\\ude00",
    "\\ud800",
    "1e400",
    "-0",
    "0.5e-3",
    "null",
    "true",
    "\u{feff}",
    "\u{e9}",
    "\"\":0",
];

/// Accepts exactly what `serde_json` and a check for repeated names accept, within the bounds; and the canonical form says the
/// same as the text.
pub(crate) fn json(input: &[u8]) {
    let ours = check(input, Limits::CALLER);
    match (&ours, serde_json::from_slice::<Once>(input)) {
        (Ok(()), Ok(Once)) => canonical_form(input),
        (Ok(()), Err(error)) => assert!(is_out_of_range(&error), "accepted, but {error}"),
        (Err(error), Ok(Once)) => assert!(
            matches!(error, JsonError::TooDeep { .. } | JsonError::NumberTooLong { .. }),
            "refused for {error}, and serde_json sees nothing wrong"
        ),
        (Err(_), Err(_)) => {}
    }
    if let Ok(text) = serde_json::from_slice::<String>(input)
        && input.starts_with(b"\"")
        && input.ends_with(b"\"")
    {
        assert_eq!(string(input), Some(text), "a string reads as it reads elsewhere");
    }
}

fn canonical_form(input: &[u8]) {
    let Ok(form) = canonical(input) else { return };
    assert_eq!(canonical(&form).as_deref(), Ok(&*form), "the canonical form is its own");
    assert_eq!(digest(input), digest(&form));
    let read = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
    assert_eq!(read(input), read(&form), "the canonical form says the same");
}

/// A number past the range of a float is JSON, but nothing that `serde_json` can hand over.
pub(super) fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().contains("number out of range")
}

/// Any JSON value in which no object has one name twice.
pub(super) struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without repeated names")
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Once, A::Error> {
        while let Some(Once) = elements.next_element()? {}
        Ok(Once)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Once)) = members.next_entry::<String, Once>()? {
            if !names.insert(name) {
                return Err(de::Error::custom("a repeated name"));
            }
        }
        Ok(Once)
    }
}
