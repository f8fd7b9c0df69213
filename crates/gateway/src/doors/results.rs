//! `GET /api/v1/receipts/{id}/result`: what a paid call answered, once more, for whoever made it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use tollgate_domain::{CallId, ReceiptId};
use tollgate_gate::{Denial, Door, Evidence, Fault, delivered, denied, faulted, render};
use tollgate_ledger::LedgerStore;
use tollgate_risk::room::{Full, Share};

use crate::described::{Access, Doors, Group, Operation, Parameter, Place, Shape, Told};
use crate::doors::asked::Segments;
use crate::doors::body::FULL_RETRY_MS;
use crate::doors::execute::into_response;
use crate::gateway::Gateway;

/// The doors of this file.
pub(super) fn doors() -> Doors {
    Doors::new(&[]).get("/api/v1/receipts/{id}/result", result, &RESULT)
}

/// The result, its call and its receipt, as the call itself brought them.
pub(crate) async fn result(
    State(gateway): State<Arc<Gateway>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let Ok(id) = id.parse::<ReceiptId>() else { return nothing() };
    let naming = gateway.naming(uri.path());
    let call = match gateway.gate.ports().store.receipt(&id).await {
        Ok(envelope) => envelope.and_then(|envelope| call_of(&envelope)),
        Err(error) => {
            tracing::error!(%error, "could not read a receipt");
            return into_response(faulted(&Fault::Internal(error.to_string()), None, Door::Rest, naming));
        }
    };
    let Some(call) = call else { return nothing() };
    match gateway.gate.kept_result(call, &headers, uri.query()).await {
        Ok(Some(answer)) => {
            let bytes = answer.result.as_deref().unwrap_or(b"null");
            let mut told = delivered(bytes, &Evidence::stored(&answer), call, Door::Rest);
            let mut share = Share::default();
            if let Err(Full) = share.grow(&gateway.foundation.answers, told.body.len()) {
                let denial = Denial::NoRoom { retry_after_ms: FULL_RETRY_MS };
                return into_response(denied(&denial, Some(call), Door::Rest, naming));
            }
            told.body = share.keep(told.body);
            into_response(told)
        }
        Ok(None) => nothing(),
        Err(verdict) => into_response(render(&verdict, Some(call), Door::Rest, naming)),
    }
}

/// The call that a receipt is for.
fn call_of(envelope: &str) -> Option<CallId> {
    #[derive(Deserialize)]
    struct Envelope {
        payload: String,
    }
    #[derive(Deserialize)]
    struct Statement {
        call_id: CallId,
    }
    let Envelope { payload } = serde_json::from_str(envelope).ok()?;
    let payload = base64::engine::general_purpose::STANDARD.decode(payload).ok()?;
    serde_json::from_slice::<Statement>(&payload).ok().map(|statement| statement.call_id)
}

/// One answer for what is not there and for what is somebody else's.
fn nothing() -> Response {
    let body = json!({ "error": {
        "code": "not_found",
        "message": "No result is kept under this receipt for this caller.",
        "next_step": "Check the id, and ask with the API key or the very payment of the call; a call that was not charged left no result.",
        "retryable": false,
    }});
    let headers = [(http::header::CACHE_CONTROL, "no-store")];
    (StatusCode::NOT_FOUND, headers, axum::Json(body)).into_response()
}

/// How [`result`] is described.
pub(crate) const RESULT: Operation = Operation {
    id: "readResult",
    group: Group::Tools,
    access: Access::Caller,
    summary: "What a paid call answered, once more.",
    about: "For whoever made the call: with its API key, or with the very payment, unchanged and in the same carriers (a payment whose time is over \
        still shows who paid). Takes nothing and runs nothing. Results are kept for `receipts.result_ttl_seconds`.",
    parameters: &[Parameter {
        place: Place::Path,
        name: "id",
        about: "The receipt of the call.",
        shape: Shape::Named("ReceiptId"),
        example: "rcpt_103518Rpy1IgAnbQiqcrFy6",
    }],
    body: None,
    told: &[Told::json(
        200,
        "The result, and the receipt of the call.",
        Shape::Named("Executed"),
        Some(
            r#"{"result":{"content":[{"type":"text","text":"hello"}]},"call_id":"call_103518Rpy1IgAnbQiqcrFy6","receipt":{"envelope":{"payloadType":"application/vnd.tollgate.call-receipt+json","payload":"eyJ2IjoxfQ==","signatures":[{"keyid":"5vQm","sig":"AAAA"}]}}}"#,
        ),
    )],
    codes: &[&[
        "not_found",
        "unauthenticated",
        "payment_unreadable",
        "payment_ambiguous",
        "payment_carrier_refused",
        "payment_invalid",
        "payment_wrong_target",
        "result_expired",
        "no_room",
        "store_busy",
        "store_closed",
        "internal",
    ]],
};
