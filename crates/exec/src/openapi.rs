//! An upstream that is a REST API, made to look like a streamable-HTTP server of both eras: its OpenAPI document is its list of
//! tools, and a call of a tool is one HTTP request.
//!
//! The address comes from configuration alone; the document and the arguments fill in what comes behind it. Redirects are not
//! followed. An answer that says no (any status but 2xx) is the tool's failure, not the server's: it is told, and not paid for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use tokio::time::timeout;
use tollgate_domain::ServerName;
use tollgate_egress::Policy;
use tollgate_mcp::era::{MODERN_SINCE, PROTOCOL_VERSION_KEY, SERVER_INFO_KEY};
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, Kind, headers, json as raw_json};
use tollgate_openapi::{Api, OpenApiError, RestRequest, Tool, translate};

use crate::http::{HttpConfigError, OwnHeader, endpoint};
use crate::in_place::boxed;
use crate::local::{bare, json, method_not_allowed, modern_status, read_frame, refusal};
use crate::pool::Pool;
use crate::{Body, BoxFuture, Upstream, UpstreamError};
use tollgate_risk::room::Room;

/// Legacy versions that have streamable HTTP, the newest first.
const LEGACY_VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
const CONNECT_MS_MAX: u64 = 5_000;
const IDLE_CONNECTIONS_MAX: usize = 64;
/// Common servers take no longer URL.
const URL_BYTES_MAX: usize = 8 * 1024;
/// What is told of an answer that says no, in characters.
const REFUSAL_CHARS_MAX: usize = 4_000;
/// How deep an answer may nest to be structured content: it stands a few levels deep in our own message.
const STRUCTURED_DEPTH_MAX: usize = 100;

/// What the operator says about one REST API.
#[derive(Clone)]
pub struct RestConfig {
    /// Its name.
    pub name: ServerName,
    /// Its OpenAPI document, JSON or YAML.
    pub document: Bytes,
    /// Its base URL: an absolute `http` or `https` URL without user information, query and fragment.
    pub url: Uri,
    /// The gateway's own headers, its credential among them. No tool asks for one of them.
    pub headers: Vec<OwnHeader>,
    /// Which addresses may be connected to.
    pub policy: Policy,
    /// Bounds.
    pub limits: RestLimits,
    /// What its answers take room of while they are held; `None`: of nothing.
    pub room: Option<Arc<Room>>,
}

impl fmt::Debug for RestConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host();
        f.debug_struct("RestConfig").field("name", &self.name).field("host", &host).finish_non_exhaustive()
    }
}

/// Bounds of a REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestLimits {
    /// The longest message of a caller, in bytes.
    pub message_bytes_max: usize,
    /// The longest answer of the API, in bytes.
    pub answer_bytes_max: usize,
    /// How long a request may take, in milliseconds.
    pub exchange_ms_max: u64,
    /// How many tools one page of the list has.
    pub page_tools_max: usize,
    /// Of the document.
    pub document: tollgate_openapi::Limits,
}

