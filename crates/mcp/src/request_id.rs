//! The id of a request: a string or an integer, kept as it was spelled.

use std::hash::{Hash, Hasher};

use crate::json::{self, quote};

#[cfg(test)]
mod tests;

/// Bytes of a string id, unescaped.
const STRING_BYTES_MAX: usize = 256;

/// A JSON-RPC id. `1` and `"1"` are two ids; `"a"` and `"\u0061"` are one.
#[derive(Clone, Debug)]
pub struct RequestId {
    value: Value,
    raw: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Value {
    Integer(i64),
    Text(Box<str>),
}

/// Why a value cannot be an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An answer or a call without one.
    #[error("it is absent")]
    Absent,
    /// Null: JSON-RPC leaves it to errors that answer no request in particular.
    #[error("it is null")]
    Null,
    /// A number with a fraction or an exponent, or past the range of `i64`.
    #[error("it is not an integer of 64 bits")]
    NotAnInteger,
    /// A string that is too long.
    #[error("it is longer than {STRING_BYTES_MAX} bytes")]
    TooLong,
    /// Neither a string nor a number.
    #[error("it is neither a string nor an integer")]
    NotTheType,
}

impl RequestId {
    /// An integer id.
    pub fn integer(value: i64) -> Self {
        Self { value: Value::Integer(value), raw: value.to_string().into() }
    }

    /// A string id of at most 256 bytes.
    pub fn string(text: &str) -> Result<Self, IdError> {
        if text.len() > STRING_BYTES_MAX {
            return Err(IdError::TooLong);
        }
        Ok(Self { value: Value::Text(text.into()), raw: quote(text).into() })
    }

    /// Reads a raw JSON value.
    pub fn from_raw(raw: &str) -> Result<Self, IdError> {
        let value = match raw.as_bytes().first() {
            Some(b'"') => {
                let text = json::string(raw.as_bytes()).ok_or(IdError::NotTheType)?;
                if text.len() > STRING_BYTES_MAX {
                    return Err(IdError::TooLong);
                }
                Value::Text(text.into())
            }
            Some(b'-' | b'0'..=b'9') if json::check(raw.as_bytes(), json::Limits::CALLER).is_ok() => {
                Value::Integer(raw.parse().map_err(|_| IdError::NotAnInteger)?)
            }
            Some(b'n') if raw == "null" => return Err(IdError::Null),
            _ => return Err(IdError::NotTheType),
        };
        Ok(Self { value, raw: raw.into() })
    }

    /// The id as it was spelled: a JSON value.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The value of an integer id.
    pub fn as_integer(&self) -> Option<i64> {
        match &self.value {
            Value::Integer(value) => Some(*value),
            Value::Text(_) => None,
        }
    }

    /// The value of a string id.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Integer(_) => None,
            Value::Text(text) => Some(text),
        }
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// The raw JSON form.
impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.raw)
    }
}
