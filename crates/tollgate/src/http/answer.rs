//! What a caller is answered, with the evidence in headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use tollgate_domain::CallId;
use tollgate_gate::{
    Answer, Completed, Denial, Door, Ending, Evidence, Fault, Naming, Refusal, Verdict, denied, faulted,
    render,
};

use super::arrived::Arrived;
use super::{Body, stored};
use crate::house::House;
use crate::run::Ended;

/// The id of the call, on every answer that has one.
pub(super) const CALL_ID: HeaderName = HeaderName::from_static("tollgate-call-id");
/// The receipt, in base64: the JSON object `{"envelope":…,"salts":…}`.
pub(super) const RECEIPT: HeaderName = HeaderName::from_static("tollgate-receipt");
/// Stands on a kept answer that was given again.
const REPEATED: HeaderName = HeaderName::from_static("tollgate-repeated");

/// The answer to a call that is not carried out.
pub(super) fn refused(house: &House, arrived: &Arrived, refusal: &Refusal) -> Response<Body> {
    if let Verdict::Repeated(kept) = &*refusal.verdict {
        return repeated(house, arrived, kept);
    }
    tracing::debug!(call = ?refusal.call, tool = ?refusal.tool, verdict = refusal.verdict.word(), "call refused");
    let resource_url = arrived.resource_url();
    let answer = render(&refusal.verdict, refusal.call, Door::Rest, naming(arrived, &resource_url));
    respond(answer, refusal.call)
}

/// The kept answer of a payment that was used for this very request before.
fn repeated(house: &House, arrived: &Arrived, kept: &tollgate_ledger::StoredAnswer) -> Response<Body> {
    let read = kept.result.as_deref().and_then(|result| stored::read(result, &house.answers));
    let Some(mut response) = read else {
        let differs = "it was used for this very request, whose answer is not kept any more".to_owned();
        return say_no(arrived, &Denial::PaymentReplayed { differs }, kept.call);
    };
    prove(response.headers_mut(), kept.call, &Evidence::stored(kept));
    response.headers_mut().insert(REPEATED, HeaderValue::from_static("true"));
    response
}

/// The answer to a call that was carried out.
pub(super) fn ended(arrived: &Arrived, ended: Ended<Response<Body>>) -> Response<Body> {
    let Ended { call, completed, given } = ended;
    let Completed { ending, evidence, .. } = match completed {
        Ok(completed) => completed,
        Err(fault) => return say_fault(arrived, &fault, call),
    };
    let mut response = match (ending, given) {
        (Ending::Delivered(_) | Ending::ToolFailed(_), Some(given)) => given,
        (ending, _) => unanswered(arrived, ending, &evidence, call),
    };
    prove(response.headers_mut(), call, &evidence);
    response
}

/// The answer where the handler's own may not, or cannot, be given.
pub(super) fn unanswered(
    arrived: &Arrived,
    ending: Ending,
    evidence: &Evidence,
    call: CallId,
) -> Response<Body> {
    match ending {
        Ending::Lost(kind) => say_fault(arrived, &Fault::Upstream { kind }.with_refund(evidence), call),
        Ending::PaymentPending => say_fault(arrived, &Fault::PaymentPending { call }, call),
        Ending::Pending => say_fault(arrived, &Fault::SettlementPending { call }, call),
        Ending::PaymentFailed { reason, demand } => {
            say_no(arrived, &Denial::PaymentFailed { reason, demand }, call)
        }
        Ending::Delivered(_) | Ending::ToolFailed(_) => {
            let fault = Fault::Internal("the handler's answer is gone".to_owned());
            say_fault(arrived, &fault, call)
        }
    }
}

fn say_no(arrived: &Arrived, denial: &Denial, call: CallId) -> Response<Body> {
    let resource_url = arrived.resource_url();
    respond(denied(denial, Some(call), Door::Rest, naming(arrived, &resource_url)), Some(call))
}

pub(super) fn say_fault(arrived: &Arrived, fault: &Fault, call: CallId) -> Response<Body> {
    if let Fault::Internal(reason) = fault {
        tracing::error!(%call, reason, "a call could not be finished");
    }
    let resource_url = arrived.resource_url();
    respond(faulted(fault, Some(call), Door::Rest, naming(arrived, &resource_url)), Some(call))
}

fn naming<'a>(arrived: &'a Arrived, resource_url: &'a str) -> Naming<'a> {
    Naming { base_url: &arrived.base_url, resource_url }
}

/// An answer of the street as a response.
pub(crate) fn respond(answer: Answer, call: Option<CallId>) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if let Some(call) = call {
        name_call(response.headers_mut(), call);
    }
    response
}

pub(super) fn name_call(headers: &mut HeaderMap, call: CallId) {
    if let Ok(value) = HeaderValue::from_str(&call.to_string()) {
        headers.insert(CALL_ID, value);
    }
}

/// The receipt as it stands in a header or trailer.
pub(super) fn receipt_value(evidence: &Evidence) -> Option<HeaderValue> {
    HeaderValue::from_str(&STANDARD.encode(evidence.receipt_json()?)).ok()
}

/// Puts the evidence of a call beside an answer. What the handler says of caching stays where nothing was paid.
fn prove(headers: &mut HeaderMap, call: CallId, evidence: &Evidence) {
    name_call(headers, call);
    let receipt = receipt_value(evidence);
    let mut marks = HeaderMap::new();
    evidence.mark(&mut marks);
    for (name, value) in marks {
        match name {
            Some(name) if name == header::VARY => drop(headers.append(name, value)),
            Some(name) if name == header::CACHE_CONTROL && receipt.is_none() => {}
            Some(name) => drop(headers.insert(name, value)),
            None => {}
        }
    }
    if let Some(receipt) = receipt {
        headers.insert(RECEIPT, receipt);
    }
}
