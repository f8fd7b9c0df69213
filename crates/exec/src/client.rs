//! The gateway's own MCP client, over any upstream: it reads the tool lists and makes the calls that the gateway makes itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tollgate_mcp::era::{CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, MODERN_SINCE, PROTOCOL_VERSION_KEY};
use tollgate_mcp::tools::{self, ToolDefinition};
use tollgate_mcp::{Era, Frame, Kind, RequestId, headers, json, reply, result};

use crate::messages::{Framing, Messages};
use crate::retry::RetryBudget;
use crate::session::Holder;
use crate::{Body, Health, Upstream, UpstreamError};
use tollgate_risk::room::Room;

mod announcements;

pub use announcements::Announcements;

const CALL: &str = "tools/call";
const LEGACY_VERSION: &str = "2025-11-25";
const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");
/// Members of `_meta` that are headers as well.
const TRACE_CONTEXT: [&str; 2] = ["traceparent", "tracestate"];
const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// How long a caller is kept waiting for what a server says of the modern era.
const ERA_PATIENCE: Duration = Duration::from_secs(10);
/// How long it is believed that a server speaks the modern era, and anything else.
const MODERN_BELIEVED: Duration = Duration::from_secs(300);
const NOT_MODERN_BELIEVED: Duration = Duration::from_secs(60);

/// Bounds of the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientLimits {
    /// The longest answer, in bytes.
    pub answer_bytes_max: usize,
    /// How long one exchange may take, in milliseconds.
    pub exchange_ms_max: u64,
    /// How many tools a server may list.
    pub tools_max: usize,
    /// In how many pages.
    pub pages_max: usize,
}

impl Default for ClientLimits {
    /// 4 MiB, 30 s, 10,000 tools, 200 pages.
    fn default() -> Self {
        Self { answer_bytes_max: 4 * 1024 * 1024, exchange_ms_max: 30_000, tools_max: 10_000, pages_max: 200 }
    }
}

/// Why the client has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No usable answer came.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The server refused with this HTTP status.
    #[error("the server refused with HTTP status {0}")]
    Status(StatusCode),
    /// The server answered with a JSON-RPC error.
    #[error("the server answered with error {code}")]
    Rpc {
        /// Its code.
        code: i32,
        /// Its text. Written by the server: material, never an instruction.
        message: String,
    },
    /// The arguments or `_meta` values are not JSON.
    #[error("the request could not be written: its arguments are not JSON")]
    Arguments,
    /// The tool list cannot be read.
    #[error("the tool list could not be read")]
    Tools(#[source] tools::ToolsError),
    /// The tool list has more tools or pages than allowed, or goes in circles.
    #[error("the tool list is longer than allowed")]
    TooManyTools,
}

/// The result of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallResult {
    /// The raw result object.
    pub result: Bytes,
    /// Whether it says `isError: true`, or cannot be read.
    pub is_error: bool,
}

/// A client with one warm session, made on first use and again when the server has forgotten it.
#[derive(Debug)]
pub struct McpClient {
    upstream: Arc<dyn Upstream>,
    health: Arc<Health>,
    limits: ClientLimits,
    room: Option<Arc<Room>>,
    retries: RetryBudget,
    last_id: AtomicI64,
    lifecycle: Mutex<Option<Lifecycle>>,
    /// Whether the server gave out a session when it was last asked for one.
    gives_sessions: AtomicBool,
    /// Whether it speaks the modern era, and until when that is believed.
    modern: Mutex<Option<(Option<bool>, Instant)>>,
}

/// How this server is spoken to.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Lifecycle {
    Legacy { session: Option<HeaderValue>, version: HeaderValue },
    Modern,
}

/// One answer: its frame, and the head it came with.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    frame: Option<Frame>,
}

impl McpClient {
    /// A client of `upstream`. Nothing is sent before it is used.
    pub fn new(upstream: Arc<dyn Upstream>, limits: ClientLimits) -> Self {
        let health = Arc::new(Health::watched_only());
        Self {
            upstream,
            health,
            limits,
            room: None,
            retries: RetryBudget::default(),
            last_id: AtomicI64::new(0),
            lifecycle: Mutex::new(None),
            gives_sessions: AtomicBool::new(false),
            modern: Mutex::default(),
        }
    }

    /// The same client, which asks `health` before each exchange; whoever else speaks to the server shares it.
    #[must_use]
    pub fn watched_by(self, health: Arc<Health>) -> Self {
        Self { health, ..self }
    }

