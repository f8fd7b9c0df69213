//! What a user of the gate API is told.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tollgate_domain::{Amount, AssetId, CallId, Rail, UnixMillis};
use tollgate_gate::{
    Answer, Call, Completed, Denial, Door, Ending, Fault, NotTaken, Ready, Refusal, Verdict, denied, faulted,
    render,
};

use crate::gateway::Gateway;
use crate::lease::LeaseToken;

/// The most usual answer, written without a tree in between.
#[derive(Serialize)]
struct Allowed<'a> {
    decision: &'static str,
    call_id: CallId,
    lease: String,
    fence: u32,
    deadline: u64,
    caller: &'a str,
    paid: Option<Paid<'a>>,
}

#[derive(Serialize)]
struct Paid<'a> {
    amount: Amount,
    asset: &'a AssetId,
    rail: Rail,
}

/// The call may run until its deadline.
pub(super) fn allowed(held: &Call<Ready>, token: &LeaseToken, deadline: UnixMillis) -> Answer {
    let paid = held.payment();
    json_answer(&Allowed {
        decision: "allow",
        call_id: held.id(),
        lease: token.to_string(),
        fence: held.attempt(),
        deadline: deadline.get(),
        caller: held.principal().as_str(),
        paid: paid.map(|paid| Paid { amount: paid.amount, asset: &paid.asset, rail: paid.key.rail() }),
    })
}

/// The call may not run, or has run before.
pub(super) fn refusal(gateway: &Gateway, refusal: &Refusal, resource: &str) -> Answer {
    let rendered = || render(&refusal.verdict, refusal.call, Door::Rest, gateway.naming(resource));
    match &*refusal.verdict {
        Verdict::Denied(denial) => self::denial(gateway, denial, refusal.call, resource),
        // Our turn: an error status, so that no careless user takes it for a decision.
        Verdict::Faulted(_) => rendered(),
        Verdict::Repeated(stored) => json_answer(&json!({
            "decision": "repeated",
            "call_id": stored.call,
            "answer": as_json(&rendered()),
        })),
    }
}

/// A denial as a decision: a demand to pay, or a no.
pub(super) fn denial(gateway: &Gateway, denial: &Denial, call: Option<CallId>, resource: &str) -> Answer {
    let answer = as_json(&denied(denial, call, Door::Rest, gateway.naming(resource)));
    json_answer(&if denial.demand().is_some() {
        json!({ "decision": "pay", "call_id": call, "code": denial.code().word, "challenge": answer })
    } else {
        json!({
            "decision": "deny",
            "call_id": call,
            "code": denial.code().word,
            "reason": denial.message(),
            "next_step": denial.next_step(),
            "retry_after_ms": denial.retry_after_ms(),
            "answer": answer,
        })
    })
}

/// The call may not run: its tool is paid before, and the money did not come.
pub(super) fn not_taken(gateway: &Gateway, not_taken: &NotTaken, resource: &str) -> Answer {
    let fault = match &not_taken.completed {
        Ok(Completed { ending: Ending::PaymentFailed { reason, demand }, .. }) => {
            let denial = Denial::PaymentFailed { reason: reason.clone(), demand: demand.clone() };
            return self::denial(gateway, &denial, Some(not_taken.call), resource);
        }
        Ok(_) => &Fault::PaymentPending { call: not_taken.call },
        Err(fault) => fault,
    };
    faulted(fault, Some(not_taken.call), Door::Rest, gateway.naming(resource))
}

/// How a leased call ended.
pub(super) fn completed(
    gateway: &Gateway,
    call: CallId,
    completed: Result<Completed, Fault>,
    is_paid: bool,
    resource: &str,
) -> Answer {
    let naming = gateway.naming(resource);
    let Completed { call, ending, evidence } = match completed {
        Ok(completed) => completed,
        Err(fault) => return faulted(&fault, Some(call), Door::Rest, naming),
    };
    let mut headers = HeaderMap::new();
    evidence.mark(&mut headers);
    let mut body = json!({
        "call_id": call,
        "ending": ending.word(),
        // Whether the tool's own answer may go to the caller.
        "deliver": ending.has_answer(),
        "charged": is_paid && matches!(ending, Ending::Delivered(_)),
        "headers": pairs(&headers),
        "meta": raw_members(evidence.meta()),
    });
    let instead = match ending {
        Ending::Delivered(_) | Ending::ToolFailed(_) => None,
        Ending::Lost(kind) => {
            let fault = Fault::Upstream { kind }.with_refund(&evidence);
            Some(faulted(&fault, Some(call), Door::Rest, naming))
        }
        Ending::PaymentPending => {
            Some(faulted(&Fault::PaymentPending { call }, Some(call), Door::Rest, naming))
        }
        Ending::Pending => Some(faulted(&Fault::SettlementPending { call }, Some(call), Door::Rest, naming)),
        Ending::PaymentFailed { reason, demand } => {
            Some(denied(&Denial::PaymentFailed { reason, demand }, Some(call), Door::Rest, naming))
        }
    };
    if let (Value::Object(members), Some(instead)) = (&mut body, instead) {
        members.insert("answer".to_owned(), as_json(&instead));
    }
    if let (Value::Object(members), Some(refund)) = (&mut body, evidence.refund()) {
        members.insert("refund".to_owned(), refund.to_json());
    }
    if let (Value::Object(members), Some(charge)) = (&mut body, evidence.charge()) {
        members.insert("charge".to_owned(), charge.to_json());
    }
    if let (Value::Object(members), Some(receipt)) = (&mut body, evidence.receipt_json()) {
        members.insert("receipt".to_owned(), serde_json::from_str(&receipt).unwrap_or_default());
    }
    json_answer(&body)
}

/// A lease that was never given, or is forgotten.
pub(super) fn no_such_lease() -> Answer {
    let mut answer = json_answer(&json!({ "error": {
        "code": "not_found",
        "message": "This gateway knows no such lease.",
        "next_step": "If the gateway was restarted, look the call up at /api/v1/calls/{call_id}; do not deliver the result.",
        "retryable": false,
    }}));
    answer.status = StatusCode::NOT_FOUND;
    answer
}

/// What the caller is to be told, for the user to pass on.
fn as_json(answer: &Answer) -> Value {
    json!({
        "status": answer.status.as_u16(),
        "headers": pairs(&answer.headers),
        "body": serde_json::from_slice::<Value>(&answer.body).unwrap_or_default(),
    })
}

/// Header lines as pairs: a name may come several times.
fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

/// What belongs into the `_meta` of an MCP result.
fn raw_members(members: Vec<(&'static str, String)>) -> Value {
    let member =
        |(key, raw): (&'static str, String)| Some((key.to_owned(), serde_json::from_str(&raw).ok()?));
    Value::Object(members.into_iter().filter_map(member).collect::<Map<String, Value>>())
}

fn json_answer(body: &impl Serialize) -> Answer {
    // Names and texts alone: none of them can fail to be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer { status: StatusCode::OK, headers, body: Bytes::from(body) }
}
