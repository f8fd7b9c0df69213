//! The messages in the body of an answer, one by one, as they come: one JSON value, several (NDJSON), or server-sent events.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use tollgate_egress::{EgressError, Streamed};
use tollgate_mcp::{sse, values};

/// The longest message that is passed on, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why there is no further message.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The connection broke.
    #[error("the connection broke before the answer was complete")]
    Broken(#[source] EgressError),
    /// It is no stream of messages.
    #[error("{0}")]
    NotMessages(values::ValuesFault),
    /// A message is too long.
    #[error("a message of the server is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
}

/// The reader.
#[derive(Debug)]
pub(super) struct Messages {
    body: Streamed,
    cutter: Cutter,
    ended: bool,
    /// Where a broken stream of the legacy era can be taken up again.
    last_event_id: Option<HeaderValue>,
    retry_ms: Option<u64>,
}

#[derive(Debug)]
enum Cutter {
    Json(values::Splitter),
    Sse(sse::Splitter),
}

impl Messages {
    /// Reads `body` as `headers` say; `None` where messages do not come like that.
    pub(super) fn of(headers: &HeaderMap, body: Streamed) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let cutter = match essence.as_str() {
            "text/event-stream" => Cutter::Sse(sse::Splitter::new(MESSAGE_BYTES_MAX)),
            "application/json" | "application/x-ndjson" | "application/jsonl" => {
                Cutter::Json(values::Splitter::default())
            }
            _ => return None,
        };
        Some(Self { body, cutter, ended: false, last_event_id: None, retry_ms: None })
    }

    /// The next message; `None` at the end of a whole body. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StreamError`].
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        loop {
            if let Some(message) = self.cut()? {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.chunk().await.map_err(StreamError::Broken)? {
                None => self.ended = true,
                Some(chunk) => match &mut self.cutter {
                    Cutter::Json(values) => values.push(chunk),
                    Cutter::Sse(events) => events.push(&chunk),
                },
            }
        }
    }

    fn cut(&mut self) -> Result<Option<Bytes>, StreamError> {
        match &mut self.cutter {
            Cutter::Json(values) => {
                let value = values.next_value(self.ended).map_err(StreamError::NotMessages)?;
                if value.as_ref().map_or(values.pending(), Bytes::len) > MESSAGE_BYTES_MAX {
                    return Err(StreamError::TooLong);
                }
                Ok(value.map(|raw| raw.slice_ref(raw.trim_ascii())))
            }
            Cutter::Sse(events) => {
                while let Some(event) = events.next_event().map_err(|_| StreamError::TooLong)? {
                    if let Some(id) = event.id() {
                        // An id with bytes that no header can carry cannot be sent back.
                        self.last_event_id = HeaderValue::from_bytes(id).ok().filter(|id| !id.is_empty());
                    }
                    self.retry_ms = event.retry_ms().or(self.retry_ms);
                    let is_message = event.name().is_none_or(|name| name.is_empty() || name == b"message");
                    match event.data().filter(|data| is_message && !data.is_empty()) {
                        Some(data) => return Ok(Some(data.clone())),
                        None => continue,
                    }
                }
                Ok(None)
            }
        }
    }

    /// This stream as the one that goes on where `before` broke off.
    pub(super) fn after(mut self, before: &Self) -> Self {
        self.last_event_id.clone_from(&before.last_event_id);
        self.retry_ms = before.retry_ms;
        self
    }

    /// The id of the last event that had one.
    pub(super) fn last_event_id(&self) -> Option<&HeaderValue> {
        self.last_event_id.as_ref()
    }

    /// How long the server wants a client to wait before it connects again.
    pub(super) fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Reads and forgets what is left, so that the connection can serve the next request.
    pub(super) async fn drain(mut self) {
        while let Ok(Some(_)) = self.next().await {}
    }
}
