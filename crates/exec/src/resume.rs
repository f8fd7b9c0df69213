//! Going on with a stream that the server hung up before it had answered.
//!
//! In the era of sessions (2025-11-25, transports, "Resumability and Redelivery"; SEP-1699) a server may end the stream of a
//! request early and give the rest to whoever comes back with a GET and the id of the last event. The gateway comes back itself:
//! its client keeps one stream, and the answer is still the one that is settled. The POST is never sent again.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request};

use crate::messages::{Framing, Messages, Piece, Unit};
use crate::{Body, Upstream, UpstreamError};
use tollgate_risk::room::Room;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long to wait where the server names no time: what official clients do.
const PAUSE_MS: u64 = 1_000;
/// The shortest wait, whatever the server names.
const PAUSE_MS_MIN: u64 = 50;
/// How many times in a row coming back may bring nothing new.
const FRUITLESS_MAX: u32 = 3;
/// How many times in all: with the shortest wait this is a minute, and a call's deadline ends it anyway.
const RESUMPTIONS_MAX: u32 = 1_200;

/// The way back to a server: what a GET for the rest of a stream needs of the request that opened it.
#[derive(Debug)]
pub struct Resume {
    upstream: Arc<dyn Upstream>,
    headers: HeaderMap,
}

impl Resume {
    /// The way back after a POST with these headers.
    pub fn after(upstream: Arc<dyn Upstream>, headers: &HeaderMap) -> Self {
        let mut headers = headers.clone();
        for of_the_post in [CONTENT_TYPE, CONTENT_LENGTH, LAST_EVENT_ID] {
            headers.remove(of_the_post);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        Self { upstream, headers }
    }

    fn request(&self, last_event: HeaderValue) -> Request<Body> {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::GET;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(LAST_EVENT_ID, last_event);
        request
    }
}

/// The messages of one answer, whatever streams they come on.
#[derive(Debug)]
pub(crate) struct Resumable {
    messages: Messages,
    message_bytes_max: usize,
    resume: Option<Resume>,
    /// The id of the last event that had one.
    last_event: Option<HeaderValue>,
    pause_ms: u64,
    fruitless: u32,
    resumptions: u32,
}

/// How one try to go on ended.
enum Try {
    Resumed,
    /// Not this time.
    Failed(UpstreamError),
    /// Never.
    Refused,
}

impl Resumable {
    pub(crate) fn new(messages: Messages, message_bytes_max: usize, resume: Option<Resume>) -> Self {
        Self {
            messages,
            message_bytes_max,
            resume,
            last_event: None,
            pause_ms: PAUSE_MS,
            fruitless: 0,
            resumptions: 0,
        }
    }

    /// The next unit; `None` at an end from which there is no going on. Whoever drops the future must not ask again.
    pub(crate) async fn next(&mut self, room: Option<&Arc<Room>>) -> Result<Option<Piece>, UpstreamError> {
        loop {
            let ended = match self.messages.next_within(room).await {
                Ok(Some(piece)) => {
                    self.note(&piece);
                    return Ok(Some(piece));
                }
                Ok(None) => Ok(None),
                // What is wrong in itself does not become right by coming back.
                Err(error @ UpstreamError::Broken(_)) => Err(error),
                Err(error) => return Err(error),
            };
            if !self.go_on().await? {
                return ended;
            }
        }
    }

    /// Notes where this stream could be gone on with.
    fn note(&mut self, piece: &Piece) {
        let Unit::Event(event) = piece.unit() else { return };
        self.pause_ms = event.retry_ms().unwrap_or(self.pause_ms);
        if let Some(id) = event.id() {
            // An empty id says that there is nothing to come back to (WHATWG HTML, section 9.2.6).
            self.last_event = HeaderValue::from_bytes(id).ok().filter(|id| !id.is_empty());
            self.fruitless = 0;
        }
    }

    /// Comes back for the rest. Returns whether there is one.
    async fn go_on(&mut self) -> Result<bool, UpstreamError> {
        let mut failure = None;
        while self.fruitless < FRUITLESS_MAX && self.resumptions < RESUMPTIONS_MAX {
            let (Some(resume), Some(last_event)) = (&self.resume, &self.last_event) else { return Ok(false) };
            let request = resume.request(last_event.clone());
            self.fruitless = self.fruitless.saturating_add(1);
            self.resumptions = self.resumptions.saturating_add(1);
            tokio::time::sleep(Duration::from_millis(self.pause_ms.max(PAUSE_MS_MIN))).await;
            match self.come_back(request).await {
                Try::Resumed => return Ok(true),
                Try::Refused => return Ok(false),
                Try::Failed(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(false), Err)
    }

    async fn come_back(&mut self, request: Request<Body>) -> Try {
        let Some(resume) = &self.resume else { return Try::Refused };
        let response = match resume.upstream.exchange(request).await {
            Ok(response) => response,
            Err(error) => return Try::Failed(error),
        };
        if !response.status().is_success() || Framing::of(response.headers()) != Some(Framing::Sse) {
            return Try::Refused;
        }
        let (_, body) = response.into_parts();
        self.messages.continue_with(body, self.message_bytes_max);
        Try::Resumed
    }

    /// Reads and forgets what is left, so that the connection can serve the next request.
    pub(crate) async fn drain(self) {
        self.messages.drain().await;
    }
}

#[cfg(test)]
mod tests;
