//! Whether the process lives, and whether it takes work.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::carrier::Carrier;
use crate::gateway::Gateway;

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> axum::Json<serde_json::Value> {
    axum::Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: work is taken; 503 while draining or after the ledger stopped taking money. How the servers are doing is
/// told beside it: one that is down is not the gateway's end.
pub(crate) async fn ready(
    State(gateway): State<Arc<Gateway>>,
) -> (StatusCode, axum::Json<serde_json::Value>) {
    let draining = gateway.readiness.is_draining();
    let ledger_open = gateway.gate.ports().store.is_open();
    let status = if draining || !ledger_open { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let servers: Map<String, Value> = gateway
        .carriers
        .iter()
        .map(|(name, carrier)| (name.to_string(), standing(&gateway, carrier)))
        .collect();
    let body = json!({
        "ready": status == StatusCode::OK,
        "draining": draining,
        "ledger_open": ledger_open,
        "servers": servers,
    });
    (status, axum::Json(body))
}

pub(super) fn standing(gateway: &Gateway, carrier: &Carrier) -> Value {
    let standing = carrier.health().standing();
    let mut facts = Map::new();
    facts.insert("state".to_owned(), json!(standing.state));
    facts.insert("failures_in_a_row".to_owned(), json!(standing.failures_in_a_row));
    if carrier.has_policy {
        let tools = gateway.tools.all().iter().filter(|listed| listed.tool.server == carrier.name).count();
        facts.insert("tools".to_owned(), json!(tools));
    }
    if let Some(word) = standing.last_failure {
        facts.insert("last_failure".to_owned(), json!(word));
    }
    if let Some(millis) = standing.retry_after_ms {
        facts.insert("retry_after_ms".to_owned(), json!(millis));
    }
    Value::Object(facts)
}
