//! An upstream of MCP's first HTTP transport (2024-11-05): one stream of events for everything that the server says, and an
//! endpoint, named on that stream, for everything that it is told. Made to look like a streamable-HTTP server of the legacy era:
//! one `initialize` opens one stream, and is one session.
//!
//! The endpoint must be of the configured origin: a server cannot send its callers' messages elsewhere (N5). Redirects are not
//! followed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_domain::ServerName;
use tollgate_egress::Policy;
use tollgate_mcp::Frame;
use tollgate_mcp::reply::code;

use crate::http::{HttpConfigError, OwnHeader};
use crate::in_place::boxed;
use crate::local::{is_modern, method_not_allowed, read_frame, refusal, version_is_modern};
use crate::messages::{Framing, Messages, Unit};
use crate::pool::Pool;
use crate::session::{Board, Desk, Line, LineEnded, Opener, SessionLimits, Sessions, Sink};
use crate::{Body, BoxFuture, Upstream, UpstreamError};
use tollgate_risk::room::Room;

const CONNECT_MS_MAX: u64 = 5_000;
const IDLE_CONNECTIONS_MAX: usize = 64;
/// The longest endpoint that a server may name.
const ENDPOINT_BYTES_MAX: usize = 2_048;
/// What is read of the answer to a message: it says nothing, and the connection serves the next one.
const RECEIPT_BYTES_MAX: usize = 64 * 1024;

/// What the operator says about one server of this kind.
#[derive(Clone)]
pub struct SseConfig {
    /// Its name.
    pub name: ServerName,
    /// The URL of its stream of events: an absolute `http` or `https` URL without user information.
    pub url: Uri,
    /// The gateway's own headers, its credential among them.
    pub headers: Vec<OwnHeader>,
    /// Which addresses may be connected to.
    pub policy: Policy,
    /// Bounds.
    pub limits: SseLimits,
    /// What its messages take room of while they wait; `None`: of nothing.
    pub room: Option<Arc<Room>>,
}

impl fmt::Debug for SseConfig {
    /// A query may carry a key: of the URL only the host is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host();
        f.debug_struct("SseConfig").field("name", &self.name).field("host", &host).finish_non_exhaustive()
    }
}

/// Bounds of a server of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseLimits {
    /// The longest message, either way, in bytes.
    pub message_bytes_max: usize,
    /// How long the server may take to say that it has a message, in milliseconds.
    pub receipt_ms_max: u64,
    /// Of its sessions, each a stream of events.
    pub sessions: SessionLimits,
}

impl Default for SseLimits {
    /// 4 MiB, 30 s.
    fn default() -> Self {
        Self {
            message_bytes_max: 4 * 1024 * 1024,
            receipt_ms_max: 30_000,
            sessions: SessionLimits::default(),
        }
    }
}

/// A server of MCP's first HTTP transport. Ending it: [`Upstream::stop`], or drop.
pub struct SseUpstream {
    desk: Arc<Desk>,
    sessions: Arc<Sessions<Server>>,
    message_bytes_max: usize,
    stop: CancellationToken,
}

impl SseUpstream {
    /// A server as configured; nothing is opened before it is used. `random` gives the 16 bytes of each session id, `tasks` is
    /// what shutdown waits for. Must be used inside a tokio runtime.
    ///
    /// # Errors
    /// [`HttpConfigError`].
    pub fn new(
        config: SseConfig,
        random: fn() -> [u8; 16],
        tasks: TaskTracker,
    ) -> Result<Self, HttpConfigError> {
        let SseConfig { name, url, headers, policy, limits, room } = config;
        let Some((url, host)) = crate::http::endpoint(url) else {
            return Err(HttpConfigError::Url(name));
        };
        let pool = Pool::new(url.clone(), policy, CONNECT_MS_MAX, IDLE_CONNECTIONS_MAX)?;
        let stop = CancellationToken::new();
        let desk = Arc::new(Desk::new(name, limits.sessions, tasks, room));
        let road = Arc::new(Road { pool, url, host, headers, receipt_ms_max: limits.receipt_ms_max });
        let message_bytes_max = limits.message_bytes_max;
        let server = Server { desk: Arc::clone(&desk), road, message_bytes_max, stop: stop.clone() };
        let sessions = Sessions::new(Arc::clone(&desk), server, random);
        Ok(Self { desk, sessions, message_bytes_max, stop })
    }

    async fn carry(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let (head, body) = request.into_parts();
        match head.method {
            Method::POST => {}
            Method::GET | Method::DELETE if version_is_modern(&head.headers) => {
                return Ok(method_not_allowed("POST"));
            }
            Method::GET => return Ok(self.sessions.listen(&head.headers)),
            Method::DELETE => return Ok(self.sessions.end(&head.headers)),
            _ => return Ok(method_not_allowed("POST, GET, DELETE")),
        }
        match read_frame(body, self.message_bytes_max).await? {
            Ok(frame) if is_modern(&head.headers, &frame) => {
                // As a legacy server answers, which could not read it: a client that speaks both eras turns to `initialize`.
                let text =
                    "this server speaks only protocol versions up to 2025-11-25; start with initialize";
                Ok(refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, text))
            }
            Ok(frame) => self.sessions.post(&head, frame).await,
            Err(refused) => Ok(refused),
        }
    }
}

/// Opens a stream of events for each session.
struct Server {
    desk: Arc<Desk>,
    road: Arc<Road>,
    message_bytes_max: usize,
    stop: CancellationToken,
}

/// The way to the server.
struct Road {
    pool: Pool,
    url: Uri,
    host: HeaderValue,
    headers: Vec<OwnHeader>,
    receipt_ms_max: u64,
}

