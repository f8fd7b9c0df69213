//! JSON-RPC batches, which only the revision 2025-03-26 has (`2025-03-26/basic`); later ones refuse them.

use std::collections::HashSet;

use bytes::Bytes;

use crate::frame::{Frame, FrameError, FrameFault, Kind};
use crate::json::{JsonError, Limits, Scanner};

#[cfg(test)]
mod tests;

/// Whether a body is an array and so, where there are batches, one of them.
pub fn is_batch(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

/// Parses a batch of at most `messages_max` messages, each as strictly as one that stands alone, so that no paid call
/// hides behind a free one. One that is not acceptable is answered for itself (JSON-RPC 2.0 section 6); it stands in its place.
///
/// # Errors
/// [`BatchError`], when nothing of it is to be looked at.
pub fn parse(body: &Bytes, messages_max: usize) -> Result<Vec<Result<Frame, FrameError>>, BatchError> {
    let mut scanner = Scanner::new(body, Limits::CALLER)?;
    let mut spans = Vec::new();
    scanner.whole(|scanner| {
        if scanner.peek() != Some(b'[') {
            return Err(BatchError::NotABatch);
        }
        scanner.array(|scanner| {
            spans.push(scanner.value()?);
            if spans.len() > messages_max { Err(BatchError::TooMany { messages_max }) } else { Ok(()) }
        })
    })?;
    if spans.is_empty() {
        return Err(BatchError::Empty);
    }
    let messages: Vec<_> = spans.into_iter().map(|span| Frame::parse(body.slice(span))).collect();
    let mut ids = HashSet::new();
    for message in &messages {
        match message {
            Err(error) if *error.fault() == FrameFault::Batch => return Err(BatchError::Nested),
            Err(_) => {}
            // A client numbers what it asks, and a server what it asks: their ids are not compared.
            Ok(message) => {
                let is_new = message.id().is_none_or(|id| ids.insert((message.kind() == Kind::Request, id)));
                if !is_new {
                    return Err(BatchError::IdTwice);
                }
            }
        }
    }
    Ok(messages)
}

/// Why a text is no batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not one strict JSON value.
    #[error("the batch is not strict JSON: {0}")]
    Json(JsonError),
    /// Not an array.
    #[error("the body is not a batch")]
    NotABatch,
    /// An array without messages.
    #[error("the batch is empty")]
    Empty,
    /// An array with too many messages.
    #[error("the batch has more than {messages_max} messages")]
    TooMany {
        /// How many it may have.
        messages_max: usize,
    },
    /// One of its messages is an array.
    #[error("the batch has another one inside")]
    Nested,
    /// Two requests, or two answers, have the same id: nobody could tell which of them an answer is to.
    #[error("two messages of the batch have the same id")]
    IdTwice,
}

impl From<JsonError> for BatchError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}
