//! How many event streams are open to callers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, header};
use http_body::{Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tollgate_exec::{Body, BodyError};

use super::Telemetry;
use crate::gateway::Gateway;

/// One open stream: counted as long as this lives.
#[derive(Debug)]
pub struct StreamCount(Arc<Telemetry>);

impl StreamCount {
    /// Counts one more.
    pub fn begin(gateway: &Arc<Gateway>) -> Self {
        gateway.foundation.telemetry.streams.increment();
        Self(Arc::clone(&gateway.foundation.telemetry))
    }

    /// Counts a response as long as its body lives, if it is an event stream. It ends when the gateway drains: nobody waits
    /// for an answer on a stream that is only listened on.
    pub fn attach(gateway: &Arc<Gateway>, response: Response<Body>) -> Response<Body> {
        let kind = response.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            return response;
        }
        let count = Self::begin(gateway);
        response.map(|body| {
            let draining = Box::pin(gateway.foundation.readiness.draining().cancelled_owned());
            Body::boxed(Counted { body, draining, _count: count })
        })
    }
}

impl Drop for StreamCount {
    fn drop(&mut self) {
        self.0.streams.decrement();
    }
}

struct Counted {
    body: Body,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    _count: StreamCount,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => self.draining.as_mut().poll(cx).map(|()| None),
            ready @ Poll::Ready(_) => ready,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
