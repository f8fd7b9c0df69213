//! Whether the process lives, and whether it takes work.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde_json::json;

use crate::gateway::Gateway;

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> axum::Json<serde_json::Value> {
    axum::Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: work is taken; 503 while draining or after the ledger stopped taking money.
pub(crate) async fn ready(
    State(gateway): State<Arc<Gateway>>,
) -> (StatusCode, axum::Json<serde_json::Value>) {
    let draining = gateway.readiness.is_draining();
    let ledger_open = gateway.gate.ports().store.is_open();
    let status = if draining || !ledger_open { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = json!({ "ready": status == StatusCode::OK, "draining": draining, "ledger_open": ledger_open });
    (status, axum::Json(body))
}