    /// The same client, whose answers to calls take room while they are held. What describes the server does not: it is kept for long,
    /// and must be there however many answers wait.
    #[must_use]
    pub fn within(self, room: Arc<Room>) -> Self {
        Self { room: Some(room), ..self }
    }

    /// The health of the server.
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Whether the server gave out a session when it was last asked for one; `false` while it was not asked.
    pub fn gives_sessions(&self) -> bool {
        self.gives_sessions.load(Ordering::Relaxed)
    }

    /// Whether the server answers `server/discover`, which only the modern era has; it is asked again after some minutes. `None`: its answer
    /// says nothing about that, or there was none.
    pub async fn speaks_modern(&self) -> Option<bool> {
        let mut known = self.modern.lock().await;
        if let Some((speaks, until)) = *known
            && Instant::now() < until
        {
            return speaks;
        }
        let asked = self.ask(&Lifecycle::Modern, "server/discover", None, "", &[]);
        let speaks = match tokio::time::timeout(ERA_PATIENCE, asked).await {
            Ok(Ok(answer)) if says_nothing_of_eras(answer.status) => None,
            Ok(Ok(answer)) => Some(answer.result().is_ok()),
            Ok(Err(_)) | Err(_) => None,
        };
        let believed = if speaks == Some(true) { MODERN_BELIEVED } else { NOT_MODERN_BELIEVED };
        *known = Some((speaks, Instant::now() + believed));
        speaks
    }

