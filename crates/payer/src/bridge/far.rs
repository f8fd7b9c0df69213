//! The far side: how a message becomes an HTTP request in the era it speaks (`basic/transports/streamable-http`).
//!
//! A modern request describes itself, so its headers are read off its body. The legacy era has a session, which is learned
//! from the answer to the client's own `initialize`; nothing is negotiated here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use tollgate_egress::{Client, EgressError, shown_url};
use tollgate_mcp::era::{Era, PROTOCOL_VERSION_KEY};
use tollgate_mcp::headers::{METHOD, NAME, PROTOCOL_VERSION, SESSION_ID, encode_value, name_source};
use tollgate_mcp::{Frame, json};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The MCP endpoint that a bridge leads to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The guarded client; its time limit holds for the head of an answer, so for the work of a tool.
    pub client: Client,
    /// Where it is.
    pub url: String,
    /// Headers of every request, such as `Authorization`.
    pub headers: HeaderMap,
}

/// The endpoint, and what is known of the conversation with it.
#[derive(Debug)]
pub(super) struct Far {
    pub(super) endpoint: Endpoint,
    speech: Mutex<Speech>,
}

#[derive(Debug, Default)]
struct Speech {
    legacy: Option<Session>,
    /// The client's own `initialize`.
    opening: Option<Frame>,
    /// The version of the last modern request, for notifications, which do not say theirs.
    modern: Option<HeaderValue>,
}

/// What the answer to `initialize` said.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) version: HeaderValue,
    pub(super) id: Option<HeaderValue>,
}

/// A message that no HTTP request can carry.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the message cannot be sent: {0} is no header value")]
pub(super) struct Unsendable(&'static str);

impl Far {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, speech: Mutex::default() }
    }

    fn speech(&self) -> MutexGuard<'_, Speech> {
        self.speech.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of the legacy era, if there is one.
    pub(super) fn session(&self) -> Option<Session> {
        self.speech().legacy.clone()
    }

    /// How the client opened its session.
    pub(super) fn opening(&self) -> Option<Frame> {
        self.speech().opening.clone()
    }

    /// Keeps what was asked with an `initialize`, and what its answer said.
    pub(super) fn began(&self, asked: &Frame, answer: &Frame, headers: &HeaderMap) {
        let version = answer.result_member("protocolVersion").and_then(json::string);
        if let Some(version) = version.and_then(|version| HeaderValue::from_str(&version).ok()) {
            let mut speech = self.speech();
            speech.legacy = Some(Session { version, id: headers.get(SESSION_ID).cloned() });
            speech.opening = Some(asked.clone());
        }
    }

    /// The URL without what may be secret in it.
    pub(super) fn place(&self) -> String {
        shown_url(&self.endpoint.url)
    }

    /// Sends nothing; puts a message into the request that carries it.
    ///
    /// # Errors
    /// [`Unsendable`].
    pub(super) fn post(&self, frame: &Frame) -> Result<Request<Bytes>, Unsendable> {
        let mut request = self.request(Method::POST, frame.bytes().clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let text = |text: &str, what| HeaderValue::from_str(text).map_err(|_| Unsendable(what));
        let version = frame.method().and_then(|_| frame.meta(PROTOCOL_VERSION_KEY)).and_then(json::string);
        let mut speech = self.speech();
        let version = match version {
            Some(version) => {
                let version = text(&version, "the protocol version")?;
                speech.modern = Some(version.clone());
                version
            }
            // A handshake begins a session; it belongs to none.
            None if frame.method() == Some("initialize") => return Ok(request),
            None => match (&speech.legacy, &speech.modern) {
                (Some(session), _) => {
                    session.mark(headers);
                    return Ok(request);
                }
                (None, Some(version)) => version.clone(),
                (None, None) => return Ok(request),
            },
        };
        headers.insert(PROTOCOL_VERSION, version);
        if let Some(method) = frame.method() {
            headers.insert(METHOD, text(method, "the method")?);
            let name = name_source(method).and_then(|source| frame.param(source)).and_then(json::string);
            if let Some(name) = name {
                headers.insert(NAME, text(&encode_value(&name), "the name")?);
            }
        }
        Ok(request)
    }

    /// The request that listens for what the server says by itself in the legacy era, or takes a broken stream up again.
    pub(super) fn listen(&self, session: &Session, after: Option<&HeaderValue>) -> Request<Bytes> {
        let mut request = self.request(Method::GET, Bytes::new());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        session.mark(headers);
        if let Some(after) = after {
            headers.insert(LAST_EVENT_ID, after.clone());
        }
        request
    }

    /// The request that ends a session; `None` where there is nothing to end.
    pub(super) fn goodbye(&self) -> Option<Request<Bytes>> {
        let session = self.session().filter(|session| session.id.is_some())?;
        let mut request = self.request(Method::DELETE, Bytes::new());
        session.mark(request.headers_mut());
        Some(request)
    }

    fn request(&self, method: Method, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // A URL that is none is refused when it is sent.
        *request.uri_mut() = self.endpoint.url.parse().unwrap_or_default();
        *request.headers_mut() = self.endpoint.headers.clone();
        request
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn open(
        &self,
        request: Request<Bytes>,
    ) -> Result<http::Response<tollgate_egress::Streamed>, EgressError> {
        self.endpoint.client.open(request).await
    }
}

impl Session {
    fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(PROTOCOL_VERSION, self.version.clone());
        if let Some(id) = &self.id {
            headers.insert(SESSION_ID, id.clone());
        }
    }
}

/// The era that a request of the client speaks.
pub(super) fn era_of(frame: &Frame) -> Era {
    if frame.meta(PROTOCOL_VERSION_KEY).is_some() { Era::Modern } else { Era::Legacy }
}
