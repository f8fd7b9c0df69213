//! The way to one server: the one file that takes a [`Permitted`] call to where its tool runs.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tollgate_domain::{FailureKind, Outcome, ServerName};
use tollgate_exec::client::ClientError;
use tollgate_exec::intercept::{self, Answering, Intercepted, intercept};
use tollgate_exec::resume::Resume;
use tollgate_exec::{Body, Health, McpClient, Upstream, UpstreamError};
use tollgate_gate::{Fault, Permitted, ToolAnswer};
use tollgate_mcp::{Era, Frame, RequestId, headers, result};
use tollgate_registry::ResultPolicy;

use crate::call_ids::{CallIds, OwnId};
use crate::clock;
use crate::config::{Server, Transport};
use crate::dispatch::{DispatchMarks, Mark};
use crate::reserved;
use crate::result_scan::{Noted, ResultScan};

/// The way to one server.
#[derive(Debug)]
pub struct Carrier {
    /// The server.
    pub name: ServerName,
    /// Whether anything about its calls is decided here; else everything streams through unparsed.
    pub has_policy: bool,
    /// Whether a call of any of its tools costs something.
    pub has_price: bool,
    /// Whether its tools' definitions are compared with what was approved.
    pub has_pins: bool,
    /// Whether a demand to pay is a plain HTTP 402.
    pub payment_as_http: bool,
    /// Whether it is a program that is spoken to over its standard streams.
    pub is_program: bool,
    /// Whether its sessions are kept here, and have a bound here.
    pub keeps_sessions: bool,
    /// Whether it speaks no streamable HTTP itself, and what stands for it there knows no batches.
    pub takes_single_messages: bool,
    upstream: Arc<dyn Upstream>,
    client: Arc<McpClient>,
    health: Arc<Health>,
    marks: Arc<DispatchMarks>,
    call_ids: Arc<CallIds>,
    /// `None`: no answer of the server is looked at.
    result_scan: Option<ResultScan>,
}

impl Carrier {
    /// The way to a server.
    pub fn new(
        name: ServerName,
        server: &Server,
        upstream: Arc<dyn Upstream>,
        client: Arc<McpClient>,
        marks: Arc<DispatchMarks>,
    ) -> Self {
        let (has_policy, has_price, payment_as_http) =
            (server.has_policy(), server.has_price(), server.payment_as_http);
        let has_pins = has_policy && !server.pins.is_off();
        let is_program = matches!(server.transport, Transport::Stdio { .. });
        let keeps_sessions = is_program || matches!(server.transport, Transport::Sse(_));
        let takes_single_messages = !matches!(server.transport, Transport::Http(_));
        let health = Arc::clone(client.health());
        let result_scan = ResultScan::of(server);
        Self {
            name,
            has_policy,
            has_price,
            has_pins,
            payment_as_http,
            is_program,
            keeps_sessions,
            takes_single_messages,
            upstream,
            client,
            health,
            marks,
            call_ids: Arc::default(),
            result_scan,
        }
    }

    /// Whether the server gives out sessions to callers of the era of sessions, as far as is known.
    pub fn gives_sessions(&self) -> bool {
        self.client.gives_sessions()
    }

    /// Whether the server speaks the era without sessions, as it told the gateway itself within the last minutes; `None`: it gave no word.
    pub async fn speaks_modern(&self) -> Option<bool> {
        self.client.speaks_modern().await
    }

    /// The same way under another policy.
    #[must_use]
    pub fn under(&self, server: &Server) -> Self {
        let (upstream, client) = (Arc::clone(&self.upstream), Arc::clone(&self.client));
        let under = Self::new(self.name.clone(), server, upstream, client, Arc::clone(&self.marks));
        Self { call_ids: Arc::clone(&self.call_ids), ..under }
    }

