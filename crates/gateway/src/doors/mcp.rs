//! The MCP doors, `/servers/{server}/mcp` and `/mcp`: a transparent proxy that stops at `tools/call`.
//!
//! On a server without any policy nothing is parsed. On any other, messages are parsed strictly, `tools/call` walks the
//! street, `tools/list` gets prices in `_meta`, and everything else passes with its bytes unchanged.

mod announced;
mod arrival;
mod batch;
pub(crate) mod builtin;
mod call;
pub(crate) mod federated;
mod handed;
mod list;
mod place;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use tollgate_domain::ToolRef;
use tollgate_exec::in_place::boxed;
use tollgate_exec::intercept::{Limits, without_answers, without_tool_lists};
use tollgate_exec::{Body, UpstreamError};
use tollgate_gate::{Denial, Door, denied, faulted};
use tollgate_mcp::batch::is_batch;
use tollgate_mcp::frame::TOOLS_CALL;
use tollgate_mcp::{Era, Frame, Kind, RequestId, headers};
use tollgate_registry::ResultPolicy;
use tollgate_risk::Entrance;

use self::announced::{Listening, news_only};
use self::arrival::Spoiled;
use self::batch::Batch;
use self::handed::{Handed, may_have_state, principal};
use crate::carrier::{Carrier, fault_of};
use crate::doors::body::{broken, within};
use crate::doors::json_rpc::frame_denial;
use crate::doors::rates::admit;
use crate::doors::{Peer, respond};

use crate::gateway::Gateway;
use crate::reserved::{Answers, without_demands};
use crate::telemetry::{Passing, StreamCount};

/// A message and the head that it came with. In a box from then on: it is handed from step to step.
struct Posted {
    head: Parts,
    frame: Frame,
}

/// The request of 2026-07-28 whose answer is a stream of announcements.
const LISTEN: &str = "subscriptions/listen";

/// One exchange at an MCP door.
pub(crate) async fn exchange(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    tollgate_till::failpoint::reached("mcp_door");
    if let Err(denial) = admit(&gateway, Entrance::Own(&carrier.name), peer) {
        return refused(&gateway, &carrier, &denial, era_of(request.headers()), None);
    }
    if let Some(length) = announced(request.headers())
        && length > gateway.config.limits.body_bytes_max
    {
        let denial = Denial::BodyTooLarge { bytes_max: gateway.config.limits.body_bytes_max };
        return refused(&gateway, &carrier, &denial, era_of(request.headers()), None);
    }
    let mut request = request;
    if carrier.keeps_sessions {
        let (mut head, body) = request.into_parts();
        if place::may_open(&head) {
            place::name(&gateway, &mut head, peer);
        }
        request = Request::from_parts(head, body);
    }
    if !carrier.has_policy && carrier.takes_single_messages && may_be_batch(&request) {
        return boxed(|| one_by_one(gateway, carrier, request, peer)).await;
    }
    if !carrier.has_policy {
        return unparsed(&gateway, &carrier, request).await;
    }
    // A connection keeps room for the future of its next request: boxed, an idle one does without ten kilobytes.
    boxed(|| read(gateway, carrier, request, peer)).await
}

/// An exchange with a server that has a policy: messages are read.
async fn read(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    request: Request<Incoming>,
    peer: Peer,
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
    let body = match within(body, &gateway).await {
        Ok(body) => body,
        Err(denial) => return refused(&gateway, &carrier, &denial, era, None),
    };
    let _member = gateway.foundation.cohort.join();
    gateway.foundation.cohort.step().await;
    if is_batch(&body) {
        return boxed(|| batched(gateway, carrier, head, body, peer)).await;
    }
    match Frame::parse(body) {
        Ok(frame) => message(gateway, carrier, head, frame, peer).await,
        Err(error) => refused(&gateway, &carrier, &frame_denial(&error), era, error.id()),
    }
}

