//! Servers as operators see them: what is written, where it comes from, how they are doing, what their tools cost.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use tollgate_gate::pricing;

use super::Desk;
use super::answer::{Failed, versioned};
use crate::config::Overlay;
use crate::control::{Refused, Standing};
use crate::doors::asked::Segments;
use crate::doors::health::standing;
use crate::gateway::Gateway;

/// `GET /admin/v1/servers`: every server.
pub(super) async fn servers(State(desk): State<Desk>) -> Response {
    let now = desk.control.standing().await;
    let gateway = desk.control.live().snapshot();
    let mut names: Vec<String> = gateway.carriers.keys().map(ToString::to_string).collect();
    names.extend(gateway.config.gate_servers.keys().map(ToString::to_string));
    names.sort();
    let servers: Vec<Value> = names.iter().map(|name| shown(&gateway, &now, name)).collect();
    let removed = now.overlay.servers.iter().filter(|(_, server)| server.is_none()).map(|(name, _)| name);
    let removed: Vec<&String> = removed.collect();
    let body = json!({ "version": now.version, "servers": servers, "removed_from_file": removed });
    versioned(&now.version, &body)
}

/// `GET /admin/v1/servers/{server}`: one of them.
pub(super) async fn server(
    State(desk): State<Desk>,
    Segments(name): Segments<String>,
) -> Result<Response, Failed> {
    let now = desk.control.standing().await;
    let gateway = desk.control.live().snapshot();
    let is_known = name.parse().is_ok_and(|name| {
        gateway.carriers.contains_key(&name) || gateway.config.gate_servers.contains_key(&name)
    });
    if !is_known {
        return Err(Refused::Unknown(format!("server {}", name.chars().take(64).collect::<String>())).into());
    }
    Ok(versioned(&now.version, &shown(&gateway, &now, &name)))
}

fn shown(gateway: &Gateway, now: &Standing, name: &str) -> Value {
    let Ok(server) = name.parse() else { return Value::Null };
    let health = gateway.carriers.get(&server).map(|carrier| standing(gateway, carrier));
    let tools: Vec<Value> = gateway
        .tools
        .of(&server)
        .iter()
        .map(|listed| {
            json!({
                "name": listed.tool.tool,
                "description": listed.description,
                "pricing": pricing(&listed.price),
                "price_from": price_origin(&now.overlay, name, listed.tool.tool.as_str()),
                "may_be_called": listed.withheld.is_none(),
            })
        })
        .collect();
    json!({
        "name": name,
        "from": if now.overlay.servers.contains_key(name) { "admin" } else { "file" },
        "settings": now.written.get("servers").and_then(|servers| servers.get(name)),
        "health": health,
        "tools": tools,
    })
}

fn price_origin(overlay: &Overlay, server: &str, tool: &str) -> &'static str {
    let is_set = overlay.prices.get(server).is_some_and(|prices| prices.contains_key(tool));
    if is_set || overlay.servers.contains_key(server) { "admin" } else { "file" }
}