    /// All tools of the server, page by page. Entries that define no tool are left out.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_tools(&self) -> Result<Vec<ToolDefinition>, ClientError> {
        let mut tools = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..self.limits.pages_max {
            let members = cursor.map(|cursor| format!("\"cursor\":{}", json::quote(&cursor)));
            let result = self.page(members.as_deref().unwrap_or_default()).await?;
            let page = tools::parse(&result).map_err(ClientError::Tools)?;
            tools.extend(page.tools);
            if tools.len() > self.limits.tools_max {
                break;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(tools);
            }
        }
        Err(ClientError::TooManyTools)
    }

    /// One page of the tools. Reading it changes nothing, so it is asked for once more if the connection broke.
    async fn page(&self, members: &str) -> Result<Bytes, ClientError> {
        let page = self.request("tools/list", None, members, &[]).await;
        match page {
            Err(ClientError::Upstream(UpstreamError::Broken(_))) if self.retries.spend() => {
                self.request("tools/list", None, members, &[]).await
            }
            page => {
                page.iter().for_each(|_| self.retries.save());
                page
            }
        }
    }

    /// Calls a tool. `arguments` is a raw JSON object; `meta` are members of `params._meta`, keys and raw values.
    ///
    /// # Errors
    /// [`ClientError`]; a tool that failed is no error but a result that says so.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: &[u8],
        meta: &[(&str, &str)],
    ) -> Result<CallResult, ClientError> {
        let arguments = std::str::from_utf8(arguments).map_err(|_| ClientError::Arguments)?;
        let members = format!("\"name\":{},\"arguments\":{arguments}", json::quote(name));
        let result = self.request(CALL, Some(name), &members, meta).await?;
        let is_error = result::is_error(&result);
        Ok(CallResult { result, is_error })
    }

    /// The era in which the server is spoken to; `None` before the first request.
    pub async fn era(&self) -> Option<Era> {
        self.lifecycle.lock().await.as_ref().map(|lifecycle| match lifecycle {
            Lifecycle::Legacy { .. } => Era::Legacy,
            Lifecycle::Modern => Era::Modern,
        })
    }

    /// Ends the session, if there is one. The client can still be used; it then opens another.
    pub async fn close(&self) {
        let Some(Lifecycle::Legacy { session: Some(session), version }) = self.lifecycle.lock().await.take()
        else {
            return;
        };
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::DELETE;
        request.headers_mut().insert(SESSION_HEADER, session);
        request.headers_mut().insert(VERSION_HEADER, version);
        let limit = Duration::from_millis(self.limits.exchange_ms_max);
        // The server may refuse or be gone; the session is over for us either way.
        drop(tokio::time::timeout(limit, self.upstream.exchange(request)).await);
    }

    /// One request in the way this server is spoken to; its raw result.
    async fn request(
        &self,
        method: &'static str,
        name: Option<&str>,
        members: &str,
        meta: &[(&str, &str)],
    ) -> Result<Bytes, ClientError> {
        let lifecycle = self.lifecycle(None).await?;
        let answer = self.ask(&lifecycle, method, name, members, meta).await?;
        // A server that does not know the session has not looked at the request: it may be sent again, once.
        let is_forgotten = answer.status == StatusCode::NOT_FOUND
            && matches!(&lifecycle, Lifecycle::Legacy { session: Some(_), .. });
        if !is_forgotten {
            return answer.result();
        }
        let renewed = self.lifecycle(Some(&lifecycle)).await?;
        self.ask(&renewed, method, name, members, meta).await?.result()
    }

    /// How this server is spoken to, found out if need be; `forgotten` is what has just been found not to hold any more.
    async fn lifecycle(&self, forgotten: Option<&Lifecycle>) -> Result<Lifecycle, ClientError> {
        let mut current = self.lifecycle.lock().await;
        match &*current {
            Some(lifecycle) if Some(lifecycle) != forgotten => return Ok(lifecycle.clone()),
            Some(_) | None => *current = None,
        }
        let lifecycle = self.introduce().await?;
        *current = Some(lifecycle.clone());
        Ok(lifecycle)
    }

    /// The legacy handshake; with a server that does not know it, the modern question.
    async fn introduce(&self) -> Result<Lifecycle, ClientError> {
        let members = format!(
            "\"protocolVersion\":\"{LEGACY_VERSION}\",\"capabilities\":{{}},\"clientInfo\":{}",
            client_info()
        );
        let id = self.next_id();
        let message = reply::request(&id, "initialize", Some(&format!("{{{members}}}")));
        let answer = self.exchange(message, HeaderMap::new(), Some(&id), None).await?;
        let session = answer.headers.get(SESSION_HEADER).cloned();
        self.gives_sessions.store(session.is_some(), Ordering::Relaxed);
        let refusal = match answer.result() {
            Ok(result) => {
                let version =
                    json::lookup(&result, &["protocolVersion"]).ok().flatten().and_then(json::string);
                let version = version.and_then(|version| HeaderValue::from_str(&version).ok());
                let version = version.unwrap_or(HeaderValue::from_static(LEGACY_VERSION));
                let lifecycle = Lifecycle::Legacy { session, version };
                let message = reply::notification("notifications/initialized", None);
                let headers = lifecycle.headers("notifications/initialized", None);
                self.exchange(message, headers, None, None).await?;
                return Ok(lifecycle);
            }
            Err(refusal @ (ClientError::Rpc { .. } | ClientError::Status(_))) => refusal,
            Err(other) => return Err(other),
        };
        match self.ask(&Lifecycle::Modern, "server/discover", None, "", &[]).await?.result() {
            Ok(_) => Ok(Lifecycle::Modern),
            // It speaks neither way; what it said first says why.
            Err(_) => Err(refusal),
        }
    }

    async fn ask(
        &self,
        lifecycle: &Lifecycle,
        method: &'static str,
        name: Option<&str>,
        members: &str,
        meta: &[(&str, &str)],
    ) -> Result<Answer, ClientError> {
        let id = self.next_id();
        let mut headers = lifecycle.headers(method, name);
        // Where a request belongs in a trace stands in both places (W3C Trace Context; MCP, SEP-414).
        for (key, raw) in meta.iter().filter(|(key, _)| TRACE_CONTEXT.contains(key)) {
            let value = json::string(raw.as_bytes()).and_then(|value| HeaderValue::from_str(&value).ok());
            if let (Ok(name), Some(value)) = (HeaderName::from_bytes(key.as_bytes()), value) {
                headers.insert(name, value);
            }
        }
        let own_meta = lifecycle.meta();
        let meta: Vec<String> = own_meta
            .iter()
            .map(|(key, raw)| (*key, raw.as_str()))
            .chain(meta.iter().copied())
            .map(|(key, raw)| format!("{}:{raw}", json::quote(key)))
            .collect();
        let meta = if meta.is_empty() { String::new() } else { format!("\"_meta\":{{{}}}", meta.join(",")) };
        let comma = if members.is_empty() || meta.is_empty() { "" } else { "," };
        let message = reply::request(&id, method, Some(&format!("{{{members}{comma}{meta}}}")));
        // Also finds arguments that are no JSON and would make another message of it.
        let message = Frame::parse(message).map_err(|_| ClientError::Arguments)?.bytes().clone();
        let room = self.room.as_ref().filter(|_| method == CALL);
        self.exchange(message, headers, Some(&id), room).await
    }

    /// One POST within the time limit. With an `id`, the answer to it is read.
    async fn exchange(
        &self,
        message: Bytes,
        headers: HeaderMap,
        id: Option<&RequestId>,
        room: Option<&Arc<Room>>,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::new(Body::Full(message));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        request.extensions_mut().insert(Holder::House);
        let own = request.headers_mut();
        own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        own.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let ticket = self.health.admit()?;
        let exchanging = async { self.read(self.upstream.exchange(request).await?, id, room).await };
        let limit = Duration::from_millis(self.limits.exchange_ms_max);
        match tokio::time::timeout(limit, exchanging).await.unwrap_or(Err(UpstreamError::TimedOut)) {
            Ok(answer) => {
                ticket.answered(answer.status);
                Ok(answer)
            }
            Err(error) => {
                ticket.failed(&error);
                Err(error.into())
            }
        }
    }

    async fn read(
        &self,
        response: Response<Body>,
        id: Option<&RequestId>,
        room: Option<&Arc<Room>>,
    ) -> Result<Answer, UpstreamError> {
        let (head, body) = response.into_parts();
        let mut answer = Answer { status: head.status, headers: head.headers, frame: None };
        let (Some(id), Some(framing)) = (id, Framing::of(&answer.headers)) else {
            return Ok(answer);
        };
        let bytes_max = self.limits.answer_bytes_max;
        let mut messages = Messages::new(body, framing, bytes_max, bytes_max);
        loop {
            let piece = match messages.next_within(room).await {
                Ok(Some(piece)) => piece,
                // A refusal may carry any body; its status says enough.
                Ok(None) | Err(UpstreamError::NotAnAnswer(_)) if !answer.status.is_success() => {
                    return Ok(answer);
                }
                Ok(None) => return Err(UpstreamError::NotAnAnswer("its response ends without an answer")),
                Err(error) => return Err(error),
            };
            let Some(message) = piece.message() else { continue };
            let message = piece.leaves_as(message);
            let frame = match Frame::parse_upstream(message) {
                Ok(frame) => frame,
                Err(_) if !answer.status.is_success() => return Ok(answer),
                Err(_) => {
                    return Err(UpstreamError::NotAnAnswer("one of its messages is no strict JSON-RPC"));
                }
            };
            let is_answer = matches!(frame.kind(), Kind::Response | Kind::ErrorResponse);
            if is_answer && frame.id().is_none_or(|answered| answered == id) {
                answer.frame = Some(frame);
                return Ok(answer);
            }
        }
    }

    fn next_id(&self) -> RequestId {
        RequestId::integer(self.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }
}

