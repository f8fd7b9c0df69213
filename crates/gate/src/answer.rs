//! The one file that renders a no, and the gateway's own part of a yes, for every door and protocol era.
//!
//! Forms: a plain HTTP body `{"error":{"code",…}}` with status and headers; a JSON-RPC error whose `data` carries the
//! same facts; an MCP tool result where MCP clients look for a demand to pay or for what is wrong with their arguments.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use tollgate_domain::CallId;
use tollgate_ledger::StoredAnswer;
use tollgate_mcp::{Era, RequestId, reply};

use crate::code::{Code, Retry};
use crate::demand::Demand;
use crate::denial::Denial;
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::station::Verdict;

/// The door a request came through, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub enum Door<'a> {
    /// MCP streamable HTTP.
    Mcp {
        /// The protocol era of this request.
        era: Era,
        /// The request's JSON-RPC id.
        id: Option<&'a RequestId>,
        /// Whether a demand to pay is a plain HTTP 402 instead of a tool result.
        payment_as_http: bool,
    },
    /// Plain JSON-RPC over HTTP.
    JsonRpc {
        /// The request's JSON-RPC id.
        id: Option<&'a RequestId>,
    },
    /// The REST API.
    Rest,
}

impl Door<'_> {
    /// The word in logs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Mcp { .. } => "mcp",
            Self::JsonRpc { .. } => "json_rpc",
            Self::Rest => "rest",
        }
    }
}

/// An answer ready to be sent.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers, content type included.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What every answer may name: where the pages of the error codes are, and what is being paid for.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// The base URL of this gateway, without a trailing slash.
    pub base_url: &'a str,
    /// The resource in a demand: `mcp://tool/NAME`, or the URL of the HTTP request.
    pub resource_url: &'a str,
}

/// Renders why a call was not carried out, or the stored answer of a repeated payment.
pub fn render(verdict: &Verdict, call: Option<CallId>, door: Door<'_>, naming: Naming<'_>) -> Answer {
    match verdict {
        Verdict::Denied(denial) => denied(denial, call, door, naming),
        Verdict::Faulted(fault) => faulted(fault, call, door, naming),
        Verdict::Repeated(answer) => repeated(answer, door),
    }
}

/// Renders a denial.
pub fn denied(denial: &Denial, call: Option<CallId>, door: Door<'_>, naming: Naming<'_>) -> Answer {
    let (code, message) = (denial.code(), denial.message());
    let mut facts = facts(code, &message, denial.next_step(), denial.retry_after_ms(), call, naming);
    merge(&mut facts, denial.facts());
    if let Some(path) = denial.approval_path() {
        facts.insert("approval_url".to_owned(), json!(format!("{}{path}", naming.base_url)));
    }
    let demand = denial.demand();
    if let Some(demand) = demand {
        merge(&mut facts, demand.facts(naming.resource_url));
    }
    let mut answer = match (door, demand) {
        (Door::Mcp { era, id, payment_as_http: false }, Some(demand)) => {
            demand_result(era, id, demand, &message, &facts, naming)
        }
        (Door::Mcp { payment_as_http: true, .. } | Door::Rest, Some(demand)) => {
            http_demand(rest_error(code, facts), demand, naming)
        }
        (Door::JsonRpc { id }, Some(demand)) => {
            let error = rpc_error(code, status_for(door, code), id, &message, &facts);
            http_demand(error, demand, naming)
        }
        (Door::Mcp { era, id, .. }, None) if matches!(denial, Denial::InvalidArguments(_)) => {
            let said = format!("{message} {}", denial.next_step());
            let meta = text(&facts);
            let result = reply::tool_result(era, &[&said], None, &[("tollgate/denial", &meta)], true);
            json_answer(StatusCode::OK, result_message(id, &result))
        }
        (Door::Mcp { id, .. } | Door::JsonRpc { id }, _) => {
            rpc_error(code, status_for(door, code), id, &message, &facts)
        }
        (Door::Rest, None) => rest_error(code, facts),
    };
    retry_after(&mut answer, denial.retry_after_ms());
    answer
}

/// Renders a fault: its text names no inner detail.
pub fn faulted(fault: &Fault, call: Option<CallId>, door: Door<'_>, naming: Naming<'_>) -> Answer {
    let code = fault.code();
    let mut facts = facts(code, fault.message(), fault.next_step(), fault.retry_after_ms(), call, naming);
    merge(&mut facts, fault.facts());
    let mut answer = match door {
        Door::Mcp { id, .. } | Door::JsonRpc { id } => {
            rpc_error(code, status_for(door, code), id, fault.message(), &facts)
        }
        Door::Rest => rest_error(code, facts),
    };
    retry_after(&mut answer, fault.retry_after_ms().or(Some(1_000).filter(|_| code.http == 503)));
    answer
}

