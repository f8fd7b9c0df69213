//! Whether the process lives, and whether it takes work.

use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::Peer;
use super::metrics::{is_forwarded, may_read};
use crate::carrier::Carrier;
use crate::described::{Access, Group, Operation, Schema, Shape, Told};
use crate::gateway::Gateway;

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> axum::Json<serde_json::Value> {
    axum::Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: work is taken; 503 while draining or after the ledger stopped taking money. How many servers are down is told beside it:
/// one that is down is not the gateway's end. Which servers there are is for those who may read the metrics, where they stand too.
pub(crate) async fn ready(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    headers: HeaderMap,
) -> (StatusCode, axum::Json<serde_json::Value>) {
    let draining = gateway.foundation.readiness.is_draining();
    let ledger_open = gateway.gate.ports().store.is_open();
    let status = if draining || !ledger_open { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let is_down =
        |carrier: &&Arc<Carrier>| ["failing", "resting"].contains(&carrier.health().standing().state);
    let mut body = json!({
        "ready": status == StatusCode::OK,
        "draining": draining,
        "ledger_open": ledger_open,
        "servers_total": gateway.carriers.len(),
        "servers_down": gateway.carriers.values().filter(is_down).count(),
    });
    if is_for_operators(&gateway, peer, &headers)
        && let Some(body) = body.as_object_mut()
    {
        let servers = gateway.carriers.iter();
        let servers: Map<String, Value> =
            servers.map(|(name, carrier)| (name.to_string(), standing(&gateway, carrier))).collect();
        body.insert("servers".to_owned(), Value::Object(servers));
    }
    (status, axum::Json(body))
}

/// Whoever may read the metrics; and without a token whoever asks from the very address on which the gateway listens, as the doctor does.
fn is_for_operators(gateway: &Gateway, peer: Peer, headers: &HeaderMap) -> bool {
    let (metrics, listen) = (&gateway.config.metrics, gateway.config.listen.ip());
    let same_machine = metrics.token.is_none() && peer.address.ip() == listen && !is_forwarded(headers);
    same_machine || may_read(metrics, peer.address, headers).is_ok()
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

/// How [`alive`] is described.
pub(crate) const ALIVE: Operation = Operation {
    id: "alive",
    group: Group::Operations,
    access: Access::Probe,
    summary: "Whether the process answers.",
    about: "Says nothing of the ledger or of any server: see `/readyz`.",
    parameters: &[],
    body: None,
    told: &[Told::json(200, "It does.", Shape::Named("Alive"), Some(r#"{"status":"ok"}"#))],
    codes: &[],
};

/// How [`ready`] is described.
pub(crate) const READY: Operation = Operation {
    id: "ready",
    group: Group::Operations,
    access: Access::Probe,
    summary: "Whether the gateway takes work.",
    about: "503 while it drains before its end, and after the ledger stopped taking money. A server that is down does not make the gateway unready. Which servers there are is told to those who may read `/metrics`: by default, whoever asks on the gateway's own machine.",
    parameters: &[],
    body: None,
    told: &[
        Told::json(
            200,
            "It takes work.",
            Shape::Named("Readiness"),
            Some(
                r#"{"ready":true,"draining":false,"ledger_open":true,"servers_total":1,"servers_down":0,"servers":{"search":{"state":"ok","failures_in_a_row":0,"tools":1}}}"#,
            ),
        ),
        Told::json(
            503,
            "It takes none.",
            Shape::Named("Readiness"),
            Some(r#"{"ready":false,"draining":true,"ledger_open":true,"servers_total":1,"servers_down":0}"#),
        ),
    ],
    codes: &[],
};

/// What these operations name.
pub(crate) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "Alive",
        json: r#"{"type":"object","required":["status"],"properties":{"status":{"const":"ok"}}}"#,
    },
    Schema {
        name: "Readiness",
        json: r##"{"type":"object","required":["ready","draining","ledger_open","servers_total","servers_down"],"properties":{
            "ready":{"type":"boolean"},
            "draining":{"type":"boolean","description":"The gateway is ending: running calls are finished, new ones refused."},
            "ledger_open":{"type":"boolean","description":"Whether the ledger takes money operations."},
            "servers_total":{"type":"integer","minimum":0},
            "servers_down":{"type":"integer","minimum":0,"description":"Of them those that are `failing` or `resting`."},
            "servers":{"type":"object","description":"For those who may read `/metrics`.","additionalProperties":{"$ref":"#/components/schemas/ServerHealth"}}}}"##,
    },
    Schema {
        name: "ServerHealth",
        json: r#"{"type":"object","required":["state","failures_in_a_row"],"properties":{
            "state":{"enum":["unknown","ok","failing","resting"],"description":"`unknown`: nothing was asked of it yet; `resting`: its calls are refused for a while."},
            "failures_in_a_row":{"type":"integer","minimum":0},
            "tools":{"type":"integer","minimum":0,"description":"Tools with a policy, where the server has one."},
            "last_failure":{"type":"string"},
            "retry_after_ms":{"type":"integer","minimum":0}}}"#,
    },
];
