//! The MCP doors, `/servers/{server}/mcp` and `/mcp`: a transparent proxy that stops at `tools/call`.
//!
//! On a server without any policy nothing is parsed. On any other, messages are parsed strictly, `tools/call` walks the
//! street, `tools/list` gets prices in `_meta`, and everything else passes with its bytes unchanged.

pub(crate) mod builtin;
mod call;
pub(crate) mod federated;
mod list;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tollgate_exec::intercept::{Limits, without_answers, without_tool_lists};
use tollgate_exec::{Body, BodyError, UpstreamError};
use tollgate_gate::{Denial, Door, denied, faulted};
use tollgate_mcp::{Era, Frame, Kind, RequestId, headers};

use crate::carrier::{Carrier, fault_of};
use crate::doors::json_rpc::frame_denial;
use crate::doors::respond;
use crate::gateway::Gateway;
use crate::telemetry::StreamCount;

/// One exchange at an MCP door.
pub(crate) async fn exchange(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Response<Body> {
    if let Some(length) = announced(request.headers())
        && length > gateway.config.limits.body_bytes_max
    {
        let denial = Denial::BodyTooLarge { bytes_max: gateway.config.limits.body_bytes_max };
        return refused(&gateway, &carrier, &denial, era_of(request.headers()), None);
    }
    if !carrier.has_policy {
        let bytes_max = gateway.config.limits.body_bytes_max;
        let passed = carrier.pass(request.map(|body| bounded(body, bytes_max))).await;
        return passed.unwrap_or_else(|error| unreached(&gateway, &error, None));
    }
    // A connection keeps room for the future of its next request: boxed, an idle one does without ten kilobytes.
    Box::pin(read(gateway, carrier, request, peer)).await
}

/// An exchange with a server that has a policy: messages are read.
async fn read(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Response<Body> {
    match *request.method() {
        Method::POST => {}
        Method::GET | Method::DELETE | Method::HEAD | Method::OPTIONS => {
            return without_a_body(&gateway, &carrier, request).await;
        }
        // A careless server may read a call in it.
        _ => return super::bare(http::StatusCode::METHOD_NOT_ALLOWED),
    }
    let (head, body) = request.into_parts();
    let era = era_of(&head.headers);
    let body = match within(body, gateway.config.limits.body_bytes_max).await {
        Ok(body) => body,
        Err(Some(denial)) => return refused(&gateway, &carrier, &denial, era, None),
        // The caller broke off its own request; nobody reads the answer.
        Err(None) => return super::bare(http::StatusCode::BAD_REQUEST),
    };
    let frame = match Frame::parse(body) {
        Ok(frame) => frame,
        Err(error) => return refused(&gateway, &carrier, &frame_denial(&error), era, error.id()),
    };
    match headers::check(&head.headers, &frame) {
        Err(mismatch) => {
            let denial = Denial::HeaderMismatch { json_rpc: mismatch.code(), reason: mismatch.to_string() };
            refused(&gateway, &carrier, &denial, era, frame.id())
        }
        Ok(era) => dispatch(gateway, carrier, head, frame, era, peer).await,
    }
}

/// A stream to listen on, the end of a session: none of these has a body, and one that came all the same stays here.
async fn without_a_body(
    gateway: &Arc<Gateway>,
    carrier: &Carrier,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    let listens = head.method == Method::GET;
    let response = match carrier.pass(forwarded(head, Bytes::new())).await {
        // An answer that was withheld because nobody paid for it must not come by resuming its stream.
        Ok(response) if listens && carrier.has_price => without_answers(response, Limits::default()),
        Ok(response) if listens && carrier.has_pins => without_tool_lists(response, Limits::default()),
        Ok(response) => response,
        Err(error) => return unreached(gateway, &error, None),
    };
    if listens { StreamCount::attach(gateway, response) } else { response }
}

async fn dispatch(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    head: Parts,
    frame: Frame,
    era: Era,
    peer: SocketAddr,
) -> Response<Body> {
    match (frame.kind(), frame.method(), frame.id().cloned()) {
        (Kind::Request, Some("tools/call"), Some(id)) => {
            let way = call::Way { carrier, federated: None };
            call::call(gateway, way, head, frame, id, era, peer).await
        }
        (Kind::Request, Some("tools/list"), Some(id)) => list::list(gateway, carrier, head, &frame, id).await,
        (_, _, id) => {
            let passed = carrier.pass(forwarded(head, frame.bytes().clone())).await;
            passed.unwrap_or_else(|error| unreached(&gateway, &error, id.as_ref()))
        }
    }
}

/// The request to be sent on, with this body. It goes without `Accept-Encoding`: what comes back is read.
fn forwarded(head: Parts, body: Bytes) -> Request<Body> {
    let mut request = Request::from_parts(head, Body::Full(body));
    request.headers_mut().remove(http::header::ACCEPT_ENCODING);
    request
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that is passed on unread. One whose length was not announced is cut off past the limit.
fn bounded(body: Incoming, bytes_max: usize) -> Body {
    if http_body::Body::size_hint(&body).exact().is_some() {
        return Body::Incoming(body);
    }
    Body::boxed(Limited::new(body, bytes_max).map_err(BodyError::Other))
}

/// The era that the headers alone tell, for messages that cannot be read.
fn era_of(headers: &HeaderMap) -> Era {
    let version = headers.get(headers::PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
    version.and_then(Era::of_version).unwrap_or(Era::Legacy)
}

async fn within(body: Incoming, bytes_max: usize) -> Result<Bytes, Option<Denial>> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Some(Denial::BodyTooLarge { bytes_max })),
        Err(_) => Err(None),
    }
}

fn refused(
    gateway: &Gateway,
    carrier: &Carrier,
    denial: &Denial,
    era: Era,
    id: Option<&RequestId>,
) -> Response<Body> {
    let door = Door::Mcp { era, id, payment_as_http: carrier.payment_as_http };
    respond(denied(denial, None, door, gateway.naming("")))
}

fn unreached(gateway: &Gateway, error: &UpstreamError, id: Option<&RequestId>) -> Response<Body> {
    let source: &dyn std::error::Error = error;
    tracing::warn!(error = source, "upstream gave no answer");
    respond(faulted(&fault_of(error), None, Door::JsonRpc { id }, gateway.naming("")))
}
