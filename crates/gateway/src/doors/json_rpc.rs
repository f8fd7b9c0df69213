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
use crate::described::{Access, Body, Doors, Example, Group, Operation, Schema, Shape, Told};
use crate::doors::Peer;
use crate::doors::execute::{into_response, read, resolve, turned_away};
use crate::gateway::Gateway;
use crate::telemetry::Arrival;

/// The doors of this file.
pub(super) fn doors() -> Doors {
    Doors::new(SCHEMAS).post("/v1/execute", execute, &EXECUTE)
}

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
        FrameFault::Batch => {
            Denial::BatchRefused { reason: "this endpoint takes one message a request".to_owned() }
        }
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
        (Some("tools/list"), Some(id)) => {
            plain(StatusCode::OK, reply::result(id, list(gateway, headers).await.to_string()))
        }
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

async fn list(gateway: &Gateway, headers: &HeaderMap) -> Value {
    let viewer = gateway.gate.viewer(headers).await;
    let tools: Vec<Value> = gateway
        .tools
        .all()
        .iter()
        .filter(|listed| gateway.tools.is_shown_to(&viewer, &listed.tool))
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

/// How [`execute`] is described.
pub(crate) const EXECUTE: Operation = Operation {
    id: "executeRpc",
    group: Group::JsonRpc,
    access: Access::Caller,
    summary: "Lists and calls tools over JSON-RPC 2.0.",
    about: "The methods are `tools/list`, `tools/call` and `tools/execute`; one message a request, no batches. Errors of a call carry their \
        code in `error.data.error`, and a demand to pay every offer in `error.data`; the HTTP status is that of the code, except that an unknown \
        tool and unfit arguments are answered with 200. Payments and keys are presented as at `/api/v1/execute`.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Named("RpcRequest"),
        examples: &[
            Example {
                shows: "Calls a tool.",
                json: r#"{"jsonrpc":"2.0","id":1,"method":"tools/execute","params":{"tool":"web-search","arguments":{"query":"hello"}}}"#,
            },
            Example {
                shows: "The same, as MCP spells it.",
                json: r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"web-search","arguments":{"query":"hello"}}}"#,
            },
            Example {
                shows: "The tools for sale.",
                json: r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#,
            },
        ],
    }),
    told: &[
        Told::json(
            200,
            "The result, or an error.",
            Shape::Named("RpcAnswer"),
            Some(
                r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello"}],"structuredContent":{"echo":{"query":"hello"}}}}"#,
            ),
        ),
        refused(400, "The message was not accepted."),
        refused(401, "The credential was not accepted."),
        Told {
            headers: &[
                ("PAYMENT-REQUIRED", "x402 version 2: `PaymentRequired` in base64."),
                ("WWW-Authenticate", "One line per challenge."),
            ],
            ..refused(402, "The call costs something and was not paid for.")
        },
        refused(403, "The caller may not call this tool."),
        refused(404, "No such server."),
        refused(408, "The body did not arrive in time."),
        refused(409, "The payment is used, or the price is above the maximum."),
        refused(413, "The body is too large."),
        refused(429, "The caller is too fast."),
        refused(500, "Something went wrong inside the gateway."),
        refused(502, "The tool's server gave no usable answer."),
        refused(503, "The gateway is at its limit, or the payment is not decided yet."),
        refused(504, "The tool did not answer in time."),
    ],
    codes: &[],
};

const fn refused(status: u16, about: &'static str) -> Told {
    Told::json(status, about, Shape::Named("RpcError"), None)
}

/// What these operations name.
pub(crate) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "RpcRequest",
        json: r#"{"type":"object","required":["jsonrpc","id","method"],"properties":{
            "jsonrpc":{"const":"2.0"},
            "id":{"type":["string","integer"],"minimum":-9007199254740991,"maximum":9007199254740991},
            "method":{"enum":["tools/list","tools/call","tools/execute"]},
            "params":{"type":"object","properties":{
                "tool":{"type":"string","description":"The tool, as `tools/execute` names it."},
                "name":{"type":"string","description":"The tool, as `tools/call` names it."},
                "arguments":{"type":"object"}}}},
            "if":{"properties":{"method":{"const":"tools/list"}}},
            "else":{"required":["params"],"properties":{"params":{"anyOf":[{"required":["tool"]},{"required":["name"]}]}}}}"#,
    },
    Schema {
        name: "RpcResult",
        json: r#"{"type":"object","required":["jsonrpc","id","result"],"properties":{
            "jsonrpc":{"const":"2.0"},"id":{"type":["string","number"]},"result":{"type":"object"}}}"#,
    },
    Schema {
        name: "RpcError",
        json: r#"{"type":"object","required":["jsonrpc","error"],"properties":{
            "jsonrpc":{"const":"2.0"},
            "id":{"type":["string","number","null"]},
            "error":{"type":"object","required":["code","message"],"properties":{
                "code":{"type":"integer"},
                "message":{"type":"string"},
                "data":{"type":"object","description":"The facts: `error` is the stable code, `next_step` what to do, `x402` and `l402` the offers of a demand."}}}}}"#,
    },
    Schema {
        name: "RpcAnswer",
        json: r##"{"anyOf":[{"$ref":"#/components/schemas/RpcResult"},{"$ref":"#/components/schemas/RpcError"}]}"##,
    },
];
