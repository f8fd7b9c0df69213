//! `POST /v1/execute`: plain JSON-RPC 2.0 with `tools/list`, `tools/call` and `tools/execute`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tollgate_gate::{Answer, CreditUse, Denial, Door, Found, denied, pricing, render, request};
use tollgate_mcp::{Frame, FrameFault, RequestId, reply};

use crate::carry::run;
use crate::doors::Peer;
use crate::doors::execute::{into_response, read, resolve, turned_away};
use crate::gateway::Gateway;
use crate::telemetry::Arrival;

/// Answers one JSON-RPC request.
pub(crate) async fn execute(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let url = format!("{}/v1/execute", gateway.config.public_url);
    let answer = match read(&gateway, body).await.map(Frame::parse) {
        Err(denial) => denied(&denial, None, Door::JsonRpc { id: None }, gateway.naming(&url)),
        Ok(Err(error)) => {
            let denial = frame_denial(&error);
            denied(&denial, None, Door::JsonRpc { id: error.id() }, gateway.naming(&url))
        }
        Ok(Ok(frame)) => answer(&gateway, &headers, &uri, &frame, peer, &url).await,
    };
    into_response(answer)
}

/// A frame that was not accepted, as a denial.
pub(crate) fn frame_denial(error: &tollgate_mcp::FrameError) -> Denial {
    match error.fault() {
        FrameFault::Batch => Denial::BatchRefused,
        fault => Denial::MalformedFrame { json_rpc: error.code(), reason: fault.to_string() },
    }
}

async fn answer(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    uri: &Uri,
    frame: &Frame,
    peer: Peer,
    url: &str,
) -> Answer {
    let id = frame.id();
    let door = Door::JsonRpc { id };
    match (frame.method(), id) {
        (Some("tools/list"), Some(id)) => plain(StatusCode::OK, reply::result(id, list(gateway).to_string())),
        (Some("tools/call" | "tools/execute"), Some(_)) => {
            let refusal = match prepared(gateway, headers, uri, frame, peer).await {
                Ok(request) => match run(gateway, request, door, url, Arrival::of(headers, frame)).await {
                    Ok(answer) => return answer,
                    Err(refusal) => refusal,
                },
                Err(denial) => turned_away(gateway, denial, door),
            };
            render(&refusal.verdict, refusal.call, door, gateway.naming(url))
        }
        (method, id) => unknown_method(method, id),
    }
}

async fn prepared(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    uri: &Uri,
    frame: &Frame,
    peer: Peer,
) -> Result<tollgate_gate::Request, Denial> {
    let malformed = |reason: &str| Denial::MalformedFrame { json_rpc: -32_602, reason: reason.to_owned() };
    let name = frame.param("tool").or_else(|| frame.param("name")).and_then(tollgate_mcp::json::string);
    let name = name.ok_or_else(|| malformed("params.tool is not a string"))?;
    let arguments = match frame.param("arguments") {
        None => Bytes::from_static(b"{}"),
        Some(raw) if raw.starts_with(b"{") => frame.bytes().slice_ref(raw),
        Some(_) => return Err(Denial::InvalidArguments(vec!["arguments must be an object".to_owned()])),
    };
    let found = Found {
        tool: resolve(gateway, &name).await?,
        arguments,
        headers,
        query: uri.query(),
        credit: CreditUse::Allowed,
        maximum: None,
        origin: peer.origin,
    };
    request(found, |key| frame.meta(key))
}

fn list(gateway: &Gateway) -> Value {
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
            })
        })
        .collect();
    json!({ "tools": tools })
}

fn unknown_method(method: Option<&str>, id: Option<&RequestId>) -> Answer {
    let message = match method {
        Some(_) => "This endpoint knows tools/list, tools/call and tools/execute.",
        None => "This endpoint takes requests only.",
    };
    plain(StatusCode::OK, reply::error(id, reply::code::METHOD_NOT_FOUND, message, None))
}

fn plain(status: StatusCode, body: Bytes) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Answer { status, headers, body }
}
