//! Talking MCP over streamable HTTP in the era the server speaks: modern (one stateless request) first, then the legacy
//! handshake. Knows nothing of prices.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tollgate_egress::{Client, EgressError, Limits, shown_url};
use tollgate_mcp::era::MODERN_SINCE;
use tollgate_mcp::headers::{METHOD, MirroredParam, NAME, PROTOCOL_VERSION, SESSION_ID, encode_value};
use tollgate_mcp::reply::code::{HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY, UNSUPPORTED_PROTOCOL_VERSION};
use tollgate_mcp::{Era, Frame, RequestId, json};

use crate::PayError;
use crate::answer::{Heard, RpcError, hear};
use crate::demand::Carrier;
use crate::mirror;
use crate::payment::Payment;
use crate::request::{self, ToolCall};

/// What a gateway says before it names a price, where the tool's server speaks the legacy era only.
const SESSIONS_ONLY: &str = "sessions_only";

/// Where an API key travels.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How long the end of a session may take.
const GOODBYE_MS_MAX: u64 = 2_000;
/// The most pages of `tools/list` that are read to find one tool.
const LIST_PAGES_MAX: usize = 16;

/// One conversation with one server.
pub(crate) struct Session {
    client: Client,
    url: String,
    /// Who calls: in every request.
    api_key: Option<HeaderValue>,
    state: State,
    next_id: i64,
}

enum State {
    /// 2026-07-28: no session; arguments that the tool wants mirrored into headers.
    Modern(Vec<MirroredParam>),
    /// 2025-11-25 and earlier, after the handshake.
    Legacy { version: HeaderValue, id: Option<HeaderValue> },
}

/// One exchange: what was heard, or that nothing definite was.
pub(crate) type Exchange = Result<Heard, EgressError>;

impl Session {
    /// A conversation that has not begun.
    pub(crate) fn new(client: Client, url: &str, api_key: Option<HeaderValue>) -> Self {
        Self { client, url: url.to_owned(), api_key, state: State::Modern(Vec::new()), next_id: 1 }
    }

    /// Sends the call without a payment and finds the server's era on the way. Nothing has run when the era was wrong: a server
    /// refuses what it cannot read.
    ///
    /// # Errors
    /// [`PayError::Unreachable`] or [`PayError::NotMcp`].
    pub(crate) async fn ask(&mut self, call: &ToolCall) -> Result<Heard, PayError> {
        let (status, heard) = self.exchange(call, None).await.map_err(|error| self.unreachable(error))?;
        if is_mirror_complaint(&heard) {
            self.state = State::Modern(self.mirrored_parameters(call).await?);
            return self
                .exchange(call, None)
                .await
                .map(|(_, heard)| heard)
                .map_err(|error| self.unreachable(error));
        }
        if !speaks_only_legacy(status, &heard) {
            return Ok(heard);
        }
        self.shake_hands().await?;
        self.exchange(call, None).await.map(|(_, heard)| heard).map_err(|error| self.unreachable(error))
    }

    /// Sends the call with a payment, in the era found before. A legacy session that the server has forgotten meanwhile is
    /// opened anew, and one is opened where a price was named for a call that its server could not read; the call then goes out again with
    /// the same payment, which a server can take only once.
    pub(crate) async fn ask_paid(
        &mut self,
        call: &ToolCall,
        payment: &Payment,
        carrier: Carrier,
    ) -> Exchange {
        let (status, heard) = self.exchange(call, Some((payment, carrier))).await?;
        let needs_session = match self.state {
            State::Legacy { id: Some(_), .. } => status == StatusCode::NOT_FOUND,
            State::Legacy { id: None, .. } => false,
            State::Modern(_) => speaks_only_legacy(status, &heard),
        };
        if !needs_session || self.shake_hands().await.is_err() {
            return Ok(heard);
        }
        self.exchange(call, Some((payment, carrier))).await.map(|(_, heard)| heard)
    }

