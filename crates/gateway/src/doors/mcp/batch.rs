//! JSON-RPC batches, which the revision 2025-03-26 has and no other (`2025-03-26/basic`, "Batching"): taken apart at the door into messages
//! that each go the way of one that came alone, and their answers put together.
//!
//! Nobody behind a door knows of batches: each message is vetted, priced and limited for itself, and a server gets it for itself. What is
//! decided here of a batch as a whole is decided before any of it is looked at by anybody else. At most one call in it has a price: what
//! pays in the head of the request, and what the head of the reply says of the payment, belongs to that one.

use std::iter::repeat;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::StreamBody;
use tollgate_exec::intercept::Limits;
use tollgate_exec::{Body, BodyError, Item, MessageStream, UpstreamError};
use tollgate_gate::{Answer, Denial, Door, denied, faulted};
use tollgate_mcp::batch::{self, BatchError};
use tollgate_mcp::era::LEGACY_DEFAULT;
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, FrameError, Kind, RequestId, headers, raw, sse};
use tollgate_risk::Entrance;
use tollgate_risk::room::Share;

use super::frame_denial;
use crate::carrier::fault_of;
use crate::doors::rates::admit;
use crate::doors::{Peer, bare, respond};
use crate::gateway::Gateway;

/// Each message is a request of its own to some server.
const MESSAGES_MAX: usize = 50;

/// An event that says nothing.
const SIGN_OF_LIFE: Bytes = Bytes::from_static(b":\n\n");

/// What the head of a message says that came in a batch.
#[derive(Clone, Copy, Debug)]
struct InBatch;

/// Whether a message came in a batch: its answer is a message, whatever else a client might be told over HTTP.
pub(super) fn is_of_batch(head: &Parts) -> bool {
    head.extensions.get::<InBatch>().is_some()
}

/// The head of each message of a batch that came with this one.
pub(super) fn head_of_each(mut head: Parts) -> Parts {
    head.headers.remove(CONTENT_LENGTH);
    head.extensions.insert(InBatch);
    head
}

/// Whether a request may carry a batch, as far as its head tells: clients of the revision that has them name no version. One that is
/// known from elsewhere decides as well.
pub(super) fn may_come(headers: &HeaderMap) -> bool {
    headers::version_is_spoken(headers, &[LEGACY_DEFAULT])
}

/// The refusal of a batch that may not come.
pub(super) fn of_another_revision() -> Denial {
    let reason = format!("only the revision {LEGACY_DEFAULT} has JSON-RPC batches");
    Denial::BatchRefused { reason }
}

/// The messages of a batch about which as a whole nothing is left to decide.
pub(super) struct Batch {
    messages: Vec<Result<Frame, FrameError>>,
    /// The place of the one call that has a price.
    priced: Option<usize>,
}

impl Batch {
    /// Takes a body apart.
    ///
    /// # Errors
    /// The refusal of the whole: it is no batch, too long, says one thing twice, opens a session, or has two calls with a price.
    pub(super) fn of(body: &Bytes, is_priced: impl Fn(&Frame) -> bool) -> Result<Self, Denial> {
        let refused = |reason: String| Denial::BatchRefused { reason };
        let messages = batch::parse(body, MESSAGES_MAX).map_err(|error| match error {
            BatchError::Json(_) => {
                Denial::MalformedFrame { json_rpc: code::PARSE_ERROR, reason: error.to_string() }
            }
            BatchError::NotABatch
            | BatchError::Empty
            | BatchError::TooMany { .. }
            | BatchError::Nested
            | BatchError::IdTwice => refused(error.to_string()),
        })?;
        let mut priced = None;
        for (place, message) in messages.iter().enumerate() {
            let Ok(frame) = message else { continue };
            if frame.method() == Some("initialize") {
                return Err(refused("initialize comes alone, before any batch".to_owned()));
            }
            if is_priced(frame) && priced.replace(place).is_some() {
                return Err(refused("more than one call of the batch has a price".to_owned()));
            }
        }
        Ok(Self { messages, priced })
    }

