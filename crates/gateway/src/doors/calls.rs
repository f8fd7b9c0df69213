//! Reading: the tools for sale, where a call stands, receipts.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::{Value, json};
use tollgate_gate::pricing;
use tollgate_till::documents;

use crate::described::{Access, Doors, Group, Operation, Parameter, Place, Schema, Shape, Told};
use crate::doors::asked::Segments;
use crate::doors::execute::into_response;
use crate::doors::holder::private;
use crate::gateway::Gateway;

/// The doors of this file.
pub(super) fn doors() -> Doors {
    Doors::new(SCHEMAS).get("/api/v1/tools", tools, &TOOLS).get("/api/v1/calls/{id}", call, &CALL).get(
        "/api/v1/receipts/{id}",
        receipt,
        &RECEIPT,
    )
}

/// `GET /api/v1/tools`: name, description, pricing and server of every listed tool.
pub(crate) async fn tools(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response {
    let viewer = gateway.gate.viewer(&headers).await;
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
                "settle": listed.settle,
                "requirement": {
                    "api_key": listed.requirement.api_key,
                    "min_reputation": listed.requirement.min_reputation,
                },
                "mcp_url": format!("{}/servers/{}/mcp", gateway.config.public_url, listed.tool.server),
            })
        })
        .collect();
    let response =
        axum::Json(json!({ "tools": tools, "mode": gateway.foundation.mode.word() })).into_response();
    let is_for_anybody = gateway.tools.servers().all(|server| !gateway.tools.lists_callable_only(server));
    if is_for_anybody { response } else { private(response) }
}

/// `GET /api/v1/calls/{id}`: where the settlement of a call stands.
pub(crate) async fn call(State(gateway): State<Arc<Gateway>>, Segments(id): Segments<String>) -> Response {
    into_response(documents::call(&gateway.gate.ports().store, &id).await)
}

/// `GET /api/v1/receipts/{id}`: the sealed envelope.
pub(crate) async fn receipt(State(gateway): State<Arc<Gateway>>, Segments(id): Segments<String>) -> Response {
    into_response(documents::receipt(&gateway.gate.ports().store, &id).await)
}

/// How [`tools`] is described.
pub(crate) const TOOLS: Operation = Operation {
    id: "listTools",
    group: Group::Tools,
    access: Access::Anyone,
    summary: "The tools for sale.",
    about: "Every tool with a policy: its price in atomic units and for people, and what is asked of its callers. Of a server with \
            `list_callable_only`, those that whoever asks may call.",
    parameters: &[],
    body: None,
    told: &[Told::json(
        200,
        "The tools.",
        Shape::Named("Tools"),
        Some(
            r#"{"tools":[{"name":"web-search","server":"search","description":"Searches the web.","pricing":{"type":"per_call","price":"500000","options":[{"amount":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","symbol":"USDC","decimals":6,"display":"0.5 USDC"}]},"requirement":{"api_key":false,"min_reputation":"0.0"},"mcp_url":"http://127.0.0.1:3100/servers/search/mcp"}],"mode":"sandbox"}"#,
        ),
    )],
    codes: &[],
};

/// How [`call`] is described.
pub(crate) const CALL: Operation = Operation {
    id: "readCall",
    group: Group::Tools,
    access: Access::Anyone,
    summary: "Where the settlement of a paid call stands.",
    about: "The result itself is given to whoever repeats the request with the same payment, and to nobody else.",
    parameters: &[Parameter {
        place: Place::Path,
        name: "id",
        about: "The call, as answers and receipts name it.",
        shape: Shape::Named("CallId"),
        example: "call_103518Rpy1IgAnbQiqcrFy6",
    }],
    body: None,
    told: &[Told::json(
        200,
        "Where it stands.",
        Shape::Named("Settlement"),
        Some(
            r#"{"call_id":"call_103518Rpy1IgAnbQiqcrFy6","tool":"web-search","server":"search","state":"settled","final":true,"charged":true,"amount":"500000","amount_charged":"500000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","rail":"x402","payment_ref":null,"reason":null,"receipt_id":"rcpt_103518Rpy1IgAnbQiqcrFy6"}"#,
        ),
    )],
    codes: &[&["not_found", "internal"]],
};

/// How [`receipt`] is described.
pub(crate) const RECEIPT: Operation = Operation {
    id: "readReceipt",
    group: Group::Tools,
    access: Access::Anyone,
    summary: "A sealed receipt.",
    about: "A DSSE envelope. `tollgate receipt verify` checks it offline, with the keys of `/.well-known/jwks.json` alone.",
    parameters: &[Parameter {
        place: Place::Path,
        name: "id",
        about: "The receipt.",
        shape: Shape::Named("ReceiptId"),
        example: "rcpt_103518Rpy1IgAnbQiqcrFy6",
    }],
    body: None,
    told: &[Told::json(
        200,
        "The envelope.",
        Shape::Named("Envelope"),
        Some(
            r#"{"payloadType":"application/vnd.tollgate.call-receipt+json","payload":"eyJ2IjoxfQ==","signatures":[{"keyid":"5vQm","sig":"AAAA"}]}"#,
        ),
    )],
    codes: &[&["not_found", "internal"]],
};