    /// Ends a legacy session politely. A server that does not care loses nothing.
    pub(crate) async fn end(self) {
        let State::Legacy { version, id: Some(id) } = &self.state else {
            return;
        };
        let request = Request::builder()
            .method(Method::DELETE)
            .uri(&self.url)
            .header(SESSION_ID, id)
            .header(PROTOCOL_VERSION, version)
            .body(Bytes::new());
        if let Ok(mut request) = request {
            self.identify(&mut request);
            let limits = Limits { timeout_ms_max: GOODBYE_MS_MAX, response_bytes_max: 64 * 1024 };
            // The call is over; whether the server minds the goodbye changes nothing for it.
            drop(self.client.with_limits(limits).send(request).await);
        }
    }

    async fn exchange(
        &mut self,
        call: &ToolCall,
        payment: Option<(&Payment, Carrier)>,
    ) -> Result<(StatusCode, Heard), EgressError> {
        let id = self.id();
        let entry = match payment {
            Some((payment, Carrier::Meta)) => Some(payment.meta_entry()),
            Some((_, Carrier::Header)) | None => None,
        };
        let entry = entry.as_ref().map(|(key, value)| (*key, value.as_str()));
        let era = match self.state {
            State::Modern(_) => Era::Modern,
            State::Legacy { .. } => Era::Legacy,
        };
        let mut request = self.post(call.body(&id, era, entry))?;
        if let State::Modern(parameters) = &self.state {
            insert(&mut request, METHOD, "tools/call")?;
            insert(&mut request, NAME, &encode_value(&call.tool))?;
            request.headers_mut().extend(mirror::headers(parameters, call.arguments().as_bytes()));
        }
        if let Some((payment, Carrier::Header)) = payment {
            let (name, value) = payment.header().ok_or(EgressError::Url)?;
            request.headers_mut().insert(name, value);
        }
        let answer = self.client.send(request).await?;
        Ok((answer.status(), hear(&answer, &id)))
    }

    /// The legacy handshake (MCP 2025-11-25, `basic/lifecycle`).
    async fn shake_hands(&mut self) -> Result<(), PayError> {
        let id = self.id();
        self.state = State::Legacy { version: HeaderValue::from_static(request::LEGACY), id: None };
        let request = self.post(request::initialize(&id)).map_err(|error| self.unreachable(error))?;
        let answer = self.client.send(request).await.map_err(|error| self.unreachable(error))?;
        let frame = match hear(&answer, &id) {
            Heard::Result(frame) => frame,
            Heard::Error(error) => return Err(self.not_mcp(format!("initialize failed: {}", error.message))),
            Heard::Payment(_) => {
                return Err(self.not_mcp("it asks for payment before the handshake".to_owned()));
            }
            Heard::Nothing { reason } => return Err(self.not_mcp(reason)),
        };
        let version = protocol_version(&frame)
            .ok_or_else(|| self.not_mcp("initialize answered without a version".to_owned()))?;
        self.state = State::Legacy { version, id: session_id(&answer) };
        let request = self.post(request::initialized()).map_err(|error| self.unreachable(error))?;
        let answer = self.client.send(request).await.map_err(|error| self.unreachable(error))?;
        if !answer.status().is_success() {
            return Err(
                self.not_mcp(format!("it refused the handshake with HTTP {}", answer.status().as_u16()))
            );
        }
        Ok(())
    }

