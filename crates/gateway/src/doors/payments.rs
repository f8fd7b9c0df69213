//! `/api/v1/payments/…`: what a call would cost, whether a payment would do, a reservation for later, what was spent.

mod asked;
mod authorize;
mod described;
mod spending;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde_json::{Value, json};
use tollgate_domain::Caller;
use tollgate_gate::{Answer, Challenge, Checked, CreditUse, Denial, Door, Refusal, denied, pricing, render};

use crate::clock;
use crate::described::Doors;
use crate::doors::Peer;
use crate::doors::execute::{into_response, read, turned_away};
use crate::doors::holder::holder;
use crate::gateway::Gateway;

/// The doors of the payments API.
pub(super) fn doors() -> Doors {
    Doors::new(described::SCHEMAS)
        .post("/api/v1/payments/challenge", challenge, &described::CHALLENGE)
        .post("/api/v1/payments/verify", verify, &described::VERIFY)
        .post("/api/v1/payments/authorize", authorize::authorize, &described::AUTHORIZE)
        .get("/api/v1/payments/spending/{agent_id}", spending::spending, &described::SPENDING)
}

/// `POST /api/v1/payments/challenge`: the price of a call and every way to pay it, without calling.
async fn challenge(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let url = execute_url(&gateway);
    let challenged = async {
        let request = asked(&gateway, peer, &uri, &headers, body, CreditUse::Refused).await?;
        let listed = ready(&gateway, &request).await?;
        let challenge = gateway.gate.challenge(request, clock::now()).await?;
        Ok::<_, Refusal>(shown(&challenge, pricing(&listed.price), &url))
    };
    into_response(challenged.await.unwrap_or_else(|refusal| refused(&gateway, &refusal, &url)))
}

fn shown(challenge: &Challenge, rules: Value, url: &str) -> Answer {
    let free = challenge.free.map(|free| json!({ "calls": free.calls, "per": free.per.to_string() }));
    let Some((expires, demand)) = &challenge.demand else {
        let mut facts = json!({ "payment_required": false, "pricing": rules });
        if let (Some(members), Some(free)) = (facts.as_object_mut(), free) {
            members.insert("free".to_owned(), free);
        }
        return plain(StatusCode::OK, &facts);
    };
    let mut facts = demand.facts(url);
    if let Some(members) = facts.as_object_mut() {
        members.insert("payment_required".to_owned(), json!(free.is_none()));
        members.insert("expires_at".to_owned(), json!(expires.to_string()));
        members.insert("message".to_owned(), json!(demand.sentence()));
        if let Some(free) = free {
            members.insert("free".to_owned(), free);
        }
    }
    let mut answer = plain(StatusCode::OK, &facts);
    if let Some(required) = demand.payment_required(url) {
        let value = tollgate_rails::x402::wire::header(&required);
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers.insert(HeaderName::from_static("payment-required"), value);
        }
    }
    for challenge in demand.www_authenticate() {
        if let Ok(value) = HeaderValue::from_str(challenge) {
            answer.headers.append(header::WWW_AUTHENTICATE, value);
        }
    }
    answer
}

/// `POST /api/v1/payments/verify`: whether a payment would pay for a call. Nothing is used up.
async fn verify(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let url = execute_url(&gateway);
    let verified = async {
        let request = asked(&gateway, peer, &uri, &headers, body, CreditUse::Refused).await?;
        ready(&gateway, &request).await?;
        gateway.gate.check_payment(request, clock::now()).await
    };
    into_response(match verified.await {
        Ok(checked) => plain(StatusCode::OK, &judged(&gateway, &checked)),
        Err(refusal) => refused(&gateway, &refusal, &url),
    })
}

fn judged(gateway: &Gateway, checked: &Checked) -> Value {
    match checked {
        Checked::Valid(payment) => json!({
            "valid": true, "payment_required": true, "rail": payment.key.rail(), "payer": payment.payer.principal(),
            "amount": payment.amount, "asset": payment.asset, "expires_at": payment.expires.to_string(),
        }),
        Checked::NotNeeded => json!({ "valid": true, "payment_required": false }),
        Checked::Invalid(denial) => {
            let code = denial.code().word;
            json!({
                "valid": false, "payment_required": true, "reason": code, "message": denial.message(),
                "next_step": denial.next_step(),
                "docs_url": format!("{}/docs/errors/{code}", gateway.config.public_url),
            })
        }
    }
}

/// The request for the call that the body is about, with whatever pays in the headers or the body.
async fn asked(
    gateway: &Gateway,
    peer: Peer,
    uri: &Uri,
    headers: &HeaderMap,
    body: axum::body::Body,
    credit: CreditUse,
) -> Result<tollgate_gate::Request, Refusal> {
    let asking = asked::Asking { uri, headers, peer, credit };
    let body = read(gateway, body).await.map_err(Refusal::denied)?;
    asked::request(gateway, &asking, &body).await.map(|(request, _)| request).map_err(Refusal::denied)
}

/// What the catalogue says of the tool, once its server was asked.
async fn ready(
    gateway: &Gateway,
    request: &tollgate_gate::Request,
) -> Result<Arc<tollgate_gate::Listed>, Refusal> {
    use tollgate_gate::Catalog;
    let tool = &request.tool;
    gateway.tools.ready(tool, clock::now()).await.map_err(|error| Refusal::faulted(error.fault()))?;
    gateway.tools.tool(tool).ok_or_else(|| Refusal::denied(Denial::UnknownTool(tool.clone())))
}

/// Who asks: the holder of an API key.
///
/// # Errors
/// The denial, also for whoever shows none.
pub(super) fn key_holder(gateway: &Gateway, headers: &HeaderMap) -> Result<Caller, Denial> {
    holder(gateway, headers, "This is for the holder of an API key, and no API key was sent.")
        .map(Caller::ApiKey)
}

/// Payments are made for executions: that is what they name.
fn execute_url(gateway: &Gateway) -> String {
    format!("{}/api/v1/execute", gateway.config.public_url)
}

fn refused(gateway: &Gateway, refusal: &Refusal, url: &str) -> Answer {
    render(&refusal.verdict, refusal.call, Door::Rest, gateway.naming(url))
}

fn denied_here(gateway: &Arc<Gateway>, denial: Denial) -> Answer {
    let refusal = turned_away(gateway, denial, Door::Rest);
    refused(gateway, &refusal, "")
}

fn denied_plainly(gateway: &Gateway, denial: &Denial) -> Answer {
    denied(denial, None, Door::Rest, gateway.naming(""))
}

/// An answer that is nobody else's and may be another in a moment.
fn plain(status: StatusCode, body: &Value) -> Answer {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Answer { status, headers, body: body.to_string().into() }
}