/// What these operations name.
pub(crate) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "Amount",
        json: r#"{"type":"string","pattern":"^(0|[1-9][0-9]{0,38})$","description":"An amount in the smallest unit of its asset.","examples":["500000"]}"#,
    },
    Schema {
        name: "CallId",
        json: r#"{"type":"string","pattern":"^call_1[0-9A-Za-z]{22}$","examples":["call_103518Rpy1IgAnbQiqcrFy6"]}"#,
    },
    Schema {
        name: "ReceiptId",
        json: r#"{"type":"string","pattern":"^rcpt_1[0-9A-Za-z]{22}$","examples":["rcpt_103518Rpy1IgAnbQiqcrFy6"]}"#,
    },
    Schema {
        name: "Pricing",
        json: r##"{"type":"object","required":["type"],"properties":{
            "type":{"type":"string","description":"`free`, `per_call`, or the rule that the price of a call follows from, with the rules in it as further members: `free_tier`, `volume`, `standing`, `per_unit`, `per_result`, `formula`, `windows`."},
            "price":{"$ref":"#/components/schemas/Amount"},
            "options":{"type":"array","description":"Each way to pay; one of them is enough.","items":{
                "type":"object","required":["asset","symbol","decimals"],"properties":{
                    "amount":{"$ref":"#/components/schemas/Amount"},
                    "asset":{"type":"string","description":"A CAIP-19 id."},
                    "symbol":{"type":"string"},
                    "decimals":{"type":"integer","minimum":0},
                    "display":{"type":"string","description":"The same for people."}}}}}}"##,
    },
    Schema {
        name: "Tools",
        json: r##"{"type":"object","required":["tools","mode"],"properties":{
            "mode":{"enum":["sandbox","live"],"description":"Whether the money is real."},
            "tools":{"type":"array","items":{
                "type":"object","required":["name","server","description","pricing","requirement","mcp_url"],"properties":{
                    "name":{"type":"string"},
                    "server":{"type":"string"},
                    "description":{"type":["string","null"]},
                    "pricing":{"$ref":"#/components/schemas/Pricing"},
                    "settle":{"enum":["after","before","escrow"]},
                    "requirement":{"type":"object","description":"What is asked of callers.","required":["api_key","min_reputation"],"properties":{
                        "api_key":{"type":"boolean"},"min_reputation":{"type":"string","description":"A share between 0 and 1."}}},
                    "mcp_url":{"type":"string","description":"The MCP endpoint of its server."}}}}}}"##,
    },
    Schema {
        name: "Settlement",
        json: r##"{"type":"object","required":["call_id","tool","server","state","final","charged","amount","amount_charged","asset","rail"],"properties":{
            "call_id":{"$ref":"#/components/schemas/CallId"},
            "tool":{"type":"string"},
            "server":{"type":"string"},
            "state":{"enum":["claimed","executing","executed","submitted","settled","delivered","refund_due","refunded","voided","failed","unknown","in_doubt","manual"],
                "description":"`unknown`: whether the money moved is looked up until it is decided; it is never paid again before."},
            "final":{"type":"boolean","description":"Whether nothing more happens to this attempt."},
            "charged":{"type":"boolean"},
            "settle":{"enum":["after","before","escrow"],"description":"When the money moves, seen from the tool."},
            "amount":{"$ref":"#/components/schemas/Amount"},
            "amount_charged":{"$ref":"#/components/schemas/Amount","description":"How much of it was charged and not given back; less than the amount where the price follows from the size of the result."},
            "asset":{"type":"string"},
            "rail":{"type":"string"},
            "payment_ref":{"type":["string","null"],"description":"What the rail calls the payment: a transaction, a payment hash."},
            "reason":{"type":["string","null"]},
            "refund":{"type":["object","null"],"description":"What went back, as credit of whom."},
            "escrow_id":{"type":["string","null"],"description":"The escrow that the money was put into, where the call is settled by one."},
            "receipt_id":{"type":["string","null"]}}}"##,
    },
    Schema {
        name: "Envelope",
        json: r#"{"type":"object","description":"A DSSE envelope; the payload is a statement in canonical JSON.","required":["payloadType","payload","signatures"],"properties":{
            "payloadType":{"type":"string"},
            "payload":{"type":"string","description":"Base64."},
            "signatures":{"type":"array","items":{"type":"object","required":["keyid","sig"],"properties":{
                "keyid":{"type":"string"},"sig":{"type":"string"}}}}}}"#,
    },
];
