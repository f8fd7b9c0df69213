//! HTTP in front of the script: eras, sessions, listening streams, and the journal entry of each call.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::PATH;
use super::behave;
use super::body::{Body, Broken, empty, events, json as json_body};
use super::record::{Call, Era, Shared};
use super::wire::{self, Message};

const SESSION: &str = "mcp-session-id";

/// One TCP connection: what its requests share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    /// A second handle of the same socket.
    socket: std::net::TcpStream,
}

impl Connection {
    pub(super) fn split(stream: TcpStream, shared: Arc<Shared>) -> io::Result<(TcpStream, Self)> {
        let stream = stream.into_std()?;
        let socket = stream.try_clone()?;
        let stream = TcpStream::from_std(stream)?;
        // A bench's upstream must not wait for more to send.
        stream.set_nodelay(true)?;
        Ok((stream, Self { shared, socket }))
    }

    /// The socket below HTTP.
    pub(super) fn socket(&self) -> io::Result<TcpStream> {
        TcpStream::from_std(self.socket.try_clone()?)
    }
}

/// An answer that cannot be given: the connection ends without one.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The client broke off.
    #[error("read a request")]
    Request(#[from] hyper::Error),
    /// A script wants the connection broken, or it broke by itself.
    #[error("keep a connection")]
    Broken(#[from] io::Error),
}

pub(super) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, NoAnswer> {
    if request.uri().path() != PATH {
        return Ok(empty(StatusCode::NOT_FOUND));
    }
    let shared = &connection.shared;
    match *request.method() {
        Method::POST => {}
        Method::GET => {
            shared.record_message("GET");
            return Ok(listen_on_get(shared, request.headers()));
        }
        Method::DELETE => {
            shared.record_message("DELETE");
            return Ok(end_session(shared, request.headers()));
        }
        _ => return Ok(empty(StatusCode::METHOD_NOT_ALLOWED)),
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    post(&connection, head.headers, body).await
}

async fn post(
    connection: &Arc<Connection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, NoAnswer> {
    let shared = &connection.shared;
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return Ok(json_body(StatusCode::BAD_REQUEST, wire::error("null", -32_700, "not a message")));
    };
    // A client's answer to a server's request: none is ever made here.
    let Some(method) = message.method.as_deref() else {
        return Ok(empty(StatusCode::ACCEPTED));
    };
    shared.record_message(method);
    let era = message.era();
    if let Some(refusal) = refuse_era(shared, &message, era) {
        return Ok(refusal);
    }
    if era == Era::Legacy && method == "initialize" {
        return Ok(initialize(shared, &message));
    }
    if era == Era::Legacy
        && let Some(refusal) = refuse_session(shared, &headers)
    {
        return Ok(refusal);
    }
    if message.id.is_none() {
        return Ok(empty(StatusCode::ACCEPTED));
    }
    let found = |result| Ok(json_body(StatusCode::OK, wire::result(message.id(), era, result)));
    match method {
        "ping" if era == Era::Legacy => found(json!({})),
        "server/discover" if era == Era::Modern => found(json!({
            "supportedVersions": [wire::MODERN],
            "capabilities": {"tools": {"listChanged": true}},
            "ttlMs": 0,
            "cacheScope": "public"
        })),
        "tools/list" => {
            let cursor = message.params.as_ref().and_then(|params| params.cursor.as_deref());
            let Some(mut page) = page(shared, cursor) else {
                return Ok(json_body(StatusCode::OK, wire::error(message.id(), -32_602, "Invalid cursor")));
            };
            if let (Era::Modern, Some(members)) = (era, page.as_object_mut()) {
                members.insert("ttlMs".to_owned(), json!(0));
                members.insert("cacheScope".to_owned(), json!("public"));
            }
            found(page)
        }
        "tasks/list" if !shared.script.tasks.is_empty() => found(json!({"tasks": shared.script.tasks})),
        "subscriptions/listen" if era == Era::Modern => Ok(listen_on_post(shared, message.id())),
        "tools/call" => call(connection, &message, era, headers, &body).await,
        _ => {
            let status = if era == Era::Modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
            Ok(json_body(status, wire::error(message.id(), -32_601, "Method not found")))
        }
    }
}

/// One page of the tool list; `None` for a cursor that was not given out.
fn page(shared: &Shared, cursor: Option<&str>) -> Option<serde_json::Value> {
    let (tools, size) = (shared.definitions(), shared.script.page_tools);
    let start = match cursor {
        None => 0,
        Some("") => size,
        Some(number) => number.parse().ok().filter(|start| *start > size)?,
    };
    let items: Vec<_> = tools.iter().skip(start).take(size).collect();
    let end = start.saturating_add(size);
    let mut page = json!({"tools": items});
    if end < tools.len() {
        let next = if start == 0 { String::new() } else { end.to_string() };
        page.as_object_mut()?.insert("nextCursor".to_owned(), json!(next));
    }
    Some(page)
}

async fn call(
    connection: &Arc<Connection>,
    message: &Message<'_>,
    era: Era,
    headers: HeaderMap,
    body: &Bytes,
) -> Result<Response<Body>, NoAnswer> {
    let params = message.params.as_ref();
    let tool = params.and_then(|params| params.name.as_deref()).unwrap_or_default();
    let arguments = params.and_then(|params| params.arguments).map_or("", |raw| raw.get());
    connection.shared.record_call(|| Call {
        tool: tool.to_owned(),
        arguments: arguments.to_owned(),
        body: body.clone(),
        headers,
        era,
    });
    let Some(behaviour) = connection.shared.behaviour(tool) else {
        let status = if era == Era::Modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
        return Ok(json_body(status, wire::error(message.id(), -32_602, "Unknown tool")));
    };
    let token = params.and_then(|params| params.meta.as_ref()?.progress_token).map(|raw| raw.get());
    let request = behave::Request {
        id: message.id().to_owned(),
        era,
        arguments: arguments.to_owned(),
        progress_token: token.map(str::to_owned),
    };
    behave::run(connection, behaviour, request).await
}

fn refuse_era(shared: &Shared, message: &Message<'_>, era: Era) -> Option<Response<Body>> {
    let spoken = match era {
        Era::Legacy => shared.script.legacy,
        Era::Modern => shared.script.modern,
    };
    if spoken {
        return None;
    }
    let refusal = match era {
        // What a legacy server says to a probe: it wants a session.
        Era::Modern => wire::error(message.id(), -32_000, "Bad Request: Server not initialized"),
        Era::Legacy => wire::error(message.id(), -32_022, "Unsupported protocol version"),
    };
    Some(json_body(StatusCode::BAD_REQUEST, refusal))
}

fn initialize(shared: &Shared, message: &Message<'_>) -> Response<Body> {
    let asked = message.params.as_ref().and_then(|params| params.version.as_deref());
    let version = wire::OLDER.into_iter().find(|older| asked == Some(older)).unwrap_or(wire::LEGACY);
    let mut capabilities = json!({"tools": {"listChanged": true}});
    if let (false, Some(members)) = (shared.script.tasks.is_empty(), capabilities.as_object_mut()) {
        members.insert("tasks".to_owned(), json!({"list": {}, "cancel": {}}));
    }
    let result = json!({
        "protocolVersion": version,
        "capabilities": capabilities,
        "serverInfo": {"name": "journal", "version": "1.0.0"}
    });
    let mut response = json_body(StatusCode::OK, wire::result(message.id(), Era::Legacy, result));
    if shared.script.sessions
        && let Ok(session) = HeaderValue::try_from(shared.open_session())
    {
        response.headers_mut().insert(SESSION, session);
    }
    response
}

fn refuse_session(shared: &Shared, headers: &HeaderMap) -> Option<Response<Body>> {
    if !shared.script.sessions {
        return None;
    }
    let Some(session) = headers.get(SESSION) else {
        return Some(json_body(StatusCode::BAD_REQUEST, wire::error("null", -32_000, "Session required")));
    };
    let known = session.to_str().is_ok_and(|session| shared.sessions.lock().contains(session));
    let unknown = || json_body(StatusCode::NOT_FOUND, wire::error("null", -32_001, "Session not found"));
    (!known).then(unknown)
}

fn end_session(shared: &Shared, headers: &HeaderMap) -> Response<Body> {
    if !shared.script.sessions {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let session = headers.get(SESSION).and_then(|session| session.to_str().ok());
    let ended = session.is_some_and(|session| shared.sessions.lock().remove(session));
    empty(if ended { StatusCode::OK } else { StatusCode::NOT_FOUND })
}

fn listen_on_get(shared: &Arc<Shared>, headers: &HeaderMap) -> Response<Body> {
    if !shared.script.sessions || !shared.script.legacy {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    refuse_session(shared, headers).unwrap_or_else(|| announcements(shared, None))
}

fn listen_on_post(shared: &Arc<Shared>, id: &str) -> Response<Body> {
    announcements(shared, Some(id.to_owned()))
}

/// A stream of changed tool lists; a modern one (with the id of its request) opens with its acknowledgement.
fn announcements(shared: &Arc<Shared>, subscription: Option<String>) -> Response<Body> {
    let first = subscription.as_deref().map(|id| wire::event(&wire::acknowledged(id)));
    let receiver = shared.announcements.subscribe();
    let stream =
        stream::unfold((first, receiver, subscription), |(first, mut receiver, subscription)| async move {
            if let Some(first) = first {
                return Some((Ok::<_, Broken>(first), (None, receiver, subscription)));
            }
            match receiver.recv().await {
                Ok(()) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    let event = wire::event(&wire::tools_changed(subscription.as_deref()));
                    Some((Ok(event), (None, receiver, subscription)))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            }
        });
    events(stream)
}
