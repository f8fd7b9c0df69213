//! The messages in the body of an answer, one by one, whatever carries them: one JSON value, several (NDJSON), or
//! server-sent events.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt;
use tollgate_mcp::{sse, values};

use crate::{Body, UpstreamError};
use tollgate_risk::room::{Room, Share};

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

/// One unit of the body, with what it holds of the room for answers.
#[derive(Debug)]
pub(crate) struct Piece {
    unit: Unit,
    share: Share,
}

/// What a unit is.
#[derive(Debug)]
pub(crate) enum Unit {
    /// A JSON value with the whitespace around it, up to its line end.
    Value(Bytes),
    /// An event, comments and priming events included.
    Event(sse::Event),
}

impl Piece {
    /// What it is.
    pub(crate) const fn unit(&self) -> &Unit {
        &self.unit
    }

    /// The bytes as they came.
    pub(crate) fn raw(&self) -> &Bytes {
        match &self.unit {
            Unit::Value(raw) => raw,
            Unit::Event(event) => event.raw(),
        }
    }

    /// What leaves in its place, which holds its room until it has left.
    pub(crate) fn leaves_as(self, bytes: Bytes) -> Bytes {
        self.share.keep(bytes)
    }

    /// The same unit with another message.
    pub(crate) fn with_message(self, message: Bytes) -> Bytes {
        let bytes = match &self.unit {
            Unit::Value(_) => message,
            Unit::Event(event) => event.with_data(&message),
        };
        self.leaves_as(bytes)
    }

    /// The JSON-RPC message inside; `None` for comments and for events that no MCP client reads as a message.
    pub(crate) fn message(&self) -> Option<Bytes> {
        match &self.unit {
            Unit::Value(raw) => Some(raw.slice_ref(raw.trim_ascii())),
            Unit::Event(event) => data(event).filter(|_| !is_named_otherwise(event)),
        }
    }

    /// What an event carries that no MCP client reads as a message, but any other reader can.
    pub(crate) fn aside(&self) -> Option<Bytes> {
        match &self.unit {
            Unit::Value(_) => None,
            Unit::Event(event) => data(event).filter(|_| is_named_otherwise(event)),
        }
    }
}

impl From<Bytes> for Piece {
    /// A value that is at hand, and is counted elsewhere.
    fn from(value: Bytes) -> Self {
        Self { unit: Unit::Value(value), share: Share::default() }
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
    /// What the unit that is not whole yet, and what came behind it, hold of the room.
    share: Share,
}

#[derive(Debug)]
enum Cutter {
    Json(values::Splitter),
    Sse(sse::Splitter),
}

impl Cutter {
    fn pending(&self) -> usize {
        match self {
            Self::Json(values) => values.pending(),
            Self::Sse(events) => events.pending(),
        }
    }
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
        Self {
            body,
            cutter,
            message_bytes_max,
            bytes_left,
            stream_bytes_max,
            ended: false,
            share: Share::default(),
        }
    }

    /// The next unit; `None` at the end of a whole body. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The body broke off, is too long, or is not what its framing says.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, UpstreamError> {
        self.next_within(None).await
    }

    /// The same within a room, of which each unit keeps its share. Lent each time: most answers are small, and take nothing of it.
    ///
    /// # Errors
    /// As [`Messages::next`], and [`UpstreamError::NoRoom`].
    pub(crate) async fn next_within(
        &mut self,
        room: Option<&Arc<Room>>,
    ) -> Result<Option<Piece>, UpstreamError> {
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
                    if let Some(room) = room {
                        // All that was announced, at once: else a crowd of answers would take the room from each other bit by bit, and
                        // none of them would arrive.
                        let announced = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
                        let pending = self.cutter.pending().saturating_add(announced);
                        self.share.grow(room, pending.min(self.message_bytes_max))?;
                    }
                }
            }
        }
    }

    /// Goes on with another stream of events; the bound on all of it goes on too. What was left of the one before is no event.
    pub(crate) fn continue_with(&mut self, body: Body, message_bytes_max: usize) {
        self.body = body;
        self.cutter = Cutter::Sse(sse::Splitter::new(message_bytes_max));
        self.share = Share::default();
        self.ended = false;
    }

    fn cut(&mut self) -> Result<Option<Piece>, UpstreamError> {
        let Some(unit) = self.unit()? else { return Ok(None) };
        let length = match &unit {
            Unit::Value(raw) => raw.len(),
            Unit::Event(event) => event.raw().len(),
        };
        let share = self.share.part(length, self.cutter.pending());
        Ok(Some(Piece { unit, share }))
    }

    fn unit(&mut self) -> Result<Option<Unit>, UpstreamError> {
        match &mut self.cutter {
            Cutter::Sse(events) => match events.next_event() {
                Ok(event) => Ok(event.map(Unit::Event)),
                Err(too_long) => Err(UpstreamError::TooLarge(too_long.event_bytes_max)),
            },
            Cutter::Json(values) => {
                let value = values
                    .next_value(self.ended)
                    .map_err(|fault| UpstreamError::NotAnAnswer(fault.sentence()))?;
                if value.as_ref().map_or(values.pending(), Bytes::len) > self.message_bytes_max {
                    return Err(UpstreamError::TooLarge(self.message_bytes_max));
                }
                Ok(value.map(Unit::Value))
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
