//! Streams that a client listens on: the GET stream of a session, `subscriptions/listen`, and the end of a session.
//!
//! Every server's stream becomes part of one. It ends as soon as one of its parts does: the client comes back, and gets from
//! every server what it has missed.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, FuturesUnordered, StreamExt};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body::Frame as Chunk;
use http_body_util::StreamBody;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tollgate_domain::ServerName;
use tollgate_exec::intercept::{without_answers, without_tool_lists};
use tollgate_exec::{Body, BodyError, MessageStream, UpstreamError};
use tollgate_federation::{EventId, acknowledged, ended};
use tollgate_mcp::{Era, Frame, RequestId, headers, raw, reply, sse};

use super::super::announced::{Listening, news_only};
use super::super::forwarded;
use super::asking::{Asking, unanswered};
use super::introduce::modern;
use super::relay::{Events, Relay, limits};
use crate::carrier::{Carrier, fault_of};
use crate::federation::{Modern, News};
use crate::reserved::{Answers, without_demands};

type Chunks = BoxStream<'static, Result<Chunk<Bytes>, BodyError>>;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long a server may take to end its part of a session.
const END_MS_MAX: u64 = 10_000;

/// GET: what the servers of a session have to say, or the rest of a stream that broke off.
pub(super) async fn listen_on_get(mut asking: Asking) -> Response<Body> {
    let session = match asking.open_session() {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    let servers: Vec<ServerName> = session.members.iter().map(|member| member.server.clone()).collect();
    asking.session = Some(session);
    let asked = asking.head.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    match asked.and_then(EventId::decode) {
        Some(EventId::Request(server, own)) => {
            match open(&asking, &server, Some(&own), Events::Request).await {
                Ok(stream) => events(stream),
                Err(refused) => refused,
            }
        }
        Some(EventId::Listening(last)) => merged(asking, servers, last.into_iter().collect()).await,
        None => merged(asking, servers, BTreeMap::new()).await,
    }
}

/// The streams of all servers as one. It is answered with the first that opens; the others join it as they open.
async fn merged(
    asking: Asking,
    servers: Vec<ServerName>,
    last: BTreeMap<ServerName, String>,
) -> Response<Body> {
    let asking = Arc::new(asking);
    let seen = Arc::new(Mutex::new(last.clone()));
    let mut opening: FuturesUnordered<_> = servers
        .into_iter()
        .map(|server| {
            let (asking, own) = (Arc::clone(&asking), last.get(&server).cloned());
            let events = Events::Listening(Arc::clone(&seen));
            async move { open(&asking, &server, own.as_deref(), events).await }
        })
        .collect();
    let mut refusal: Option<Response<Body>> = None;
    while let Some(opened) = opening.next().await {
        match opened {
            Ok(first) => {
                let others =
                    opening.filter_map(|opened| ready(opened.ok())).flat_map_unordered(None, until_end);
                let all = stream::select(until_end(first), others);
                let told = told(asking.federation.news(), list_changed).map(|told| told.map(Ok));
                // The first part that ends is the end of all.
                let all = stream::select(all, told);
                let all = all.take_while(|part| ready(part.is_some())).filter_map(ready);
                // Nor does it outlive the gateway, which waits for it else.
                return events(
                    all.take_until(asking.gateway.foundation.readiness.draining().cancelled_owned()).boxed(),
                );
            }
            // That a session is gone says more than that a server has no such stream.
            Err(refused) if refused.status() == StatusCode::NOT_FOUND => refusal = Some(refused),
            Err(refused) => {
                refusal.get_or_insert(refused);
            }
        }
    }
    refusal.unwrap_or_else(|| super::super::super::bare(StatusCode::METHOD_NOT_ALLOWED))
}

fn until_end(part: Chunks) -> BoxStream<'static, Option<Result<Chunk<Bytes>, BodyError>>> {
    part.map(Some).chain(stream::iter([None])).boxed()
}

/// What the gateway itself has to say on a stream: that tools or prices may have changed, by `message`. `None`: the door has
/// become another one.
fn told(
    news: watch::Receiver<News>,
    message: impl Fn() -> Bytes + Send + 'static,
) -> BoxStream<'static, Option<Chunk<Bytes>>> {
    let chunk = move || Some(Chunk::data(sse::encode(&message(), None)));
    stream::unfold((news, None), move |(mut news, ending)| {
        let chunk = chunk();
        async move {
            match ending {
                Some(true) => return Some((None, (news, Some(false)))),
                Some(false) => return None,
                None => {}
            }
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let is_over = news.borrow_and_update().is_over;
            Some((chunk, (news, is_over.then_some(true))))
        }
    })
    .boxed()
}