    /// The answers to all messages, each as `one` answers it. What wants no answer goes first, one after the other; requests go at once.
    pub(super) async fn answered<F>(
        self,
        (gateway, entrance, peer): (&Arc<Gateway>, Entrance<'_>, Peer),
        one: impl Fn(Frame) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let Self { messages, priced } = self;
        let (mut requests, mut said, mut notices) = (Vec::new(), Vec::new(), Vec::new());
        for (place, message) in messages.into_iter().enumerate() {
            // The request that carries the batch was counted as its first message.
            let admitted = if place == 0 { Ok(()) } else { admit(gateway, entrance, peer) };
            match (message, admitted) {
                (Err(error), _) => said.push((place, refused(gateway, &frame_denial(&error), error.id()))),
                (Ok(frame), Err(denial)) if frame.kind() == Kind::Request => {
                    said.push((place, refused(gateway, &denial, frame.id())));
                }
                (Ok(frame), Err(denial)) => notices.push(Err(respond(no(gateway, &denial, frame.id())))),
                (Ok(frame), Ok(())) => match frame.id().cloned() {
                    Some(id) if frame.kind() == Kind::Request => requests.push((place, id, frame)),
                    _ => notices.push(Ok(frame)),
                },
            }
        }
        let mut accepted = bare(StatusCode::ACCEPTED);
        for notice in notices {
            let response = match notice {
                Ok(frame) => one(frame).await,
                Err(refused) => refused,
            };
            if accepted.status().is_success() && !response.status().is_success() {
                accepted = response;
            }
        }
        let mut pending: FuturesUnordered<_> = requests
            .into_iter()
            .map(|(place, id, frame)| {
                let (answering, gateway) = (one(frame), Arc::clone(gateway));
                async move { (place, Said::read(gateway, id, answering.await).await) }.boxed()
            })
            .collect();
        while let Some(next) = pending.next().await {
            said.push(next);
            let has_stream = said.iter().any(|(_, said)| matches!(said.what, What::Stream(_)));
            let has_priced = priced.is_none_or(|priced| said.iter().any(|(place, _)| *place == priced));
            // What flows does not wait for what is made, but for the head of the reply, which tells of the payment.
            if has_stream && has_priced {
                break;
            }
        }
        said.sort_by_key(|(place, _)| *place);
        if said.is_empty() {
            return accepted;
        }
        let is_refused = |(_, said): &(usize, Said)| matches!(said.what, What::Refused(..));
        if pending.is_empty() && said.iter().all(is_refused) {
            // Such as 404 for a session that has ended: clients act on the status.
            if let (_, Said { what: What::Refused(response, _), .. }) = said.swap_remove(0) {
                return *response;
            }
        }
        let told = said.iter().find(|(place, _)| Some(*place) == priced).or(said.first());
        let headers = told.map(|(_, said)| said.headers.clone()).unwrap_or_default();
        let said: Vec<Said> = said.into_iter().map(|(_, said)| said).collect();
        let has_stream = said.iter().any(|said| matches!(said.what, What::Stream(_)));
        if has_stream {
            let coming = stream::iter(said).chain(pending.map(|(_, said)| said));
            replied(headers, "text/event-stream", coming.map(Said::events).flatten_unordered(None))
        } else {
            let before = [Bytes::from_static(b"[")].into_iter().chain(repeat(Bytes::from_static(b",")));
            let messages = before.zip(said.into_iter().filter_map(Said::message));
            let pieces = messages.flat_map(|(before, message)| [before, message]);
            let pieces: Vec<Bytes> = pieces.chain([Bytes::from_static(b"]")]).collect();
            replied(headers, "application/json", stream::iter(pieces))
        }
    }
}

/// The reply, with the head of one of its answers.
fn replied(
    mut headers: HeaderMap,
    content_type: &'static str,
    pieces: impl stream::Stream<Item = Bytes> + Send + 'static,
) -> Response<Body> {
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let frames = pieces.map(|piece| Ok::<_, BodyError>(http_body::Frame::data(piece)));
    let mut response = Response::new(Body::boxed(StreamBody::new(frames)));
    *response.headers_mut() = headers;
    response
}

/// What was said to one request.
struct Said {
    gateway: Arc<Gateway>,
    id: Option<RequestId>,
    headers: HeaderMap,
    what: What,
}

enum What {
    /// Its answer.
    Message(Bytes),
    /// Messages, and the answer among them.
    Stream(MessageStream),
    /// An HTTP answer that answers no request, and what it comes to as an answer.
    Refused(Box<Response<Body>>, Bytes),
}

impl Said {
    /// Reads what is no stream to its end.
    async fn read(gateway: Arc<Gateway>, id: RequestId, response: Response<Body>) -> Self {
        let (headers, read) = if response.status().is_success() {
            // Each message had its limit when it was read from its server; what was settled is not refused any more.
            let limits = Limits {
                message_bytes_max: usize::MAX,
                stream_bytes_max: usize::MAX,
                room: None,
                ..Limits::default()
            };
            match MessageStream::read(response, limits) {
                Err(response) => {
                    (response.headers().clone(), Err(UpstreamError::NotAnAnswer("it says nothing")))
                }
                Ok((head, messages)) if messages.is_events() => (head.headers, Ok(What::Stream(messages))),
                Ok((head, mut messages)) => (
                    head.headers,
                    messages.answer(&id).await.map(|answer| What::Message(under(&id, &answer))),
                ),
            }
        } else {
            let bytes_max = gateway.config.limits.answer_bytes_max;
            let (head, body) = response.into_parts();
            let headers = head.headers.clone();
            (headers, body.collect_within(bytes_max).await.map(|body| not_done(&id, head, body)))
        };
        let what = match read {
            Ok(What::Message(message)) => {
                let share = Share::promised(&gateway.foundation.answers, message.len());
                What::Message(share.keep(message))
            }
            Ok(what) => what,
            Err(error) => What::Message(broken(&gateway, &id, &error)),
        };
        Self { gateway, id: Some(id), headers, what }
    }