impl Default for RestLimits {
    /// 4 MiB either way, 60 s, 100 tools a page.
    fn default() -> Self {
        Self {
            message_bytes_max: 4 * 1024 * 1024,
            answer_bytes_max: 4 * 1024 * 1024,
            exchange_ms_max: 60_000,
            page_tools_max: 100,
            document: tollgate_openapi::Limits::default(),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RestConfigError {
    /// The URL, or TLS.
    #[error(transparent)]
    Http(#[from] HttpConfigError),
    /// The document.
    #[error("could not read the OpenAPI document of {name}")]
    Document {
        /// Whose.
        name: ServerName,
        /// Why.
        #[source]
        source: OpenApiError,
    },
}

/// A REST API as an MCP server.
pub struct RestUpstream {
    name: ServerName,
    api: Api,
    url: Uri,
    host: HeaderValue,
    headers: Vec<OwnHeader>,
    limits: RestLimits,
    room: Option<Arc<Room>>,
    pool: Pool,
}

impl RestUpstream {
    /// An upstream as configured. Connects to nothing yet; must be used inside a tokio runtime.
    ///
    /// # Errors
    /// [`RestConfigError`].
    pub fn new(config: RestConfig) -> Result<Self, RestConfigError> {
        let RestConfig { name, document, url, headers, policy, limits, room } = config;
        let Some((url, host)) = endpoint(url).filter(|(url, _)| url.query().is_none()) else {
            return Err(HttpConfigError::Url(name).into());
        };
        let own: Vec<&str> = headers.iter().map(|own| own.name.as_str()).collect();
        let api = match translate(&document, &own, limits.document) {
            Ok(api) => api,
            Err(source) => return Err(RestConfigError::Document { name, source }),
        };
        for left in &api.left_out {
            tracing::warn!(server = %name, operation = left.operation, reason = left.reason, "an operation is no tool");
        }
        let pool = Pool::new(url.clone(), policy, CONNECT_MS_MAX, IDLE_CONNECTIONS_MAX)?;
        Ok(Self { name, api, url, host, headers, limits, room, pool })
    }

    async fn carry(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Ok(method_not_allowed("POST"));
        }
        let frame = match read_frame(body, self.limits.message_bytes_max).await? {
            Ok(frame) => frame,
            Err(refused) => return Ok(refused),
        };
        match headers::check(&head.headers, &frame) {
            Ok(Era::Legacy)
                if frame.method() != Some("initialize")
                    && !headers::version_is_spoken(&head.headers, &LEGACY_VERSIONS) =>
            {
                let text = "MCP-Protocol-Version is no version that is spoken here";
                Ok(refusal(StatusCode::BAD_REQUEST, frame.id(), code::INVALID_REQUEST, text))
            }
            Ok(era) => self.answer(&frame, era, &trace_context(&head.headers)).await,
            Err(mismatch) => {
                let (status, code) = (StatusCode::BAD_REQUEST, mismatch.code());
                Ok(refusal(status, frame.id(), code, &mismatch.to_string()))
            }
        }
    }

    async fn answer(
        &self,
        frame: &Frame,
        era: Era,
        context: &HeaderMap,
    ) -> Result<Response<Body>, UpstreamError> {
        let (Kind::Request, Some(id), Some(method)) = (frame.kind(), frame.id(), frame.method()) else {
            // Notifications, and answers to questions that were never asked.
            return Ok(bare(StatusCode::ACCEPTED));
        };
        if era == Era::Modern
            && let Some(message) = unsupported(frame)
        {
            return Ok(json(StatusCode::BAD_REQUEST, message));
        }
        let refused = |code, text: &str| {
            let message = reply::error(Some(id), code, text, None);
            let status = if era == Era::Modern { modern_status(&message) } else { StatusCode::OK };
            Ok(json(status, message))
        };
        let result: Bytes = match (method, era) {
            ("initialize", Era::Legacy) => self.introduction(frame).into(),
            ("ping", Era::Legacy) => "{}".into(),
            ("server/discover", Era::Modern) => self.discovery().into(),
            ("tools/list", _) => match self.page(frame, era) {
                Some(page) => page.into(),
                None => return refused(code::INVALID_PARAMS, "the cursor is none of this server"),
            },
            ("tools/call", _) => {
                let Some(call) = frame.tool_call() else {
                    return refused(code::INVALID_PARAMS, "the call names no tool");
                };
                let Some(tool) = self.api.tools.iter().find(|tool| tool.name == call.name) else {
                    return refused(code::INVALID_PARAMS, "unknown tool");
                };
                self.call(tool, &call.arguments, era, context).await?
            }
            _ => return refused(code::METHOD_NOT_FOUND, "method not found"),
        };
        Ok(json(StatusCode::OK, reply::result(id, result)))
    }

    fn introduction(&self, frame: &Frame) -> String {
        let asked = frame.param("protocolVersion").and_then(raw_json::string);
        let spoken = LEGACY_VERSIONS.into_iter().find(|version| asked.as_deref() == Some(version));
        let [newest, ..] = LEGACY_VERSIONS;
        format!(
            "{{\"protocolVersion\":\"{}\",\"capabilities\":{{\"tools\":{{}}}},\"serverInfo\":{}}}",
            spoken.unwrap_or(newest),
            self.info()
        )
    }

    fn discovery(&self) -> String {
        format!(
            "{{\"resultType\":\"complete\",\"supportedVersions\":[\"{MODERN_SINCE}\"],\"capabilities\":{{\"tools\":{{}}}},\
             \"ttlMs\":60000,\"cacheScope\":\"private\",\"_meta\":{{\"{SERVER_INFO_KEY}\":{}}}}}",
            self.info()
        )
    }

    fn info(&self) -> String {
        let (name, version) = (raw_json::quote(&self.api.title), env!("CARGO_PKG_VERSION"));
        format!("{{\"name\":{name},\"version\":\"{version}\"}}")
    }

    /// One page of the list; `None` for a cursor that is not ours. It is the number of the first tool of the page.
    fn page(&self, frame: &Frame, era: Era) -> Option<String> {
        let start: usize = match frame.param("cursor") {
            None | Some(b"null") => 0,
            Some(raw) => raw_json::string(raw)?.parse().ok().filter(|start| *start < self.api.tools.len())?,
        };
        let end = start.saturating_add(self.limits.page_tools_max.max(1));
        let tools = self.api.tools.get(start..end.min(self.api.tools.len()))?;
        let tools: Vec<&str> = tools.iter().map(|tool| tool.definition.as_str()).collect();
        let mut page = format!("{{\"tools\":[{}]", tools.join(","));
        if end < self.api.tools.len() {
            page.push_str(&format!(",\"nextCursor\":\"{end}\""));
        }
        if era == Era::Modern {
            page.push_str(",\"resultType\":\"complete\",\"ttlMs\":60000,\"cacheScope\":\"private\"");
        }
        page.push('}');
        Some(page)
    }

    /// Calls a tool; its raw result.
    async fn call(
        &self,
        tool: &Tool,
        arguments: &[u8],
        era: Era,
        context: &HeaderMap,
    ) -> Result<Bytes, UpstreamError> {
        let arguments = if arguments.is_empty() { b"{}" } else { arguments };
        let failed = |text: &str| Ok(reply::tool_result(era, &[text], None, &[], true));
        let rest = match tool.operation.request(arguments) {
            Ok(rest) => rest,
            Err(error) => return failed(&format!("The call was not sent: {error}.")),
        };
        let Some(mut request) = self.addressed(rest) else {
            return failed("The call was not sent: its arguments make a URL that is too long.");
        };
        for (name, value) in context {
            // A tool may have an argument of that name: it is what was called for.
            request.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        let (status, headers, body) = self.exchanged(request).await?;
        let text = String::from_utf8_lossy(&body);
        let said = format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        let said = said.trim_end();
        if !status.is_success() {
            let told: String = text.chars().take(REFUSAL_CHARS_MAX).collect();
            return failed(format!("{said}\n\n{told}").trim_end());
        }
        if !matches!(headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes), None | Some(b"identity")) {
            return failed(&format!("{said}, but the answer is compressed, which nobody asked for."));
        }
        if std::str::from_utf8(&body).is_err() {
            return failed(&format!("{said}, but the answer is no text, so it cannot be passed on."));
        }
        let structured = is_strict_object(&body).then_some(&*text);
        if tool.has_output_schema && structured.is_none() {
            return failed(&format!(
                "{said}, but the answer is not the JSON object that the API's document promises."
            ));
        }
        let words = if body.is_empty() { said } else { &*text };
        Ok(reply::tool_result(era, &[words], structured, &[], false))
    }

    /// The whole request: behind the configured base URL, with the gateway's own headers.
    fn addressed(&self, rest: RestRequest) -> Option<Request<Body>> {
        let path = format!("{}{}", self.url.path().trim_end_matches('/'), rest.path_and_query);
        let path: PathAndQuery =
            path.try_into().ok().filter(|path: &PathAndQuery| path.as_str().len() <= URL_BYTES_MAX)?;
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(path);
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = rest.method;
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        let headers = request.headers_mut();
        headers.extend(rest.headers);
        headers.insert(HOST, self.host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/*;q=0.5, */*;q=0.1"));
        // An API may ask for it as a parameter.
        let own = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(own));
        self.headers.iter().for_each(|own| own.put_into(headers));
        if let Some((content_type, body)) = rest.body {
            headers.insert(CONTENT_TYPE, content_type);
            *request.body_mut() = Body::Full(body);
        }
        Some(request)
    }

    /// One exchange with the API, within its time and its length.
    async fn exchanged(
        &self,
        request: Request<Body>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), UpstreamError> {
        let exchanging = async {
            let (head, body) = self.pool.request(request).await?.into_parts();
            let body =
                Body::Incoming(body).collect_in(self.room.as_ref(), self.limits.answer_bytes_max).await?;
            Ok((head.status, head.headers, body))
        };
        let limit = Duration::from_millis(self.limits.exchange_ms_max);
        timeout(limit, exchanging).await.unwrap_or(Err(UpstreamError::TimedOut))
    }
}

/// The refusal of a modern request in a version that is not spoken here (`basic/versioning`).
fn unsupported(frame: &Frame) -> Option<Bytes> {
    let asked = frame.meta(PROTOCOL_VERSION_KEY).and_then(raw_json::string).unwrap_or_default();
    if asked == MODERN_SINCE {
        return None;
    }
    let data = format!("{{\"supported\":[\"{MODERN_SINCE}\"],\"requested\":{}}}", raw_json::quote(&asked));
    let text = "this protocol version is not spoken here";
    Some(reply::error(frame.id(), code::UNSUPPORTED_PROTOCOL_VERSION, text, Some(&data)))
}

/// Whether a body is one JSON object with a single reading, which may stand in a message of ours.
fn is_strict_object(body: &[u8]) -> bool {
    let limits = raw_json::Limits { depth_max: STRUCTURED_DEPTH_MAX, ..raw_json::Limits::UPSTREAM };
    body.trim_ascii_start().starts_with(b"{") && raw_json::check(body, limits).is_ok()
}

impl Upstream for RestUpstream {
    fn name(&self) -> &ServerName {
        &self.name
    }

    fn exchange(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        boxed(|| self.carry(request))
    }
}

impl fmt::Debug for RestUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestUpstream")
            .field("name", &self.name)
            .field("host", &self.url.host())
            .field("tools", &self.api.tools.len())
            .finish_non_exhaustive()
    }
}

/// Where a request belongs in a trace (W3C Trace Context): all that an API is told of a request but its arguments.
fn trace_context(headers: &HeaderMap) -> HeaderMap {
    let kept = ["traceparent", "tracestate"].map(HeaderName::from_static);
    kept.into_iter().filter_map(|name| Some((name.clone(), headers.get(&name)?.clone()))).collect()
}

#[cfg(test)]
mod tests;
