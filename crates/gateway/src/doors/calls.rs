//! Reading: the tools for sale, where a call stands, receipts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use tollgate_gate::pricing;
use tollgate_till::documents;

use crate::doors::execute::into_response;
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

/// `GET /api/v1/calls/{id}`: where the settlement of a call stands.
pub(crate) async fn call(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    into_response(documents::call(&gateway.gate.ports().store, &id).await)
}

/// `GET /api/v1/receipts/{id}`: the sealed envelope.
pub(crate) async fn receipt(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    into_response(documents::receipt(&gateway.gate.ports().store, &id).await)
}
