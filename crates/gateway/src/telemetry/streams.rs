//! How many event streams are open to callers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, header};
use http_body::{Frame, SizeHint};
use tollgate_exec::{Body, BodyError};

use crate::gateway::Gateway;

/// One open stream: counted as long as this lives.
#[derive(Debug)]
pub struct StreamCount(Arc<Gateway>);

impl StreamCount {
    /// Counts one more.
    pub fn begin(gateway: &Arc<Gateway>) -> Self {
        gateway.telemetry.streams.increment();
        Self(Arc::clone(gateway))
    }

    /// Counts a response as long as its body lives, if it is an event stream.
    pub fn attach(gateway: &Arc<Gateway>, response: Response<Body>) -> Response<Body> {
        let kind = response.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            return response;
        }
        let count = Self::begin(gateway);
        response.map(|body| Body::boxed(Counted { body, _count: count }))
    }
}

impl Drop for StreamCount {
    fn drop(&mut self) {
        self.0.telemetry.streams.decrement();
    }
}

struct Counted {
    body: Body,
    _count: StreamCount,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