/// Renders the stored answer of a payment that was used for the same request before.
fn repeated(stored: &StoredAnswer, door: Door<'_>) -> Answer {
    let note = "This payment was already used for this very request; this is its stored answer.";
    let evidence = Evidence { note: Some(note), ..Evidence::stored(stored) };
    delivered(stored.result.as_deref().unwrap_or(b"{}"), &evidence, stored.call, door)
}

/// Renders a delivered result with the gateway's evidence beside it.
pub fn delivered(result: &[u8], evidence: &Evidence, call: CallId, door: Door<'_>) -> Answer {
    let mut answer = match door {
        Door::Mcp { id, .. } | Door::JsonRpc { id } => {
            let plain = result_message(id, result);
            let meta = evidence.meta();
            let entries: Vec<(&str, &str)> = meta.iter().map(|(key, value)| (*key, value.as_str())).collect();
            let body = tollgate_mcp::result::with_result_meta(&plain, &entries, |_| false).unwrap_or(plain);
            json_answer(StatusCode::OK, body)
        }
        Door::Rest => {
            let mut body = Vec::with_capacity(result.len().saturating_add(512));
            body.extend_from_slice(b"{\"result\":");
            body.extend_from_slice(result);
            body.extend_from_slice(format!(",\"call_id\":\"{call}\"").as_bytes());
            if let Some(receipt) = evidence.receipt_json() {
                body.extend_from_slice(b",\"receipt\":");
                body.extend_from_slice(receipt.as_bytes());
            }
            if let Some(escrow) = evidence.escrow() {
                body.extend_from_slice(b",\"escrow\":");
                body.extend_from_slice(escrow.to_json().to_string().as_bytes());
            }
            if let Some(charge) = evidence.charge() {
                body.extend_from_slice(b",\"charge\":");
                body.extend_from_slice(charge.to_json().to_string().as_bytes());
            }
            if let Some(refund) = evidence.refund() {
                body.extend_from_slice(b",\"refund\":");
                body.extend_from_slice(refund.to_json().to_string().as_bytes());
            }
            if let Some(note) = evidence.note() {
                body.extend_from_slice(b",\"note\":");
                body.extend_from_slice(json!(note).to_string().as_bytes());
            }
            body.push(b'}');
            json_answer(StatusCode::OK, body.into())
        }
    };
    evidence.mark(&mut answer.headers);
    answer
}

fn facts(
    code: Code,
    message: &str,
    next_step: &str,
    retry_after_ms: Option<u64>,
    call: Option<CallId>,
    naming: Naming<'_>,
) -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("error".to_owned(), json!(code.word));
    facts.insert("message".to_owned(), json!(message));
    facts.insert("next_step".to_owned(), json!(next_step));
    facts.insert("retryable".to_owned(), json!(code.retry == Retry::Later));
    if let Some(millis) = retry_after_ms {
        facts.insert("retry_after_ms".to_owned(), json!(millis));
    }
    if let Some(call) = call {
        facts.insert("call_id".to_owned(), json!(call));
    }
    facts.insert("docs_url".to_owned(), json!(format!("{}/docs/errors/{}", naming.base_url, code.word)));
    facts
}

/// Whoever floods is refused often: `Display` of a value writes through a formatter, at twice the cost.
fn text(object: &Map<String, Value>) -> String {
    serde_json::to_string(object).unwrap_or_default() // names are strings: it cannot fail
}

fn merge(facts: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        facts.extend(more);
    }
}

