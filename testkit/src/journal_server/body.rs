//! Response bodies: whole ones, and streams that live as long as their client.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::StreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};

/// Any body; an error breaks the connection off.
pub(super) type Body = UnsyncBoxBody<Bytes, Broken>;

/// A body that a script breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the script broke the answer off")]
pub(super) struct Broken;

/// A whole body.
pub(super) fn whole(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(content_type) = HeaderValue::try_from(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

/// A JSON-RPC message as a whole body.
pub(super) fn json(status: StatusCode, message: impl Into<Bytes>) -> Response<Body> {
    whole(status, "application/json", message)
}

/// No body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = json(status, Bytes::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// A stream of server-sent events; `Err` breaks the connection off.
pub(super) fn events(events: impl Stream<Item = Result<String, Broken>> + Send + 'static) -> Response<Body> {
    let mut response = streamed("text/event-stream", events.map(|event| event.map(Bytes::from)));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Parts as they come; `Err` breaks the connection off.
pub(super) fn streamed(
    content_type: &'static str,
    parts: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static,
) -> Response<Body> {
    let mut response = Response::new(StreamBody::new(parts.map(|part| part.map(Frame::data))).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
