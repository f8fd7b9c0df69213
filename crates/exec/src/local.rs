//! What upstreams have in common that are made to look like streamable HTTP: telling the eras apart, and answers of our own.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tollgate_mcp::era::PROTOCOL_VERSION_KEY;
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, Kind, RequestId, json as raw_json};

use crate::{Body, UpstreamError};

/// Reads the one message of a POST; inside, the refusal of what is none.
///
/// # Errors
/// [`UpstreamError::Abandoned`], if the caller's own body broke off.
pub(crate) async fn read_frame(
    body: Body,
    bytes_max: usize,
) -> Result<Result<Frame, Response<Body>>, UpstreamError> {
    let body = match body.collect_within(bytes_max).await {
        Ok(body) => body,
        Err(UpstreamError::TooLarge(bytes_max)) => {
            let text = format!("the message is longer than {bytes_max} bytes");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(Err(refusal(status, None, code::INVALID_REQUEST, &text)));
        }
        Err(_) => return Err(UpstreamError::Abandoned),
    };
    Ok(Frame::parse(body)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, error.id(), error.code(), &error.to_string())))
}

pub(crate) fn is_modern(headers: &HeaderMap, frame: &Frame) -> bool {
    match frame.kind() {
        Kind::Response | Kind::ErrorResponse => false,
        Kind::Request | Kind::Notification => {
            let described = frame.meta(PROTOCOL_VERSION_KEY).is_some();
            frame.method() != Some("initialize") && (described || version_is_modern(headers))
        }
    }
}

pub(crate) fn version_is_modern(headers: &HeaderMap) -> bool {
    let version = headers.get("mcp-protocol-version").and_then(|version| version.to_str().ok());
    version.and_then(|version| Era::of_version(version.trim())) == Some(Era::Modern)
}

pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response =
        refusal(StatusCode::METHOD_NOT_ALLOWED, None, code::INVALID_REQUEST, "method not allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(crate) fn error_code(message: &[u8]) -> Option<i32> {
    let raw = raw_json::lookup(message, &["error", "code"]).ok().flatten()?;
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// The status that goes with a modern answer (`basic/transports/streamable-http`).
pub(crate) fn modern_status(message: &Bytes) -> StatusCode {
    match error_code(message) {
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(
            code::HEADER_MISMATCH | code::MISSING_CLIENT_CAPABILITY | code::UNSUPPORTED_PROTOCOL_VERSION,
        ) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// One JSON message.
pub(crate) fn json(status: StatusCode, message: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(message));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON-RPC error of our own.
pub(crate) fn refusal(
    status: StatusCode,
    id: Option<&RequestId>,
    code: i32,
    message: &str,
) -> Response<Body> {
    json(status, reply::error(id, code, message, None))
}

/// An answer without a body.
pub(crate) fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}
