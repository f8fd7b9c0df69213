//! Strict JSON: one scanner over bytes that accepts only texts with a single reading.
//!
//! Owns the grammar of RFC 8259 and what is refused on top of it: a byte order mark, invalid UTF-8, lone surrogate
//! escapes, a member name that appears twice in one object (compared after unescaping), nesting and numbers past a bound.
//! It never builds a tree and never changes a byte: callers get ranges into the text they brought.

mod scanner;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use scanner::StringToken;
pub use scanner::{Name, Scanner};
pub(crate) use text::plain_run;
pub use text::quote;

/// Bounds of a scan. The size of the text is bounded by whoever read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many arrays and objects may be open at once.
    pub depth_max: usize,
    /// Characters in one number token.
    pub number_chars_max: usize,
}

impl Limits {
    /// What a caller may send.
    pub const CALLER: Self = Self { depth_max: 64, number_chars_max: 1_024 };
    /// What an upstream may answer. What passes is shallow enough for serde_json, which stops at 128 levels.
    pub const UPSTREAM: Self = Self { depth_max: 127, number_chars_max: 16_384 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::CALLER
    }
}

/// Why a text is not one strict JSON value. `at` counts bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text opens with U+FEFF (RFC 8259 section 8.1).
    #[error("the text starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("byte {at} is not UTF-8")]
    NotUtf8 {
        /// Where the first bad sequence starts.
        at: usize,
    },
    /// The grammar wants something else here.
    #[error("byte {at} is not {expected}")]
    Syntax {
        /// Where.
        at: usize,
        /// What the grammar wants.
        expected: &'static str,
    },
    /// The text ends inside a value.
    #[error("the text ends inside a value")]
    Truncated,
    /// Something follows the value.
    #[error("byte {at} follows the end of the value")]
    TrailingData {
        /// Where the value should have been followed by nothing.
        at: usize,
    },
    /// Two members of one object have the same name.
    #[error("the member name at byte {at} appears twice in its object")]
    DuplicateName {
        /// Where the second one starts.
        at: usize,
    },
    /// `\ud800` … `\udfff` without its other half.
    #[error("the escape at byte {at} is half of a surrogate pair")]
    LoneSurrogate {
        /// Where the escape starts.
        at: usize,
    },
    /// Too many open arrays and objects.
    #[error("byte {at} nests deeper than {depth_max} levels")]
    TooDeep {
        /// Where the level too many opens.
        at: usize,
        /// [`Limits::depth_max`].
        depth_max: usize,
    },
    /// A number token that is too long.
    #[error("the number at byte {at} is longer than {chars_max} characters")]
    NumberTooLong {
        /// Where it starts.
        at: usize,
        /// [`Limits::number_chars_max`].
        chars_max: usize,
    },
}

/// Checks that `bytes` is exactly one strict JSON value, whitespace around it allowed.
pub fn check(bytes: &[u8], limits: Limits) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(bytes, limits)?;
    scanner.whole(|scanner| scanner.value()).map(|_| ())
}

/// The raw value at `path`, a chain of member names from the root object. `None` where a step is absent or not an
/// object.
pub fn lookup<'a>(raw: &'a [u8], path: &[&str]) -> Result<Option<&'a [u8]>, JsonError> {
    let mut found = raw.trim_ascii();
    for step in path {
        let mut scanner = Scanner::new(found, Limits::UPSTREAM)?;
        if scanner.peek() != Some(b'{') {
            return Ok(None);
        }
        let mut next = None;
        scanner.whole(|scanner| {
            scanner.object(|scanner, name| {
                let value = scanner.value()?;
                if name.text == *step {
                    next = Some(value);
                }
                Ok::<_, JsonError>(())
            })
        })?;
        match next {
            Some(value) => found = found.get(value).unwrap_or_default(),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// The text of a raw JSON string, unescaped; `None` where `raw` is not exactly one JSON string.
pub fn string(raw: &[u8]) -> Option<String> {
    let mut scanner = Scanner::new(raw, Limits::CALLER).ok()?;
    let token = scanner.whole(|scanner| scanner.string()).ok()?;
    Some(scanner.unescape(&token).into_owned())
}