    /// Whether both are the same way to a server.
    pub fn is_way_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.upstream, &other.upstream)
    }

    /// Whether the server works on a request.
    pub fn is_busy(&self) -> bool {
        self.upstream.is_busy()
    }

    /// How the server is doing, which every exchange with it adds to.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What the caller of a call without an answer is told.
    pub fn lost(&self, kind: FailureKind) -> Fault {
        match (kind, self.health.resting()) {
            (FailureKind::Unreachable, Err(resting)) => {
                Fault::UpstreamResting { retry_after_ms: resting.retry_after_ms }
            }
            _ => Fault::Upstream { kind },
        }
    }

    /// An answer that had begun broke off.
    pub fn broke_off(&self, error: &UpstreamError) {
        self.health.failed(error);
    }

    /// Passes on what is not a tool call of a server with a policy: streamed both ways, no body read.
    ///
    /// # Errors
    /// When no HTTP answer came, or, of a server with a policy, one that asks for a payment of its own or sends its reader elsewhere.
    pub async fn pass(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let ticket = self.health.admit()?;
        let passed = self.upstream.exchange(request).await;
        match &passed {
            Ok(response) => ticket.answered(response.status()),
            Err(error) => ticket.failed(error),
        }
        let mut response = passed?;
        if self.has_policy {
            if reserved::is_http_demand(&response) {
                return Err(UpstreamError::NotAnAnswer("it demands a payment of its own"));
            }
            reserved::strip(&mut response)?;
        }
        Ok(response)
    }

    /// Ends what runs for this server only, once no call does.
    pub async fn stop(&self) {
        self.client.close().await;
        self.upstream.stop();
    }

    /// Sends the caller's own MCP request and takes the tool's answer out of what comes back. Only a permitted call comes here.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn exchange(
        &self,
        _permitted: &Permitted,
        request: Request<Body>,
        id: &RequestId,
        limits: intercept::Limits<'_>,
        deadline: Instant,
        tasks: &TaskTracker,
    ) -> Result<Intercepted, UpstreamError> {
        let ticket = self.health.admit()?;
        // Only in the era of sessions is there a way back to a stream that ended early.
        let resumes = request.headers().contains_key(headers::SESSION_ID);
        let resume = resumes.then(|| Resume::after(Arc::clone(&self.upstream), request.headers()));
        let exchange = self.upstream.exchange(request);
        let exchanged = tokio::time::timeout_at(deadline, exchange).await;
        let intercepted = match exchanged.unwrap_or(Err(UpstreamError::TimedOut)) {
            Ok(mut response) => {
                if let Err(error) = reserved::strip(&mut response) {
                    // It was reached, and may have said so to this caller alone.
                    ticket.answered(response.status());
                    return Err(error);
                }
                intercept(Answering { response, resume }, id, limits, deadline, tasks).await
            }
            Err(error) => Err(error),
        };
        match &intercepted {
            Ok(Intercepted::Refused(response)) => ticket.answered(response.status()),
            Ok(Intercepted::Whole(_) | Intercepted::Streamed(_)) => ticket.answered(StatusCode::OK),
            Err(error) => ticket.failed(error),
        }
        intercepted
    }

    /// Calls the tool over the gateway's own session; `context` are members of `_meta`, keys and raw JSON.
    pub async fn call(
        &self,
        permitted: &Permitted,
        context: &[(&'static str, String)],
        deadline: Instant,
    ) -> Noted {
        let outcome = self.called(permitted, context, deadline).await;
        self.noted(permitted, outcome)
    }

    async fn called(
        &self,
        permitted: &Permitted,
        context: &[(&'static str, String)],
        deadline: Instant,
    ) -> Outcome<ToolAnswer> {
        let context: Vec<(&str, &str)> = context.iter().map(|(key, raw)| (*key, raw.as_str())).collect();
        let calling = self.client.call_tool(permitted.tool().tool.as_str(), permitted.arguments(), &context);
        match tokio::time::timeout_at(deadline, calling).await {
            Err(_) => {
                self.health.failed(&UpstreamError::TimedOut);
                Outcome::Lost(FailureKind::TimedOut)
            }
            Ok(Ok(called)) => {
                let result_type = result::result_type(&called.result);
                if reserved::is_demand_result(&called.result) {
                    return Outcome::Lost(FailureKind::DemandedPayment);
                }
                let result = reserved::without_reserved(called.result);
                outcome_of_result(result, called.is_error, result_type)
            }
            Ok(Err(ClientError::Rpc { code, message, .. })) => {
                let error = serde_json::json!({ "code": code, "message": message }).to_string();
                if tollgate_rails::foreign::is_demand(error.as_bytes()) {
                    Outcome::Lost(FailureKind::DemandedPayment)
                } else {
                    Outcome::Failed(ToolAnswer::Error(error.into()))
                }
            }
            Ok(Err(ClientError::Status(StatusCode::PAYMENT_REQUIRED))) => {
                Outcome::Lost(FailureKind::DemandedPayment)
            }
            Ok(Err(ClientError::Upstream(error))) => Outcome::Lost(error.kind()),
            Ok(Err(error)) => {
                tracing::warn!(server = %self.name, %error, "the tool gave no usable answer");
                Outcome::Lost(FailureKind::Broken)
            }
        }
    }

    /// The outcome of a call after a look at the answer, where the operator wants one; with a word in the log where the server
    /// asked for money past the gateway.
    pub fn noted(&self, permitted: &Permitted, outcome: Outcome<ToolAnswer>) -> Noted {
        if outcome == Outcome::Lost(FailureKind::DemandedPayment) {
            let call = permitted.call();
            tracing::warn!(server = %self.name, %call, "a server demanded a payment of its own; it was withheld");
        }
        match &self.result_scan {
            Some(scan) => scan.look(&permitted.tool().tool, outcome),
            None => outcome.into(),
        }
    }

    /// The same for an answer that is a message: what it means, and, where it is not to go on as it came, the message that goes on.
    pub fn noted_answer(&self, permitted: &Permitted, answer: &Frame) -> (Noted, Option<Frame>) {
        self.noted(permitted, outcome_of(answer)).with_message(answer)
    }

    /// What is done about what its tools say later than in the answer to their call.
    pub fn scans_later(&self) -> ResultPolicy {
        self.result_scan.as_ref().map(ResultScan::strictest).unwrap_or_default()
    }

    /// Under which id the server is to know a call, where that is not the caller's: one of the era of sessions that costs something.
    ///
    /// # Errors
    /// When there is no randomness: the call must not leave under an id that can be guessed.
    pub fn own_id(
        &self,
        permitted: &Permitted,
        era: Era,
        headers: &HeaderMap,
        called: &RequestId,
    ) -> Result<Option<OwnId>, UpstreamError> {
        if era == Era::Modern || !permitted.is_paid() {
            return Ok(None);
        }
        let random = clock::random().map_err(|error| UpstreamError::Unreachable(Box::new(error)))?;
        Ok(Some(self.call_ids.own(headers, called, random)))
    }

    /// A message of a session as the server is to see it: which call is cancelled, by the id that it knows. `None`: as it came.
    pub fn told(&self, headers: &HeaderMap, frame: &Frame) -> Option<Frame> {
        self.call_ids.told(headers, frame)
    }

    /// Remembers that this call leaves now. Without the mark it must not: after a crash nobody could tell. Whoever carries it
    /// out keeps the mark until the end is on the books: a crash before that must find a call that may have run.
    /// A free call leaves nothing behind that could be asked about.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn mark(&self, permitted: &Permitted) -> Result<Option<Mark<'_>>, UpstreamError> {
        if !permitted.is_paid() {
            return Ok(None);
        }
        let marked = self.marks.mark(permitted.call());
        marked.map(Some).map_err(|error| UpstreamError::Unreachable(Box::new(error)))
    }
}

/// What the caller of an exchange without an answer is told.
pub fn fault_of(error: &UpstreamError) -> Fault {
    match error {
        UpstreamError::Resting(resting) => Fault::UpstreamResting { retry_after_ms: resting.retry_after_ms },
        UpstreamError::NoRoom
        | UpstreamError::Unreachable(_)
        | UpstreamError::Broken(_)
        | UpstreamError::NotAnAnswer(_)
        | UpstreamError::TimedOut
        | UpstreamError::TooLarge(_)
        | UpstreamError::Abandoned => Fault::Upstream { kind: error.kind() },
    }
}

/// What a tool's JSON-RPC answer means. One that asks for a payment past the gateway is no answer.
pub fn outcome_of(answer: &Frame) -> Outcome<ToolAnswer> {
    if reserved::is_demand(answer) {
        return Outcome::Lost(FailureKind::DemandedPayment);
    }
    if let Some(result) = answer.result() {
        return outcome_of_result(result, answer.is_error_result(), answer.result_type());
    }
    match answer.error() {
        Some(error) => Outcome::Failed(ToolAnswer::Error(error)),
        None => Outcome::Lost(FailureKind::Broken),
    }
}

/// A result is delivered, and paid for, unless it says that the tool failed or that it needs more input first (MCP
/// 2026-07-28, multi round-trip requests: the call is not over, so nothing is charged yet).
fn outcome_of_result(result: Bytes, is_error: bool, result_type: Option<String>) -> Outcome<ToolAnswer> {
    if is_error || result_type.is_some_and(|kind| kind == "input_required") {
        Outcome::Failed(ToolAnswer::Result(result))
    } else {
        Outcome::Delivered(ToolAnswer::Result(result))
    }
}
