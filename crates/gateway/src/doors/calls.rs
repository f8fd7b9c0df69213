//! Reading: the tools for sale, where a call stands, receipts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tollgate_domain::{CallId, Price, ReceiptId};
use tollgate_ledger::LedgerStore;

use crate::gateway::Gateway;

/// `GET /api/v1/tools`: name, description, pricing and server of every listed tool.
pub(crate) async fn tools(State(gateway): State<Arc<Gateway>>) -> axum::Json<Value> {
    let tools: Vec<Value> = gateway
        .tools
        .all()
        .iter()
        .map(|listed| {
            json!({
                "name": listed.tool.tool,
                "server": listed.tool.server,
                "description": listed.description,
                "pricing": pricing(&listed.price),
                "requirement": {
                    "api_key": listed.requirement.api_key,
                    "min_reputation": listed.requirement.min_reputation,
                },
                "mcp_url": format!("{}/servers/{}/mcp", gateway.config.public_url, listed.tool.server),
            })
        })
        .collect();
    axum::Json(json!({ "tools": tools, "mode": gateway.mode.word() }))
}

/// A price as the API shows it: `type`, `price` in atomic units of the first asset, and every option in both forms.
pub(crate) fn pricing(price: &Price) -> Value {
    let options: Vec<Value> = price
        .options()
        .iter()
        .map(|option| {
            json!({
                "amount": option.amount,
                "asset": option.asset.id(),
                "symbol": option.asset.symbol(),
                "decimals": option.asset.decimals(),
                "display": option.to_string(),
            })
        })
        .collect();
    match price.options().first() {
        None => json!({ "type": "free" }),
        Some(first) => json!({ "type": "per_call", "price": first.amount, "options": options }),
    }
}

/// `GET /api/v1/calls/{id}`: where the settlement of a call stands. The result itself is given to whoever repeats the
/// request with the same payment, and to nobody else.
pub(crate) async fn call(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<CallId>() else { return unknown("call") };
    match gateway.gate.ports().store.settlement_by_call(&id).await {
        Ok(Some(row)) => axum::Json(json!({
            "call_id": row.call,
            "tool": row.binding.tool.tool,
            "server": row.binding.tool.server,
            "state": row.state.word(),
            "final": row.state.is_terminal(),
            "charged": row.state.word() == "settled",
            "amount": row.amount,
            "asset": row.asset,
            "rail": row.key.rail(),
            "payment_ref": row.reference,
            "reason": row.reason,
            "receipt_id": row.receipt,
        }))
        .into_response(),
        Ok(None) => unknown("paid call"),
        Err(error) => unreadable(&error),
    }
}

/// `GET /api/v1/receipts/{id}`: the sealed envelope.
pub(crate) async fn receipt(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<ReceiptId>() else { return unknown("receipt") };
    match gateway.gate.ports().store.receipt(&id).await {
        Ok(Some(envelope)) => ([(header::CONTENT_TYPE, "application/json")], envelope).into_response(),
        Ok(None) => unknown("receipt"),
        Err(error) => unreadable(&error),
    }
}

fn unknown(what: &str) -> Response {
    let body = json!({ "error": {
        "code": "not_found", "message": format!("This gateway knows no such {what}."),
        "next_step": "Check the id.", "retryable": false,
    }});
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

fn unreadable(error: &tollgate_ledger::StoreError) -> Response {
    tracing::error!(%error, "could not read the ledger");
    let body = json!({ "error": {
        "code": "internal", "message": "The ledger cannot be read now.",
        "next_step": "Try again later.", "retryable": true,
    }});
    (StatusCode::INTERNAL_SERVER_ERROR, axum::Json(body)).into_response()
}