    /// Reads which arguments the tool wants mirrored into headers (`x-mcp-header`).
    async fn mirrored_parameters(&mut self, call: &ToolCall) -> Result<Vec<MirroredParam>, PayError> {
        let mut cursor: Option<String> = None;
        for _ in 0..LIST_PAGES_MAX {
            let id = self.id();
            let mut request = self
                .post(request::tools_list(&id, cursor.as_deref()))
                .map_err(|error| self.unreachable(error))?;
            insert(&mut request, METHOD, "tools/list").map_err(|error| self.unreachable(error))?;
            let answer = self.client.send(request).await.map_err(|error| self.unreachable(error))?;
            let Heard::Result(frame) = hear(&answer, &id) else {
                return Err(self.not_mcp("it wants headers that its tools/list does not explain".to_owned()));
            };
            let page = mirror::page(&frame.result().unwrap_or_default(), &call.tool);
            if let Some(parameters) = page.parameters {
                return Ok(parameters);
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Err(self.not_mcp(format!("it wants headers for {}, which its tools/list does not hold", call.tool)))
    }

    /// A POST with the headers every message of this era carries.
    fn post(&self, body: Bytes) -> Result<Request<Bytes>, EgressError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .body(body)
            .map_err(|_| EgressError::Url)?;
        self.identify(&mut request);
        match &self.state {
            State::Modern(_) => insert(&mut request, PROTOCOL_VERSION, MODERN_SINCE)?,
            State::Legacy { version, id } => {
                request.headers_mut().insert(PROTOCOL_VERSION, version.clone());
                if let Some(id) = id {
                    request.headers_mut().insert(SESSION_ID, id.clone());
                }
            }
        }
        Ok(request)
    }

    /// Not in `Authorization`: a Lightning payment stands there.
    fn identify(&self, request: &mut Request<Bytes>) {
        if let Some(key) = &self.api_key {
            request.headers_mut().insert(API_KEY, key.clone());
        }
    }

    /// A fresh JSON-RPC id: a paying retry is a new request.
    fn id(&mut self) -> RequestId {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        RequestId::integer(id)
    }

    fn unreachable(&self, source: EgressError) -> PayError {
        PayError::Unreachable { url: shown_url(&self.url), source }
    }

    fn not_mcp(&self, reason: String) -> PayError {
        PayError::NotMcp { url: shown_url(&self.url), reason }
    }
}

fn insert(request: &mut Request<Bytes>, name: HeaderName, value: &str) -> Result<(), EgressError> {
    // Every value here is plain ASCII by construction; a URL or name that is not has been refused or encoded before.
    let value = HeaderValue::from_str(value).map_err(|_| EgressError::Url)?;
    request.headers_mut().insert(name, value);
    Ok(())
}

fn session_id(answer: &Response<Bytes>) -> Option<HeaderValue> {
    answer.headers().get(SESSION_ID).cloned()
}

fn protocol_version(initialized: &Frame) -> Option<HeaderValue> {
    let version = json::string(initialized.result_member("protocolVersion")?)?;
    HeaderValue::from_str(&version).ok()
}

/// Whether the server wants arguments mirrored into headers that this client did not know of.
pub(crate) fn is_mirror_complaint(heard: &Heard) -> bool {
    matches!(heard, Heard::Error(RpcError { code: HEADER_MISMATCH, .. }))
}

/// Whether the answer to a modern request comes from a server that only knows sessions: a 4xx that is neither about the
/// caller's rights or pace nor a modern error (MCP 2026-07-28, `basic/versioning`).
fn speaks_only_legacy(status: StatusCode, heard: &Heard) -> bool {
    if let Heard::Error(error) = heard {
        if error.facts.error.as_deref() == Some(SESSIONS_ONLY) {
            return true;
        }
        if error.code == UNSUPPORTED_PROTOCOL_VERSION {
            let supported = error.facts.supported.clone().unwrap_or_default();
            return !supported.is_empty() && !supported.iter().any(|version| version == MODERN_SINCE);
        }
        if error.is_ours || [MISSING_CLIENT_CAPABILITY, HEADER_MISMATCH].contains(&error.code) {
            return false;
        }
    }
    let is_about_the_caller = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::PAYMENT_REQUIRED
            | StatusCode::FORBIDDEN
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::TOO_MANY_REQUESTS
    );
    let is_nowhere = status == StatusCode::NOT_FOUND && matches!(heard, Heard::Nothing { .. });
    status.is_client_error() && !is_about_the_caller && !is_nowhere
}

#[cfg(test)]
mod tests;