fn list_changed() -> Bytes {
    reply::notification("notifications/tools/list_changed", None)
}

/// One server's stream in the names of the door, or what the client is told instead.
async fn open(
    asking: &Asking,
    server: &ServerName,
    last: Option<&str>,
    events: Events,
) -> Result<Chunks, Response<Body>> {
    let gone = || asking.session_gone();
    let carrier = asking.federation.carrier(server).ok_or_else(gone)?;
    let mut head = asking.head_for(server, None).ok_or_else(gone)?;
    if let Some(Ok(last)) = last.map(HeaderValue::from_str) {
        head.headers.insert(LAST_EVENT_ID, last);
    }
    let response = match carrier.pass(forwarded(head, Bytes::new())).await {
        Ok(response) => response,
        Err(error) => {
            unanswered(server, &error);
            return Err(super::super::super::bare(StatusCode::BAD_GATEWAY));
        }
    };
    if !response.status().is_success() {
        return Err(super::super::super::bare(response.status()));
    }
    // An answer that was withheld because nobody paid for it must not come by resuming its stream.
    // Nor a list of tools that was compared with nothing.
    let response = match (carrier.has_price, carrier.has_pins) {
        (true, _) => without_answers(response, limits(asking)),
        (false, true) => without_tool_lists(response, limits(asking)),
        (false, false) => response,
    };
    let response = if carrier.has_policy {
        let (base_url, scan) = (asking.gateway.naming("").base_url, carrier.scans_later());
        without_demands(response, limits(asking), base_url, scan, Answers::Any)
    } else {
        response
    };
    let response = news(asking, server, response, None);
    let (_, messages) = MessageStream::read(response, limits(asking))
        .map_err(|_| super::super::super::bare(StatusCode::BAD_GATEWAY))?;
    Ok(Relay::new(asking, server, None, true, events).stream(messages).boxed())
}

/// One server's stream with what is news at this door.
fn news(
    asking: &Asking,
    server: &ServerName,
    response: Response<Body>,
    subscription: Option<&RequestId>,
) -> Response<Body> {
    let (tools, tools_only) = (&asking.gateway.tools, asking.federation.tools_only());
    let listening = Listening { tools, server, subscription, tools_only, limits: limits(asking) };
    let (federation, whose) = (Arc::clone(&asking.federation), server.clone());
    news_only(response, listening, move |tool| federation.offers(&whose, tool.as_str()))
}