/// One message, whether it came alone or in a batch.
async fn message(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    mut head: Parts,
    frame: Frame,
    peer: Peer,
) -> Response<Body> {
    let era = match headers::check(&head.headers, &frame) {
        Ok(era) => era,
        Err(mismatch) => {
            let denial = Denial::HeaderMismatch { json_rpc: mismatch.code(), reason: mismatch.to_string() };
            return refused(&gateway, &carrier, &denial, era_of(&head.headers), frame.id());
        }
    };
    let is_call = frame.kind() == Kind::Request && frame.method() == Some(TOOLS_CALL);
    // By a call no session begins, so one without a session has nothing to do with any.
    if is_call && !head.headers.contains_key(headers::SESSION_ID) {
        let posted = Box::new(Posted { head, frame });
        let mut response = dispatch(gateway, carrier, posted, era, peer, None).await;
        response.headers_mut().remove(headers::SESSION_ID);
        return response;
    }
    let mut handed = match principal(&head.headers) {
        Ok(principal) => Handed::to(&gateway, &carrier, principal),
        Err(denial) => return refused(&gateway, &carrier, &denial, era, frame.id()),
    };
    if let Err(gone) = handed.take_session(&mut head.headers, era) {
        return gone;
    }
    let posted = Box::new(Posted { head, frame });
    let mut response = dispatch(gateway, carrier, posted, era, peer, Some(&handed)).await;
    handed.give_session(response.headers_mut());
    response
}

/// Several messages at once.
async fn batched(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    head: Parts,
    body: Bytes,
    peer: Peer,
) -> Response<Body> {
    let era = era_of(&head.headers);
    if !batch::may_come(&head.headers) {
        return refused(&gateway, &carrier, &batch::of_another_revision(), era, None);
    }
    let batch = Batch::of(&body, |frame| {
        let tool = frame.tool_call().and_then(|call| call.name.parse().ok());
        tool.is_some_and(|tool| gateway.tools.has_price(&ToolRef { server: carrier.name.clone(), tool }))
    });
    match batch {
        Err(denial) => refused(&gateway, &carrier, &denial, era, None),
        Ok(batch) => {
            let head = batch::head_of_each(head);
            let one = |frame| message(Arc::clone(&gateway), Arc::clone(&carrier), head.clone(), frame, peer);
            batch.answered((&gateway, Entrance::Own(&carrier.name), peer), one).await
        }
    }
}

/// An exchange with a server without any policy: nothing is read, and what arrives has a limit of length and time.
async fn unparsed(gateway: &Arc<Gateway>, carrier: &Carrier, request: Request<Incoming>) -> Response<Body> {
    let limits = &gateway.config.limits;
    let era = era_of(request.headers());
    let listens = listens(request.method(), request.headers());
    let (request, arrival) = arrival::timed(request, limits);
    let _member = gateway.foundation.cohort.join();
    gateway.foundation.cohort.step().await;
    match arrival.unless_spoiled(stepped(gateway, carrier, request)).await {
        Err(what) => {
            let denial = match what {
                Spoiled::Late => Denial::RequestTimedOut { body_ms_max: limits.body_ms_max },
                Spoiled::TooLong => Denial::BodyTooLarge { bytes_max: limits.body_bytes_max },
                Spoiled::Broken => broken(),
            };
            refused(gateway, carrier, &denial, era, None)
        }
        Ok(Ok(response)) if listens => StreamCount::attach(gateway, response),
        Ok(Ok(response)) => response,
        Ok(Err(error)) => unreached(gateway, &error, None),
    }
}