/// The HTTP status of a JSON-RPC error. MCP puts an unknown tool or task under 200 in the legacy era: a 404 would tell the client
/// that its session is gone.
fn status_for(door: Door<'_>, code: Code) -> StatusCode {
    let unknown_tool = code.word == crate::code::UNKNOWN_TOOL.word;
    let unknown_handle = code.word == crate::code::HANDLE_UNKNOWN.word;
    let invalid_arguments = code.word == crate::code::INVALID_ARGUMENTS.word;
    let status = match door {
        Door::Mcp { era: Era::Legacy, .. } if unknown_tool || unknown_handle => 200,
        Door::JsonRpc { .. } if unknown_tool || invalid_arguments => 200,
        Door::Mcp { .. } | Door::JsonRpc { .. } | Door::Rest => code.http,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn rpc_error(
    code: Code,
    status: StatusCode,
    id: Option<&RequestId>,
    message: &str,
    facts: &Map<String, Value>,
) -> Answer {
    json_answer(status, reply::error(id, code.json_rpc, message, Some(&text(facts))))
}

fn rest_error(code: Code, facts: Map<String, Value>) -> Answer {
    let status = StatusCode::from_u16(code.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json_answer(status, text(&rest_body(code, facts)).into())
}

/// `{"error":{"code","message","next_step",…,"data":{…}}}`.
fn rest_body(code: Code, mut facts: Map<String, Value>) -> Map<String, Value> {
    let mut error = Map::new();
    error.insert("code".to_owned(), json!(code.word));
    facts.remove("error");
    for name in ["message", "next_step", "retryable", "retry_after_ms", "docs_url", "call_id"] {
        if let Some(value) = facts.remove(name) {
            error.insert(name.to_owned(), value);
        }
    }
    error.insert("data".to_owned(), Value::Object(facts));
    Map::from_iter([("error".to_owned(), Value::Object(error))])
}

/// HTTP 402: x402 v2 in `PAYMENT-REQUIRED`, after a failed settlement with its `PAYMENT-RESPONSE`, L402 and `Payment` in
/// `WWW-Authenticate` lines of their own. The body has the same facts.
fn http_demand(mut answer: Answer, demand: &Demand, naming: Naming<'_>) -> Answer {
    if let Some(required) = demand.payment_required(naming.resource_url) {
        insert(&mut answer.headers, "payment-required", &tollgate_rails::x402::wire::header(&required));
    }
    if let Some(refused) = &demand.refused {
        insert(&mut answer.headers, "payment-response", &tollgate_rails::x402::wire::header(refused));
    }
    for challenge in demand.www_authenticate() {
        if let Ok(value) = HeaderValue::from_str(challenge) {
            answer.headers.append(header::WWW_AUTHENTICATE, value);
        }
    }
    answer
}

/// A demand as an MCP tool result that x402, Cloudflare and MPP clients all understand: the same `PaymentRequired` as
/// structured content, as text and under `_meta["x402/error"]`; MPP and L402 challenges beside it in `_meta`.
fn demand_result(
    era: Era,
    id: Option<&RequestId>,
    demand: &Demand,
    message: &str,
    facts: &Map<String, Value>,
    naming: Naming<'_>,
) -> Answer {
    let mut said = demand.clone();
    said.reason.get_or_insert_with(|| message.to_owned());
    let required = said.payment_required(naming.resource_url);
    let facts = text(facts);
    // Where the tool takes no x402, structured content carries the facts with the L402 challenge instead.
    let structured = required.as_deref().unwrap_or(&facts);
    let mpp = demand.mpp();
    let mut meta: Vec<(&str, &str)> = Vec::with_capacity(4);
    if let Some(required) = &required {
        meta.push(("x402/error", required));
    }
    if let Some(mpp) = &mpp {
        meta.push(("org.paymentauth/payment-required", mpp));
    }
    if let Some(l402) = demand.l402() {
        meta.push(("l402/challenge", l402));
    }
    meta.push(("tollgate/denial", &facts));
    // Clients on the TypeScript SDK up to 1.32 hold what has structured content against the tool's schema, errors too, and show neither
    // price nor offers then. Whoever pays reads the text or `_meta` where there is none.
    let content = Some(structured).filter(|_| !demand.has_output_schema);
    let result = reply::tool_result(era, &[structured], content, &meta, true);
    json_answer(StatusCode::OK, result_message(id, &result))
}

/// A response with this raw result. A request that is answered with a result has an id: the frame parser sees to it.
fn result_message(id: Option<&RequestId>, result: &[u8]) -> Bytes {
    match id {
        Some(id) => reply::result(id, result),
        None => {
            reply::error(None, reply::code::INVALID_REQUEST, "a call without an id cannot be answered", None)
        }
    }
}

/// Refusals must not be cached: the next answer to the same request may be another.
fn json_answer(status: StatusCode, body: Bytes) -> Answer {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer { status, headers, body }
}

fn retry_after(answer: &mut Answer, millis: Option<u64>) {
    if let Some(millis) = millis {
        insert(&mut answer.headers, "retry-after", &millis.div_ceil(1_000).max(1).to_string());
    }
}

pub(crate) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