    /// The answer, where it is at hand.
    fn message(self) -> Option<Bytes> {
        match self.what {
            What::Message(message) | What::Refused(_, message) => Some(message),
            What::Stream(_) => None,
        }
    }

    /// All that is said, as events. Where a stream breaks off, the others go on: its request is told.
    fn events(self) -> BoxStream<'static, Bytes> {
        let Self { gateway, id, what, .. } = self;
        let (messages, id) = match (what, id) {
            (What::Stream(messages), Some(id)) => (messages, id),
            (What::Stream(_), None) => return stream::empty().boxed(),
            (What::Message(message) | What::Refused(_, message), _) => {
                return stream::once(std::future::ready(sse::encode(&message, None))).boxed();
            }
        };
        let state = Some((messages, false));
        stream::unfold(state, move |state| {
            let (gateway, id) = (Arc::clone(&gateway), id.clone());
            async move {
                let (mut messages, is_answered) = state?;
                let next = messages.next().await.transpose()?;
                match next.and_then(|item| event(item, &id)) {
                    Ok((event, answers)) => Some((event, Some((messages, is_answered || answers)))),
                    Err(_) if is_answered => None,
                    Err(error) => Some((sse::encode(&broken(&gateway, &id, &error), None), None)),
                }
            }
        })
        .boxed()
    }
}

/// An item of the stream of this request as an event, and whether it is the answer. Only whole events may stand between those of other
/// streams, and an answer to another request comes on that one's.
fn event(item: Item, id: &RequestId) -> Result<(Bytes, bool), UpstreamError> {
    let Some(message) = item.message() else { return Ok((item.leaves_as(SIGN_OF_LIFE), false)) };
    let frame = Frame::parse_upstream(message)
        .map_err(|_| UpstreamError::NotAnAnswer("one of its messages is no strict JSON-RPC"))?;
    let is_answer = matches!(frame.kind(), Kind::Response | Kind::ErrorResponse);
    if is_answer && frame.id().is_some_and(|answered| answered != id) {
        return Err(UpstreamError::NotAnAnswer("it answers another request"));
    }
    let message = if is_answer { under(id, &frame) } else { frame.bytes().clone() };
    let event = sse::encode(&message, item.event_id());
    Ok((item.leaves_as(event), is_answer))
}

/// An answer under the id of its request, where it names none.
fn under(id: &RequestId, answer: &Frame) -> Bytes {
    let named = answer.id().is_none().then(|| raw::set(answer.bytes(), &[("id", id.raw())]).ok()).flatten();
    named.unwrap_or_else(|| answer.bytes().clone())
}

/// What a response with an error status comes to: an answer, if it carries that of this request.
fn not_done(id: &RequestId, head: http::response::Parts, body: Bytes) -> What {
    let answer = Frame::parse_upstream(body.clone()).ok();
    let answer = answer.filter(|answer| matches!(answer.kind(), Kind::Response | Kind::ErrorResponse));
    match answer {
        Some(answer) if answer.id() == Some(id) => What::Message(body),
        Some(answer) if answer.id().is_none() => {
            What::Refused(Box::new(Response::from_parts(head, Body::Full(body))), under(id, &answer))
        }
        _ => {
            let text = format!("the server refused this request with HTTP {}", head.status.as_u16());
            let message = reply::error(Some(id), code::INTERNAL_ERROR, &text, None);
            What::Refused(Box::new(Response::from_parts(head, Body::Full(body))), message)
        }
    }
}

/// What is said to a message that goes no further.
fn refused(gateway: &Arc<Gateway>, denial: &Denial, id: Option<&RequestId>) -> Said {
    let Answer { headers, body, .. } = no(gateway, denial, id);
    Said { gateway: Arc::clone(gateway), id: id.cloned(), headers, what: What::Message(body) }
}

fn no(gateway: &Gateway, denial: &Denial, id: Option<&RequestId>) -> Answer {
    let door = Door::Mcp { era: Era::Legacy, id, payment_as_http: false };
    denied(denial, None, door, gateway.naming(""))
}

/// What stands in the place of an answer that did not come.
fn broken(gateway: &Gateway, id: &RequestId, error: &UpstreamError) -> Bytes {
    let source: &dyn std::error::Error = error;
    tracing::warn!(error = source, "a request of a batch got no answer");
    faulted(&fault_of(error), None, Door::JsonRpc { id: Some(id) }, gateway.naming("")).body
}
