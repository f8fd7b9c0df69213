//! The messages in the body of an answer, one by one, whatever carries them: one JSON value, several (NDJSON), or
//! server-sent events.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::BodyExt;
use tollgate_mcp::{sse, values};

use crate::{Body, UpstreamError};

/// What carries the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// JSON values, one after the other.
    Json,
    /// Server-sent events.
    Sse,
}

impl Framing {
    /// The framing that the headers announce. `None`: none that messages come in, or compressed, which nobody asked for.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
        if !matches!(encoding, None | Some(b"identity")) {
            return None;
        }
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/event-stream" => Some(Self::Sse),
            "application/json" | "application/x-ndjson" | "application/jsonl" => Some(Self::Json),
            other if other.ends_with("+json") => Some(Self::Json),
            _ => None,
        }
    }
}

/// One unit of the body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// A JSON value with the whitespace around it, up to its line end.
    Value(Bytes),
    /// An event, comments and priming events included.
    Event(sse::Event),
}

impl Piece {
    /// The bytes as they came.
    pub(crate) fn raw(&self) -> &Bytes {
        match self {
            Self::Value(raw) => raw,
            Self::Event(event) => event.raw(),
        }
    }

    /// The JSON-RPC message inside; `None` for comments and for events that no MCP client reads as a message.
    pub(crate) fn message(&self) -> Option<Bytes> {
        match self {
            Self::Value(raw) => Some(raw.slice_ref(raw.trim_ascii())),
            Self::Event(event) => data(event).filter(|_| !is_named_otherwise(event)),
        }
    }

    /// What an event carries that no MCP client reads as a message, but any other reader can.
    pub(crate) fn aside(&self) -> Option<Bytes> {
        match self {
            Self::Value(_) => None,
            Self::Event(event) => data(event).filter(|_| is_named_otherwise(event)),
        }
    }
}

fn data(event: &sse::Event) -> Option<Bytes> {
    event.data().filter(|data| !data.is_empty()).cloned()
}

fn is_named_otherwise(event: &sse::Event) -> bool {
    event.name().is_some_and(|name| !name.is_empty() && name != b"message")
}

/// The reader.
#[derive(Debug)]
pub(crate) struct Messages {
    body: Body,
    cutter: Cutter,
    message_bytes_max: usize,
    bytes_left: u64,
    stream_bytes_max: usize,
    ended: bool,
}

#[derive(Debug)]
enum Cutter {
    Json(values::Splitter),
    Sse(sse::Splitter),
}

impl Messages {
    /// Reads `body` as `framing` says. No message may be longer than `message_bytes_max`, nor all of them together longer
    /// than `stream_bytes_max`.
    pub(crate) fn new(
        body: Body,
        framing: Framing,
        message_bytes_max: usize,
        stream_bytes_max: usize,
    ) -> Self {
        let cutter = match framing {
            Framing::Json => Cutter::Json(values::Splitter::default()),
            Framing::Sse => Cutter::Sse(sse::Splitter::new(message_bytes_max)),
        };
        let bytes_left = u64::try_from(stream_bytes_max).unwrap_or(u64::MAX);
        Self { body, cutter, message_bytes_max, bytes_left, stream_bytes_max, ended: false }
    }

    /// The next unit; `None` at the end of a whole body. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The body broke off, is too long, or is not what its framing says.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, UpstreamError> {
        loop {
            if let Some(piece) = self.cut()? {
                return Ok(Some(piece));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(frame) => {
                    let Ok(chunk) = frame?.into_data() else { continue };
                    let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                    self.bytes_left = self
                        .bytes_left
                        .checked_sub(length)
                        .ok_or(UpstreamError::TooLarge(self.stream_bytes_max))?;
                    match &mut self.cutter {
                        Cutter::Json(values) => values.push(chunk),
                        Cutter::Sse(events) => events.push(&chunk),
                    }
                }
            }
        }
    }

    /// Goes on with another stream of events; the bound on all of it goes on too. What was left of the one before is no event.
    pub(crate) fn continue_with(&mut self, body: Body, message_bytes_max: usize) {
        self.body = body;
        self.cutter = Cutter::Sse(sse::Splitter::new(message_bytes_max));
        self.ended = false;
    }

    fn cut(&mut self) -> Result<Option<Piece>, UpstreamError> {
        match &mut self.cutter {
            Cutter::Sse(events) => match events.next_event() {
                Ok(event) => Ok(event.map(Piece::Event)),
                Err(too_long) => Err(UpstreamError::TooLarge(too_long.event_bytes_max)),
            },
            Cutter::Json(values) => {
                let value = values
                    .next_value(self.ended)
                    .map_err(|fault| UpstreamError::NotAnAnswer(fault.sentence()))?;
                if value.as_ref().map_or(values.pending(), Bytes::len) > self.message_bytes_max {
                    return Err(UpstreamError::TooLarge(self.message_bytes_max));
                }
                Ok(value.map(Piece::Value))
            }
        }
    }

    /// Reads and forgets what is left, so that the connection can serve the next request.
    pub(crate) async fn drain(mut self) {
        const LEFTOVER_BYTES_MAX: u64 = 64 * 1024;
        self.bytes_left = self.bytes_left.min(LEFTOVER_BYTES_MAX);
        while let Ok(Some(_)) = self.next().await {}
    }
}

#[cfg(test)]
mod tests;
