//! The messages of a response one by one, for whoever has to put them into other words on their way.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::response::Parts;
use tollgate_mcp::{Frame, Kind, RequestId};

use crate::intercept::{Limits, strip_body_headers};
use crate::messages::{Framing, Messages, Piece, Unit};
use crate::{Body, UpstreamError};
use tollgate_risk::room::Room;

/// The messages of one response.
#[derive(Debug)]
pub struct MessageStream {
    messages: Messages,
    framing: Framing,
    room: Option<Arc<Room>>,
}

/// One message with what surrounds it, or an event that carries none.
#[derive(Debug)]
pub struct Item(Piece);

impl MessageStream {
    /// Reads a response message by message. Its head comes without the headers that describe its body.
    ///
    /// # Errors
    /// The response as it is, where it carries no messages or compressed ones.
    #[expect(clippy::result_large_err, reason = "the response is handed back, not reported")]
    pub fn read(response: Response<Body>, limits: Limits<'_>) -> Result<(Parts, Self), Response<Body>> {
        let Some(framing) = Framing::of(response.headers()) else { return Err(response) };
        let (mut head, body) = response.into_parts();
        strip_body_headers(&mut head);
        let messages = Messages::new(body, framing, limits.message_bytes_max, limits.stream_bytes_max);
        Ok((head, Self { messages, framing, room: limits.room.cloned() }))
    }

    /// Whether the messages come as events, and so may be several.
    pub fn is_events(&self) -> bool {
        self.framing == Framing::Sse
    }

    /// The next message or event; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`UpstreamError`], when the body breaks off, is too long, or is not what its framing says.
    pub async fn next(&mut self) -> Result<Option<Item>, UpstreamError> {
        Ok(self.messages.next_within(self.room.as_ref()).await?.map(Item))
    }

    /// The answer to the request with this id; what comes before it is left out.
    ///
    /// # Errors
    /// As [`MessageStream::next`], and when another request is answered or none.
    pub async fn answer(&mut self, id: &RequestId) -> Result<Frame, UpstreamError> {
        while let Some(item) = self.next().await? {
            let Some(message) = item.message() else { continue };
            let message = item.leaves_as(message);
            let frame = Frame::parse_upstream(message)
                .map_err(|_| UpstreamError::NotAnAnswer("one of its messages is no strict JSON-RPC"))?;
            match (frame.kind(), frame.id()) {
                (Kind::Request | Kind::Notification, _) => {}
                (Kind::ErrorResponse, None) => return Ok(frame),
                (Kind::Response | Kind::ErrorResponse, Some(answered)) if answered == id => return Ok(frame),
                (Kind::Response | Kind::ErrorResponse, _) => {
                    return Err(UpstreamError::NotAnAnswer("it answers another request"));
                }
            }
        }
        Err(UpstreamError::NotAnAnswer("its response ends without an answer"))
    }
}

impl Item {
    /// The JSON-RPC message; `None` for what no MCP client reads as one.
    pub fn message(&self) -> Option<Bytes> {
        self.0.message()
    }

    /// The bytes as they came.
    pub fn raw(&self) -> &Bytes {
        self.0.raw()
    }

    /// What leaves in its place: it holds the room that this took until it has left.
    pub fn leaves_as(self, bytes: Bytes) -> Bytes {
        self.0.leaves_as(bytes)
    }

    /// The id of an event, where it has one.
    pub fn event_id(&self) -> Option<&str> {
        match self.0.unit() {
            Unit::Value(_) => None,
            Unit::Event(event) => event.id().and_then(|id| std::str::from_utf8(id).ok()),
        }
    }

    /// The same with another message, another event id, or both; everything else keeps its bytes.
    pub fn rewritten(&self, message: Option<&[u8]>, event_id: Option<&str>) -> Bytes {
        match (self.0.unit(), message) {
            (Unit::Event(event), message) => event.rewritten(message, event_id),
            (Unit::Value(raw), None) => raw.clone(),
            (Unit::Value(raw), Some(message)) => {
                // The line end of a value belongs to the framing of several.
                let rest = raw.trim_ascii_start().len() - raw.trim_ascii().len();
                let end = raw.get(raw.len() - rest..).unwrap_or_default();
                [message, end].concat().into()
            }
        }
    }
}