fn events(stream: Chunks) -> Response<Body> {
    let mut response = Response::new(Body::boxed(StreamBody::new(stream)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// DELETE: the end of a session, at every server.
pub(super) async fn end(mut asking: Asking) -> Response<Body> {
    let session = match asking.open_session() {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    let servers: Vec<ServerName> = session.members.iter().map(|member| member.server.clone()).collect();
    asking.session = Some(session);
    if let Some(Ok(id)) = asking.head.headers.get(headers::SESSION_ID).map(HeaderValue::to_str) {
        asking.federation.ended.add(id);
    }
    let ending = servers.iter().map(async |server| {
        let (Some(carrier), Some(head)) = (asking.federation.carrier(server), asking.head_for(server, None))
        else {
            return;
        };
        // The server may refuse or be gone; the session is over for the client either way.
        let limit = Duration::from_millis(END_MS_MAX);
        let ending = carrier.pass(forwarded(head, Bytes::new()));
        if let Ok(Err(error)) = tokio::time::timeout(limit, ending).await {
            unanswered(server, &error);
        }
    });
    join_all(ending).await;
    super::super::super::bare(StatusCode::OK)
}

/// One server's part of a subscription.
struct Part {
    relay: Relay,
    messages: MessageStream,
    honoured: Map<String, Value>,
}

/// `subscriptions/listen`: every server is asked for its part; one acknowledgement, then what any of them has to say.
pub(super) async fn subscribe(asking: Asking, frame: Frame, id: RequestId) -> Response<Body> {
    let asked = asking
        .federation
        .carriers()
        .map(async |carrier| (carrier.name.clone(), part(&asking, carrier, &frame, &id).await));
    let mut parts = Vec::new();
    let mut failed = None;
    for (server, part) in join_all(asked).await {
        match part {
            Ok(part) => parts.extend(part),
            Err(error) => {
                unanswered(&server, &error);
                failed = Some(fault_of(&error));
            }
        }
    }
    match failed {
        Some(fault) if parts.is_empty() => return asking.failed(&fault, &id),
        _ => {}
    }
    let first = acknowledged(&id, parts.iter().map(|part| part.honoured.clone()));
    let first = stream::iter([Ok(Chunk::data(sse::encode(&first, None)))]);
    let open = parts.len();
    let is_tools = |part: &Part| part.honoured.get("toolsListChanged") == Some(&Value::Bool(true));
    let wants_tools = parts.iter().any(is_tools);
    let own = {
        let id = id.clone();
        told(asking.federation.news(), move || tollgate_federation::tools_changed(&id))
    };
    let own = own.filter_map(move |told| {
        ready(match told {
            Some(chunk) => chunk.into_data().ok().filter(|_| wants_tools).map(Said::Message),
            None => Some(Said::Over),
        })
    });
    // Where nobody has anything to say it stays open, as it does at a server on which nothing happens.
    let said =
        stream::select_all(parts.into_iter().map(|part| part.relay.subscription(part.messages).boxed()));
    let drained = stream::once(asking.gateway.foundation.readiness.draining().cancelled_owned())
        .map(|()| Said::Draining);
    let said = stream::select(stream::select(said, own.boxed()), drained.boxed());
    let said = stream::unfold(Some((said, open)), move |state| {
        let end = ended(&id);
        async move {
            let (mut said, mut open) = state?;
            loop {
                match said.next().await {
                    Some(Said::Message(message)) => {
                        return Some((Ok(Chunk::data(message)), Some((said, open))));
                    }
                    Some(Said::Ended) if open > 1 => open -= 1,
                    Some(Said::Ended | Said::Over | Said::Draining) => {
                        return Some((Ok(Chunk::data(sse::encode(&end, None))), None));
                    }
                    Some(Said::Dropped(error)) => return Some((Err(BodyError::from(error)), None)),
                    None => return None,
                }
            }
        }
    });
    events(first.chain(said).boxed())
}

/// What one server's part of a subscription says.
pub(super) enum Said {
    /// A message, as an event.
    Message(Bytes),
    /// It has ended it in order.
    Ended,
    /// The door has become another one: the client has to subscribe again.
    Over,
    /// The gateway is on its way out.
    Draining,
    /// It broke off: the client has to subscribe again.
    Dropped(UpstreamError),
}

/// Asks one server for its part. `None`: it speaks another era, knows no subscriptions, or has nothing of what is asked.
async fn part(
    asking: &Asking,
    carrier: &Carrier,
    frame: &Frame,
    id: &RequestId,
) -> Result<Option<Part>, UpstreamError> {
    let server = &carrier.name;
    let Modern::Yes { .. } = modern(asking, carrier).await? else { return Ok(None) };
    let translator = asking.translator(server);
    let filter = frame.param("notifications").unwrap_or(b"{}");
    let Some(own) = translator.filter(filter, asking.federation.tools_only()) else { return Ok(None) };
    let Some(mut head) = asking.head_for(server, None) else { return Ok(None) };
    head.method = Method::POST;
    head.headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    let opening = async {
        let response = carrier.pass(forwarded(head, frame.with_param("notifications", &own))).await?;
        if !response.status().is_success() {
            return Ok(None);
        }
        let response = if carrier.has_policy {
            without_demands(
                response,
                limits(asking),
                asking.gateway.naming("").base_url,
                carrier.scans_later(),
                Answers::Any,
            )
        } else {
            response
        };
        let response = news(asking, server, response, Some(id));
        let Ok((_, mut messages)) = MessageStream::read(response, limits(asking)) else { return Ok(None) };
        while let Some(item) = messages.next().await? {
            let Some(message) = item.message() else { continue };
            let said = Frame::parse_upstream(message)
                .map_err(|_| UpstreamError::NotAnAnswer("one of its messages is no strict JSON-RPC"))?;
            let params = said.params().unwrap_or_default();
            return match (said.method(), raw::member(&params, "notifications")) {
                (Some("notifications/subscriptions/acknowledged"), honoured) => {
                    let honoured = translator.honoured(&honoured.unwrap_or_default());
                    let relay = Relay::new(asking, server, Some(id.clone()), true, Events::Request);
                    Ok(Some(Part { relay, messages, honoured }))
                }
                (None, _) => Ok(None),
                (Some(_), _) => Err(UpstreamError::NotAnAnswer("its subscription is not acknowledged")),
            };
        }
        Err(UpstreamError::NotAnAnswer("its response ends without an answer"))
    };
    let limit = Duration::from_millis(asking.federation.list_ms_max);
    debug_assert_eq!(asking.era, Era::Modern, "there are no subscriptions in the era of sessions");
    tokio::time::timeout(limit, opening).await.unwrap_or(Err(UpstreamError::TimedOut))
}
