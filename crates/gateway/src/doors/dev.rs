//! Doors of dev mode only: pay a dev invoice, look at sandbox balances. They do not exist in live mode.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tollgate_domain::{Amount, TransferId};
use tollgate_gate::{Denial, Door, Fault, denied, faulted};
use tollgate_ledger::StoreError;
use tollgate_rails::evm::Address;
use tollgate_rails::lightning::lnd_rest;
use tollgate_till::sandbox;

use crate::clock;
use crate::described::{
    self, Access, Doors, Example, Group, Operation, Parameter, Place, Schema, Shape, Told, UNREAD,
};
use crate::doors::asked::{Segments, read_json};
use crate::doors::documents::not_found;
use crate::doors::execute::into_response;
use crate::gateway::Gateway;

/// The paths of dev mode.
pub(super) fn doors() -> Doors {
    Doors::new(SCHEMAS)
        .post("/dev/lightning/pay", pay, &PAY)
        .post("/dev/lnd/v2/router/send", router_send, &ROUTER_SEND)
        .get("/dev/sandbox/balances/{address}", balance, &BALANCE)
        .post("/dev/sandbox/mint", mint, &MINT)
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
async fn pay(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let Some(dev) = &gateway.foundation.dev else { return not_found().await.into_response() };
    match read_json(&gateway, body, "{\"bolt11\"}").await {
        Ok(Pay { bolt11 }) => into_response(sandbox::pay(dev, &bolt11).await),
        Err(denial) => refused(&gateway, &denial),
    }
}

/// `POST /dev/lnd/v2/router/send`: the same for clients of an LND wallet.
async fn router_send(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let Some(dev) = &gateway.foundation.dev else { return not_found().await.into_response() };
    let send: RouterSend = match read_json(&gateway, body, "{\"payment_request\"}").await {
        Ok(send) => send,
        Err(denial) => return refused(&gateway, &denial),
    };
    let text = match dev.wallet.pay(&send.payment_request, clock::now()).await {
        Ok(paid) => lnd_rest::router_send_succeeded(&paid),
        Err(error) => lnd_rest::router_send_failed(&error),
    };
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// `GET /dev/sandbox/balances/{address}`.
async fn balance(State(gateway): State<Arc<Gateway>>, Segments(address): Segments<String>) -> Response {
    let Some(dev) = &gateway.foundation.dev else { return not_found().await.into_response() };
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
        Err(error) => unavailable(&gateway, &error),
    }
}

/// `POST /dev/sandbox/mint {"address","amount"}`: sandbox money for a test wallet.
async fn mint(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let Some(dev) = &gateway.foundation.dev else { return not_found().await.into_response() };
    let mint: Mint = match read_json(&gateway, body, "{\"address\",\"amount\"}").await {
        Ok(mint) => mint,
        Err(denial) => return refused(&gateway, &denial),
    };
    let Ok(address) = mint.address.parse::<Address>() else {
        return malformed("the address is not 0x and 40 digits");
    };
    let (now, random) = match clock::random() {
        Ok(random) => (clock::now(), random),
        Err(error) => {
            return fault(&gateway, Fault::Internal(format!("draw the id of a transfer: {error}")));
        }
    };
    let id = TransferId::new(now, random);
    match dev.mint(&gateway.gate.ports().store, address, mint.amount, id, now).await {
        Ok(granted) => axum::Json(json!({
            "minted": mint.amount, "available": granted.available, "sandbox": true,
        }))
        .into_response(),
        Err(StoreError::Refused(refusal)) => malformed(&refusal.to_string()),
        Err(error) => unavailable(&gateway, &error),
    }
}

fn refused(gateway: &Gateway, denial: &Denial) -> Response {
    into_response(denied(denial, None, Door::Rest, gateway.naming("")))
}

fn malformed(message: &str) -> Response {
    let body = json!({ "error": {
        "code": "malformed", "message": message, "next_step": "Send what the message asks for.", "retryable": false,
    }});
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

fn unavailable(gateway: &Gateway, error: &StoreError) -> Response {
    fault(gateway, Fault::Internal(format!("use the books of sandbox money: {error}")))
}

fn fault(gateway: &Gateway, fault: Fault) -> Response {
    tracing::error!(error = %fault, "a door of dev mode failed");
    into_response(faulted(&fault, None, Door::Rest, gateway.naming("")))
}

/// How [`pay`] is described.
const PAY: Operation = Operation {
    id: "devPayInvoice",
    group: Group::Dev,
    access: Access::Dev,
    summary: "Pays an invoice of this gateway from the dev Lightning wallet.",
    about: "Plays the payer's wallet: the preimage completes the L402 credential of the demand that the invoice came with.",
    parameters: &[],
    body: Some(described::Body {
        shape: Shape::Json(
            r#"{"type":"object","required":["bolt11"],"additionalProperties":false,"properties":{"bolt11":{"type":"string"}}}"#,
        ),
        examples: &[Example {
            shows: "An invoice of a demand.",
            json: r#"{"bolt11":"lnbcrt100n1p0example"}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "It is paid.",
        Shape::Json(
            r#"{"type":"object","required":["preimage","payment_hash","sats","network"],"properties":{"preimage":{"type":"string"},"payment_hash":{"type":"string"},"sats":{"type":"integer"},"network":{"const":"regtest"}}}"#,
        ),
        Some(
            r#"{"preimage":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","payment_hash":"ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100","sats":10,"network":"regtest"}"#,
        ),
    )],
    codes: &[UNREAD, &["invoice_not_paid"]],
};

/// How [`router_send`] is described.
const ROUTER_SEND: Operation = Operation {
    id: "devRouterSend",
    group: Group::Dev,
    access: Access::Dev,
    summary: "The same for clients of an LND wallet.",
    about: "The form of LND's `routerrpc.SendPaymentV2` over REST; members other than `payment_request` are let be.",
    parameters: &[],
    body: Some(described::Body {
        shape: Shape::Json(
            r#"{"type":"object","required":["payment_request"],"properties":{"payment_request":{"type":"string"}}}"#,
        ),
        examples: &[Example {
            shows: "An invoice of a demand.",
            json: r#"{"payment_request":"lnbcrt100n1p0example","timeout_seconds":60}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "What became of the payment, or LND's error.",
        Shape::Json(
            r#"{"type":"object","properties":{"result":{"type":"object","required":["status"],"properties":{"status":{"enum":["SUCCEEDED","FAILED"]}}},"error":{"type":"object"}}}"#,
        ),
        Some(
            r#"{"result":{"status":"FAILED","failure_reason":"FAILURE_REASON_INCORRECT_PAYMENT_DETAILS","value_sat":"0","fee_sat":"0"}}"#,
        ),
    )],
    codes: &[UNREAD],
};

/// How [`balance`] is described.
const BALANCE: Operation = Operation {
    id: "devBalance",
    group: Group::Dev,
    access: Access::Dev,
    summary: "What a wallet has in sandbox money.",
    about: "As a token contract would tell it; calls that run hold some of it back.",
    parameters: &[Parameter {
        place: Place::Path,
        name: "address",
        about: "The wallet.",
        shape: Shape::Named("Address"),
        example: "0x036cbd53842c5426634e7929541ec2318f3dcf7e",
    }],
    body: None,
    told: &[Told::json(
        200,
        "The balance.",
        Shape::Json(
            r##"{"type":"object","required":["address","amount","display","reserved","sandbox"],"properties":{"address":{"type":"string"},"amount":{"$ref":"#/components/schemas/Amount"},"display":{"type":"string"},"reserved":{"$ref":"#/components/schemas/Amount"},"sandbox":{"const":true}}}"##,
        ),
        Some(
            r#"{"address":"0x036CbD53842c5426634e7929541eC2318f3dCF7e","amount":"100000000","display":"100 USDC","reserved":"0","sandbox":true}"#,
        ),
    )],
    codes: &[&["malformed", "internal"]],
};

/// How [`mint`] is described.
const MINT: Operation = Operation {
    id: "devMint",
    group: Group::Dev,
    access: Access::Dev,
    summary: "Makes sandbox money for a wallet.",
    about: "Booked on the gateway's own ledger, and worth nothing.",
    parameters: &[],
    body: Some(described::Body {
        shape: Shape::Json(
            r##"{"type":"object","required":["address","amount"],"additionalProperties":false,"properties":{"address":{"$ref":"#/components/schemas/Address"},"amount":{"allOf":[{"$ref":"#/components/schemas/Amount"},{"not":{"const":"0"}}]}}}"##,
        ),
        examples: &[Example {
            shows: "One USDC.",
            json: r#"{"address":"0x036cbd53842c5426634e7929541ec2318f3dcf7e","amount":"1000000"}"#,
        }],
    }),
    told: &[Told::json(
        200,
        "It is there.",
        Shape::Json(
            r##"{"type":"object","required":["minted","available","sandbox"],"properties":{"minted":{"$ref":"#/components/schemas/Amount"},"available":{"$ref":"#/components/schemas/Amount"},"sandbox":{"const":true}}}"##,
        ),
        Some(r#"{"minted":"1000000","available":"1000000","sandbox":true}"#),
    )],
    codes: &[UNREAD, &["malformed", "internal"]],
};

/// What these operations name.
const SCHEMAS: &[Schema] = &[Schema {
    name: "Address",
    json: r#"{"type":"string","pattern":"^0x[0-9a-fA-F]{40}$","description":"An EVM address."}"#,
}];
