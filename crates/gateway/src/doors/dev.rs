//! Doors of dev mode only: pay a dev invoice, look at sandbox balances. They do not exist in live mode.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tollgate_domain::{Amount, TransferId};
use tollgate_ledger::StoreError;
use tollgate_rails::evm::Address;
use tollgate_rails::lightning::lnd_rest;
use tollgate_till::sandbox;

use crate::clock;
use crate::doors::execute::into_response;
use crate::gateway::Gateway;

/// The paths of dev mode.
pub(crate) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/dev/lightning/pay", post(pay))
        .route("/dev/lnd/v2/router/send", post(router_send))
        .route("/dev/sandbox/balances/{address}", get(balance))
        .route("/dev/sandbox/mint", post(mint))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    bolt11: String,
}

/// What LND's `routerrpc.SendPaymentRequest` says that matters here; the rest of it is let be.
#[derive(Deserialize)]
struct RouterSend {
    payment_request: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    address: String,
    amount: Amount,
}

/// `POST /dev/lightning/pay {"bolt11"}` → `{"preimage"}`: pays an invoice of this gateway's dev wallet.
async fn pay(State(gateway): State<Arc<Gateway>>, axum::Json(Pay { bolt11 }): axum::Json<Pay>) -> Response {
    let Some(dev) = &gateway.dev else { return StatusCode::NOT_FOUND.into_response() };
    into_response(sandbox::pay(dev, &bolt11).await)
}

/// `POST /dev/lnd/v2/router/send`: the same for clients of an LND wallet.
async fn router_send(
    State(gateway): State<Arc<Gateway>>,
    axum::Json(send): axum::Json<RouterSend>,
) -> Response {
    let Some(dev) = &gateway.dev else { return StatusCode::NOT_FOUND.into_response() };
    let text = match dev.wallet.pay(&send.payment_request, clock::now()).await {
        Ok(paid) => lnd_rest::router_send_succeeded(&paid),
        Err(error) => lnd_rest::router_send_failed(&error),
    };
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// `GET /dev/sandbox/balances/{address}`.
async fn balance(State(gateway): State<Arc<Gateway>>, Path(address): Path<String>) -> Response {
    let Some(dev) = &gateway.dev else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(address) = address.parse::<Address>() else {
        return malformed("the address is not 0x and 40 digits");
    };
    match dev.balances(&gateway.gate.ports().store, address).await {
        Ok(balances) => {
            // What the wallet has, as a token contract would tell it; calls that run hold some of it back.
            let amount = balances.credits_posted.checked_sub(balances.debits_posted).unwrap_or_default();
            axum::Json(json!({
                "address": address.to_string(), "amount": amount, "display": dev.usdc.display(amount),
                "reserved": balances.debits_pending, "sandbox": true,
            }))
            .into_response()
        }
        Err(error) => unavailable(&error),
    }
}

/// `POST /dev/sandbox/mint {"address","amount"}`: sandbox money for a test wallet.
async fn mint(State(gateway): State<Arc<Gateway>>, axum::Json(mint): axum::Json<Mint>) -> Response {
    let Some(dev) = &gateway.dev else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(address) = mint.address.parse::<Address>() else {
        return malformed("the address is not 0x and 40 digits");
    };
    let (now, random) = match clock::random() {
        Ok(random) => (clock::now(), random),
        Err(error) => {
            tracing::error!(%error, "no randomness for the id of a transfer");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let id = TransferId::new(now, random);
    match dev.mint(&gateway.gate.ports().store, address, mint.amount, id, now).await {
        Ok(granted) => axum::Json(json!({
            "minted": mint.amount, "available": granted.available, "sandbox": true,
        }))
        .into_response(),
        Err(StoreError::Refused(refusal)) => malformed(&refusal.to_string()),
        Err(error) => unavailable(&error),
    }
}

fn malformed(message: &str) -> Response {
    let body = json!({ "error": { "code": "malformed", "message": message, "retryable": false } });
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

fn unavailable(error: &StoreError) -> Response {
    tracing::error!(%error, "could not use the books of sandbox money");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