/// An exchange with a server without any policy that speaks no streamable HTTP itself: what stands for it there takes one message a
/// request, so a batch is taken apart before.
async fn one_by_one(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let era = era_of(&head.headers);
    let body = match within(body, &gateway).await {
        Ok(body) => body,
        Err(denial) => return refused(&gateway, &carrier, &denial, era, None),
    };
    let _member = gateway.foundation.cohort.join();
    gateway.foundation.cohort.step().await;
    let pass = |head: Parts, body: Bytes, id: Option<RequestId>| {
        let (gateway, carrier) = (Arc::clone(&gateway), Arc::clone(&carrier));
        async move {
            let request = Request::from_parts(head, Body::Full(body));
            let passed = stepped(&gateway, &carrier, request).await;
            passed.unwrap_or_else(|error| unreached(&gateway, &error, id.as_ref()))
        }
    };
    if !is_batch(&body) {
        return pass(head, body, None).await;
    }
    match Batch::of(&body, |_| false) {
        Err(denial) => refused(&gateway, &carrier, &denial, era, None),
        Ok(batch) => {
            let head = batch::head_of_each(head);
            let one = |frame: Frame| pass(head.clone(), frame.bytes().clone(), frame.id().cloned());
            batch.answered((&gateway, Entrance::Own(&carrier.name), peer), one).await
        }
    }
}

fn may_be_batch(request: &Request<Incoming>) -> bool {
    *request.method() == Method::POST && batch::may_come(request.headers())
}

/// Whether the answer is a stream that a client listens on until one of them has enough: it ends when the gateway does.
fn listens(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        || headers.get(headers::METHOD).is_some_and(|method| method.as_bytes() == LISTEN.as_bytes())
}

/// A stream to listen on, the end of a session: none of these has a body, and one that came all the same stays here.
async fn without_a_body(
    gateway: &Arc<Gateway>,
    carrier: &Arc<Carrier>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (mut head, _) = request.into_parts();
    let listens = head.method == Method::GET;
    let era = era_of(&head.headers);
    let mut handed = match principal(&head.headers) {
        Ok(principal) => Handed::to(gateway, carrier, principal),
        Err(denial) => return refused(gateway, carrier, &denial, era, None),
    };
    if let Err(gone) = handed.take_session(&mut head.headers, Era::Legacy) {
        return gone;
    }
    let mut response = match carrier.pass(forwarded(head, Bytes::new())).await {
        // An answer that was withheld because nobody paid for it must not come by resuming its stream.
        Ok(response) if listens && carrier.has_price => without_answers(response, listening(gateway)),
        Ok(response) if listens => {
            let response =
                if carrier.has_pins { without_tool_lists(response, listening(gateway)) } else { response };
            own_words(gateway, carrier, response, None)
        }
        Ok(response) => response,
        Err(error) => return unreached(gateway, &error, None),
    };
    handed.give_session(response.headers_mut());
    if !listens {
        return response;
    }
    let response = handed.give_tasks(response, listening(gateway));
    StreamCount::attach(gateway, news_of(gateway, carrier, response, None))
}

async fn dispatch(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    posted: Box<Posted>,
    era: Era,
    peer: Peer,
    handed: Option<&Handed>,
) -> Response<Body> {
    let frame = &posted.frame;
    if let (Kind::Request, Some(TOOLS_CALL), Some(id)) = (frame.kind(), frame.method(), frame.id().cloned()) {
        let way = call::Way { carrier, federated: None };
        return call::call(gateway, way, posted, id, era, peer).await;
    }
    let Posted { mut head, frame } = *posted;
    let passing = Passing::begin(&gateway, &frame, &mut head.headers, Some(&carrier));
    let taken = handed.map(|handed| {
        let own = handed.take_tasks(&mut head.headers, &frame)?;
        if !may_have_state(&frame) {
            return Ok(own);
        }
        Ok(handed.take_state(own.as_ref().unwrap_or(&frame))?.or(own))
    });
    let response = match taken.transpose() {
        Ok(own) => {
            let frame = own.flatten().unwrap_or(frame);
            passed(gateway, carrier, head, &frame, handed).await
        }
        Err(denial) => refused(&gateway, &carrier, &denial, era, frame.id()),
    };
    passing.answered(response.status());
    response
}