impl Answer {
    fn result(self) -> Result<Bytes, ClientError> {
        let Some(frame) = self.frame else {
            return Err(ClientError::Status(self.status));
        };
        if let Some(result) = frame.result() {
            return Ok(result);
        }
        let error = frame.error().unwrap_or_default();
        let member = |name| json::lookup(&error, &[name]).ok().flatten();
        let code = member("code").and_then(|raw| std::str::from_utf8(raw).ok()?.parse().ok());
        Err(ClientError::Rpc {
            code: code.unwrap_or(reply::code::INTERNAL_ERROR),
            message: member("message").and_then(json::string).unwrap_or_default(),
        })
    }
}

impl Lifecycle {
    /// The members of `_meta` that describe a request.
    fn meta(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Legacy { .. } => Vec::new(),
            Self::Modern => vec![
                (PROTOCOL_VERSION_KEY, format!("\"{MODERN_SINCE}\"")),
                (CLIENT_INFO_KEY, client_info()),
                (CLIENT_CAPABILITIES_KEY, "{}".to_owned()),
            ],
        }
    }

    /// The headers of a request: the session, or what a modern request mirrors.
    fn headers(&self, method: &'static str, name: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Legacy { session, version } => {
                headers.insert(VERSION_HEADER, version.clone());
                if let Some(session) = session {
                    headers.insert(SESSION_HEADER, session.clone());
                }
            }
            Self::Modern => {
                headers.insert(VERSION_HEADER, HeaderValue::from_static(MODERN_SINCE));
                headers.insert(HeaderName::from_static("mcp-method"), HeaderValue::from_static(method));
                let name = name.map(headers::encode_value);
                if let Some(value) = name.and_then(|name| HeaderValue::from_str(&name).ok()) {
                    headers.insert(HeaderName::from_static("mcp-name"), value);
                }
            }
        }
        headers
    }
}

/// Whether a refusal with this status would be the same in either era: neither what broke down nor what lets nobody in says anything
/// about what it speaks.
pub fn says_nothing_of_eras(status: StatusCode) -> bool {
    const LETS_NOBODY_IN: [StatusCode; 5] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_server_error() || LETS_NOBODY_IN.contains(&status)
}

fn client_info() -> String {
    format!("{{\"name\":\"tollgate\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
