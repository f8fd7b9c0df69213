//! What is counted in the arguments of a call.

use std::fmt;
use std::str::FromStr;

/// One thing to count: where it stands, and what of it counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Measure {
    /// Where: a JSON Pointer (RFC 6901) into the arguments, such as `/text`.
    pub pointer: String,
    /// What of it.
    pub of: Count,
    /// How many there are where nothing stands; `None`: such a call has no price.
    pub absent: Option<u64>,
}

/// What of a value counts. Written `number`, `characters`, `items`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Count {
    /// The value itself: a whole number.
    Number,
    /// The characters (Unicode scalar values) of a string.
    Characters,
    /// The items of an array.
    Items,
}

/// A text that names no [`Count`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of number, characters, items")]
pub struct CountError(String);

/// Why a measure has no count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    /// Nothing stands there.
    #[error("the price depends on the argument {0}, which is missing")]
    Absent(String),
    /// What stands there cannot be counted like that.
    #[error("the price depends on the argument {pointer}, which is not {expected}")]
    Uncountable {
        /// Where.
        pointer: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The arguments themselves are not there, only their digest.
    #[error("the price depends on the arguments, and only their digest was sent")]
    DigestOnly,
}

/// Who can count in the arguments of one call.
pub trait Reading {
    /// How many of it there are.
    ///
    /// # Errors
    /// [`MeasureError`] when that cannot be said.
    fn count(&self, measure: &Measure) -> Result<u64, MeasureError>;
}

impl Count {
    /// What a value must be to be counted like this.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Number => "a whole number from 0 to 2^64 - 1",
            Self::Characters => "a string",
            Self::Items => "an array",
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "number",
            Self::Characters => "characters",
            Self::Items => "items",
        })
    }
}

impl FromStr for Count {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, CountError> {
        match text {
            "number" => Ok(Self::Number),
            "characters" => Ok(Self::Characters),
            "items" => Ok(Self::Items),
            other => Err(CountError(other.chars().take(32).collect())),
        }
    }
}