/// Every message but a call.
async fn passed(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    head: Parts,
    frame: &Frame,
    handed: Option<&Handed>,
) -> Response<Body> {
    let give_tasks = |response| match handed {
        Some(handed) => handed.clone().give_tasks(response, listening(&gateway)),
        None => response,
    };
    let told = carrier.told(&head.headers, frame);
    let told = told.as_ref().unwrap_or(frame);
    gateway.foundation.cohort.step().await;
    match (frame.kind(), frame.method(), frame.id().cloned()) {
        (Kind::Request, Some("tools/list"), Some(id)) => list::list(gateway, carrier, head, frame, id).await,
        (_, method, id) => match stepped(&gateway, &carrier, forwarded(head, told.bytes().clone())).await {
            Ok(response) if method == Some(LISTEN) => {
                // Tasks are announced with what they came to.
                let response = give_tasks(own_words(&gateway, &carrier, response, id.as_ref()));
                StreamCount::attach(&gateway, news_of(&gateway, &carrier, response, id.as_ref()))
            }
            // The result of a tool comes this way too, once it is a task's.
            Ok(response) if method.is_some_and(|method| method.starts_with("tasks/")) => {
                give_tasks(own_words(&gateway, &carrier, response, id.as_ref()))
            }
            // What a tool says does not come this way.
            Ok(response) if frame.kind() == Kind::Request => {
                let answers = answers(&carrier, id.as_ref());
                let (base_url, limits) = (gateway.naming("").base_url, listening(&gateway));
                let response = without_demands(response, limits, base_url, ResultPolicy::Off, answers);
                match handed.filter(|_| may_have_state(frame)) {
                    Some(handed) => handed.clone().give_state(frame.clone(), response, limits),
                    None => response,
                }
            }
            Ok(response) => response,
            Err(error) => unreached(&gateway, &error, id.as_ref()),
        },
    }
}

/// Passes a request on; what is done with its answer is a step of its own.
async fn stepped(
    gateway: &Gateway,
    carrier: &Carrier,
    request: Request<Body>,
) -> Result<Response<Body>, UpstreamError> {
    let passed = carrier.pass(request).await;
    gateway.foundation.cohort.step().await;
    passed
}

/// What a server says apart from answers to calls, without what it cannot say to a client.
fn own_words(
    gateway: &Gateway,
    carrier: &Carrier,
    response: Response<Body>,
    id: Option<&RequestId>,
) -> Response<Body> {
    let (base_url, scan) = (gateway.naming("").base_url, carrier.scans_later());
    without_demands(response, listening(gateway), base_url, scan, answers(carrier, id))
}

/// The answers that may come in the response to this request; `None`: on the stream of a session.
fn answers(carrier: &Carrier, id: Option<&RequestId>) -> Answers {
    id.map_or(Answers::Any, |id| Answers::To { id: id.clone(), is_strict: carrier.has_pins })
}

/// A stream on which a server announces, with what is news to whoever may be shown its approved tools.
fn news_of(
    gateway: &Gateway,
    carrier: &Carrier,
    response: Response<Body>,
    subscription: Option<&RequestId>,
) -> Response<Body> {
    let (tools, server, limits) = (&gateway.tools, &carrier.name, listening(gateway));
    news_only(response, Listening { tools, server, subscription, tools_only: false, limits }, |_| true)
}

/// Such a stream may be open for days: there is no bound on all of it.
fn listening(gateway: &Gateway) -> Limits<'_> {
    let message_bytes_max = gateway.config.limits.answer_bytes_max;
    let room = Some(&gateway.foundation.answers);
    Limits { message_bytes_max, stream_bytes_max: usize::MAX, room, ..Limits::default() }
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

/// The era that the headers alone tell, for messages that cannot be read.
fn era_of(headers: &HeaderMap) -> Era {
    let version = headers.get(headers::PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
    version.and_then(Era::of_version).unwrap_or(Era::Legacy)
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
