//! What one HTTP request gets from a session: one JSON message, or a stream of events that ends with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::Frame;
use tokio::sync::mpsc;
use tollgate_mcp::sse;

use super::LineEnded;
use crate::local::json;
use crate::{Body, BodyError, UpstreamError};

/// What reaches the waiting side of a request.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message before the answer, or on a stream without one.
    Message(Bytes),
    /// The answer, the last thing that comes.
    Answer(Bytes),
    /// There will be no answer, and that is in order.
    End,
    /// There will be no usable answer, and that is not.
    Failed(UpstreamError),
}

/// What to do when the waiting side goes away before the answer.
pub(crate) trait Guard: Send + Unpin + 'static {
    /// The answer has come: nothing is to be done.
    fn disarm(&mut self);
}

/// Nothing: in the legacy era a disconnect is no cancellation.
impl Guard for () {
    fn disarm(&mut self) {}
}

/// Why a request is not taken on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Busy {
    /// Its id is in use by a request that has no answer yet, or the session already has a GET stream.
    Taken,
    /// As many requests as allowed are under way.
    Full,
    /// The process is gone.
    Over,
}

/// Waits for the first thing that comes and answers accordingly.
pub(crate) async fn answer<G: Guard>(
    mut events: mpsc::Receiver<Event>,
    mut guard: G,
    status: fn(&Bytes) -> StatusCode,
) -> Result<Response<Body>, UpstreamError> {
    match events.recv().await {
        Some(Event::Answer(message)) => {
            guard.disarm();
            Ok(json(status(&message), message))
        }
        Some(Event::Message(message)) => Ok(stream(Some(message), events, guard)),
        Some(Event::End) => {
            guard.disarm();
            events.close();
            Ok(stream(None, events, guard))
        }
        Some(Event::Failed(error)) => {
            guard.disarm();
            Err(error)
        }
        None => Err(UpstreamError::Broken(Box::new(LineEnded))),
    }
}

/// A stream of events: `first`, then what comes.
pub(crate) fn stream<G: Guard>(
    first: Option<Bytes>,
    events: mpsc::Receiver<Event>,
    guard: G,
) -> Response<Body> {
    let over = first.is_none() && events.is_closed();
    let mut response = Response::new(Body::boxed(EventBody { first, events, guard, over }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct EventBody<G> {
    first: Option<Bytes>,
    events: mpsc::Receiver<Event>,
    guard: G,
    over: bool,
}

impl<G: Guard> http_body::Body for EventBody<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(sse::encode(&first, None)))));
        }
        if this.over {
            return Poll::Ready(None);
        }
        let event = ready!(this.events.poll_recv(cx));
        if let Some(Event::Message(message)) = event {
            return Poll::Ready(Some(Ok(Frame::data(sse::encode(&message, None)))));
        }
        this.over = true;
        Poll::Ready(match event {
            Some(Event::Answer(message)) => {
                this.guard.disarm();
                Some(Ok(Frame::data(sse::encode(&message, None))))
            }
            Some(Event::End | Event::Message(_)) => {
                this.guard.disarm();
                None
            }
            Some(Event::Failed(error)) => {
                this.guard.disarm();
                Some(Err(error.into()))
            }
            None => Some(Err(UpstreamError::Broken(Box::new(LineEnded)).into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over && self.first.is_none()
    }
}
