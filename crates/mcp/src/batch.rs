//! JSON-RPC batches, which only the revision 2025-03-26 has (`2025-03-26/basic`); later ones refuse them.

use bytes::Bytes;

use crate::frame::{Frame, FrameError, FrameFault};
use crate::json::{JsonError, Limits, Scanner};

#[cfg(test)]
mod tests;

/// Parses a batch of at most `messages_max` messages, each as strictly as one that stands alone, so that no paid call
/// hides behind a free one. A batch without messages is refused (JSON-RPC 2.0 section 6).
pub fn parse(body: &Bytes, messages_max: usize) -> Result<Vec<Frame>, BatchError> {
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
    let frame =
        |(index, span)| Frame::parse(body.slice(span)).map_err(|error| BatchError::Message { index, error });
    spans.into_iter().enumerate().map(frame).collect()
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
    /// One of the messages is not acceptable.
    #[error("message {index} of the batch: {error}")]
    Message {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        error: FrameError,
    },
}

impl From<JsonError> for BatchError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<BatchError> for FrameError {
    /// The error to answer with: the one of the message that failed, else that of a batch.
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Message { error, .. } => error,
            BatchError::Json(error) => Self::new(FrameFault::Json(error), None),
            BatchError::NotABatch | BatchError::Empty | BatchError::TooMany { .. } => {
                Self::new(FrameFault::Batch, None)
            }
        }
    }
}