/// The stream of one session, and the endpoint that it has named.
pub(crate) struct Stream {
    road: Arc<Road>,
    endpoint: Uri,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Opener for Server {
    type Line = Stream;

    async fn open(&self, board: Arc<Board>) -> Result<Stream, UpstreamError> {
        let mut request = self.road.request(Method::GET, self.road.url.clone(), Body::Empty);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let response = self.road.pool.request(request).await?;
        if !response.status().is_success() || Framing::of(response.headers()) != Some(Framing::Sse) {
            return Err(UpstreamError::NotAnAnswer("it gives no stream of events"));
        }
        let body = Body::Incoming(response.into_body());
        // Such a stream may be open for days: there is no bound on all of it.
        let mut messages = Messages::new(body, Framing::Sse, self.message_bytes_max, usize::MAX);
        let endpoint = endpoint(&mut messages, &self.road.url).await?;
        let (stop, ended) = (self.stop.child_token(), CancellationToken::new());
        let stream =
            Stream { road: Arc::clone(&self.road), endpoint, stop: stop.clone(), ended: ended.clone() };
        let desk = Arc::clone(&self.desk);
        self.desk.tasks.spawn(async move {
            let by_itself = tokio::select! {
                biased;
                () = stop.cancelled() => false,
                () = read(messages, &board, &desk) => true,
            };
            stop.cancel();
            board.ended(by_itself);
            ended.cancel();
        });
        Ok(stream)
    }
}

impl Road {
    fn request(&self, method: Method, url: Uri, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        self.headers.iter().for_each(|own| own.put_into(headers));
        request
    }
}

impl Line for Stream {
    async fn send(&self, message: &[u8]) -> Result<(), UpstreamError> {
        let body = Body::Full(Bytes::copy_from_slice(message));
        let mut request = self.road.request(Method::POST, self.endpoint.clone(), body);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let sending = async {
            let response = self.road.pool.request(request).await?;
            let status = response.status();
            // It says nothing that is needed, whatever it is.
            drop(Body::Incoming(response.into_body()).collect_within(RECEIPT_BYTES_MAX).await);
            Ok(status)
        };
        let limit = Duration::from_millis(self.road.receipt_ms_max);
        let status = timeout(limit, sending).await.unwrap_or(Err(UpstreamError::TimedOut))?;
        if status.is_success() {
            return Ok(());
        }
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            // It has forgotten the session; ours ends with it, and the caller begins another.
            self.stop.cancel();
            return Err(UpstreamError::Broken(Box::new(LineEnded)));
        }
        Err(UpstreamError::NotAnAnswer("it refused the message"))
    }

    fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.ended.is_cancelled()
    }

    fn stop(&self) {
        self.stop.cancel();
    }

    async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Reads messages until the stream ends.
async fn read(mut messages: Messages, board: &Board, desk: &Desk) {
    let name = &desk.name;
    loop {
        let piece = match messages.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(server = %name, %error, "the server's stream of events broke off");
                return;
            }
        };
        let Some(message) = piece.message() else { continue };
        let Ok(message) = desk.kept(message, board) else { continue };
        match Frame::parse_upstream(message) {
            Ok(frame) => board.message(frame).await,
            Err(error) => {
                tracing::debug!(server = %name, %error, "the server sent what is no message");
                let problem = "one of its messages is no strict JSON-RPC";
                board.lost(error.id(), UpstreamError::NotAnAnswer(problem));
            }
        }
    }
}

/// The endpoint that the server names before anything else.
async fn endpoint(messages: &mut Messages, url: &Uri) -> Result<Uri, UpstreamError> {
    loop {
        let piece = messages.next().await?;
        let piece = piece.ok_or(UpstreamError::NotAnAnswer("its stream ends without an endpoint"))?;
        if let Unit::Event(event) = piece.unit()
            && event.name() == Some(b"endpoint")
        {
            let said = event.data().map(|data| &**data).unwrap_or_default();
            let problem = UpstreamError::NotAnAnswer("its endpoint is none of its own origin");
            return resolve(url, said).ok_or(problem);
        }
    }
}

/// The URL that the endpoint means, seen from the stream's URL: of the same origin, or none.
fn resolve(base: &Uri, said: &[u8]) -> Option<Uri> {
    let said = std::str::from_utf8(said).ok()?.trim();
    let is_plain = said.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
    if said.is_empty() || said.len() > ENDPOINT_BYTES_MAX || !is_plain {
        return None;
    }
    let path: PathAndQuery = if said.starts_with("//") {
        return None;
    } else if said.starts_with('/') {
        said.parse().ok()?
    } else if let Some(query) = said.strip_prefix('?') {
        format!("{}?{query}", base.path()).parse().ok()?
    } else if said.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        let absolute: Uri = said.parse().ok()?;
        if origin(&absolute)? != origin(base)? {
            return None;
        }
        absolute.path_and_query()?.clone()
    } else {
        let (folder, _) = base.path().rsplit_once('/')?;
        format!("{folder}/{said}").parse().ok()?
    };
    // Scheme and authority are the configured ones, whatever was said.
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

/// Scheme, host and port.
fn origin(url: &Uri) -> Option<(String, String, u16)> {
    let scheme = url.scheme_str()?.to_ascii_lowercase();
    let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let default = if scheme == "https" { 443 } else { 80 };
    Some((scheme, authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(default)))
}

impl Upstream for SseUpstream {
    fn name(&self) -> &ServerName {
        &self.desk.name
    }

    fn exchange(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        boxed(|| self.carry(request))
    }

    fn is_busy(&self) -> bool {
        self.sessions.is_answering()
    }

    fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for SseUpstream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for SseUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseUpstream").field("name", &self.desk.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
