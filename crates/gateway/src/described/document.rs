//! Operations as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use super::operation::{Group, Operation, Parameter, Place, Shape, Told, codes, has_page};
use super::{Described, Served, Verb};

/// What the document says of the API as a whole.
const ABOUT: &str = "Tollgate stands in front of MCP servers and decides for every call of a tool who calls, whether they are trusted, \
what it costs and whether it is paid. This document describes its HTTP API; MCP itself is spoken at `/mcp` and `/servers/{server}/mcp`. \
Amounts are decimal strings of an asset's smallest unit: `\"500000\"` of a token with 6 decimals is 0.5. Every error has a `code` that \
never changes, a `next_step`, and says whether the same request may succeed later; `/docs/errors/{code}` is its page.";

/// The whole document.
pub(super) fn of(described: &Described) -> Value {
    let tags: Vec<Value> = Group::ALL
        .iter()
        .map(|group| json!({ "name": group.name(), "description": group.about() }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate HTTP API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The gateway that serves this document." }],
        "tags": tags,
        "paths": paths(&described.served),
        "components": { "schemas": schemas(described), "securitySchemes": security_schemes() },
    })
}

/// The schemas with a name.
pub(super) fn schemas(described: &Described) -> Map<String, Value> {
    let named = described.schemas().map(|schema| (schema.name.to_owned(), parsed(schema.json)));
    std::iter::once(("Error".to_owned(), error())).chain(named).collect()
}

fn paths(served: &[Served]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for door in served {
        let path = paths.entry(door.path.to_owned()).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(word(door.verb).to_owned(), operation(door.operation));
        }
    }
    Value::Object(paths)
}

/// The method in lower case.
pub(super) fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::POST => "post",
        Verb::PUT => "put",
        Verb::DELETE => "delete",
        _ => "get",
    }
}

fn operation(operation: &Operation) -> Value {
    let mut shown = json!({
        "operationId": operation.id,
        "tags": [operation.group.name()],
        "summary": operation.summary,
        "description": operation.about,
        "security": security(operation),
        "responses": responses(operation),
    });
    let Some(members) = shown.as_object_mut() else { return shown };
    if !operation.parameters.is_empty() {
        members.insert("parameters".to_owned(), operation.parameters.iter().map(parameter).collect());
    }
    if let Some(body) = &operation.body {
        let examples: Map<String, Value> = (1_u32..)
            .zip(body.examples)
            .map(|(number, example)| {
                (
                    format!("example{number}"),
                    json!({ "summary": example.shows, "value": parsed(example.json) }),
                )
            })
            .collect();
        let content = json!({ "application/json": { "schema": schema(body.shape), "examples": examples } });
        members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    shown
}

fn security(operation: &Operation) -> Value {
    let access = operation.access;
    let open = access.is_open().then(|| json!({}));
    let schemes = access.schemes().iter().map(|scheme| json!({ *scheme: [] }));
    open.filter(|_| !access.schemes().is_empty()).into_iter().chain(schemes).collect()
}

fn parameter(parameter: &Parameter) -> Value {
    let Parameter { place, name, about, shape, example } = parameter;
    let schema = schema(*shape);
    // A number is one also in a query, where everything is text.
    let is_number = schema.get("type").is_some_and(|kind| kind == "integer");
    json!({
        "name": name,
        "in": place.word(),
        "description": about,
        "required": *place == Place::Path,
        "schema": schema,
        "example": if is_number { parsed(example) } else { json!(example) },
    })
}

fn responses(operation: &Operation) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for (status, words) in operation.errors() {
        responses.insert(status.to_string(), refused(status, &words));
    }
    for told in operation.told {
        let status = told.status.to_string();
        let shown = match responses.get(&status) {
            // Both shapes may come under one status.
            Some(known) => {
                let other = known.pointer("/content/application~1json/schema").cloned().unwrap_or_default();
                let about = known.get("description").and_then(Value::as_str).unwrap_or_default();
                let about = [told.about, about].join(" ");
                answer(told, &about, json!({ "anyOf": [schema(told.shape), other] }))
            }
            None => answer(told, told.about, schema(told.shape)),
        };
        responses.insert(status, shown);
    }
    Value::Object(responses)
}

fn answer(told: &Told, about: &str, schema: Value) -> Value {
    let is_json = told.content_type.contains("json");
    let mut content = Map::from_iter([("schema".to_owned(), schema)]);
    if let Some(example) = told.example {
        content.insert("example".to_owned(), if is_json { parsed(example) } else { json!(example) });
    }
    response(about, told.content_type, content, told.headers)
}

fn response(about: &str, content_type: &str, content: Map<String, Value>, known: &[(&str, &str)]) -> Value {
    let mut shown = Map::from_iter([
        ("description".to_owned(), json!(about)),
        ("content".to_owned(), json!({ content_type: content })),
    ]);
    if !known.is_empty() {
        shown.insert("headers".to_owned(), headers(known));
    }
    Value::Object(shown)
}

/// An error: its codes are all that this operation answers with under the status.
fn refused(status: u16, words: &[&str]) -> Value {
    let listed: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let schema = json!({ "allOf": [
        { "$ref": "#/components/schemas/Error" },
        { "properties": { "error": { "properties": { "code": { "enum": words } } } } },
    ]});
    let known: &[(&str, &str)] = match status {
        401 => &[],
        402 => &[
            ("PAYMENT-REQUIRED", "x402 version 2: `PaymentRequired` in base64."),
            ("WWW-Authenticate", "One line per challenge: `L402 macaroon=…, invoice=…`, `Payment …`."),
        ],
        429 | 503 => &[("Retry-After", "Seconds to wait.")],
        _ => &[],
    };
    let about = format!("Refused: {}.", listed.join(", "));
    response(&about, "application/json", Map::from_iter([("schema".to_owned(), schema)]), known)
}

fn headers(known: &[(&str, &str)]) -> Value {
    let header = |(name, about): &(&str, &str)| {
        ((*name).to_owned(), json!({ "description": about, "schema": { "type": "string" } }))
    };
    Value::Object(known.iter().map(header).collect())
}

/// A schema where it is used.
pub(super) fn schema(shape: Shape) -> Value {
    match shape {
        Shape::Named(name) => json!({ "$ref": format!("#/components/schemas/{name}") }),
        Shape::Json(text) => parsed(text),
    }
}

/// The texts are constants of this crate; a test reads every one.
pub(super) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// The one shape of an error over plain HTTP.
fn error() -> Value {
    let mut words: Vec<&str> = codes().map(|(word, _)| word).collect();
    words.sort_unstable();
    json!({
        "type": "object",
        "description": "Why a request was refused, and what to do next.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "message", "next_step", "retryable"],
            "properties": {
                "code": { "type": "string", "enum": words, "description": "Never renamed, never reused." },
                "message": { "type": "string", "description": "What happened, for people and models." },
                "next_step": { "type": "string", "description": "What to do about it." },
                "retryable": { "type": "boolean", "description": "Whether the same request, unchanged, may succeed later. It never charges twice." },
                "retry_after_ms": { "type": "integer", "minimum": 0, "description": "When to come back, where that is known." },
                "docs_url": { "type": "string", "description": "The page of the code." },
                "call_id": { "$ref": "#/components/schemas/CallId" },
                "data": { "type": "object", "description": "The facts of this refusal; for a demand to pay `amount`, `recipient`, `x402` and `l402`." },
            },
        }},
    })
}

fn security_schemes() -> Value {
    json!({
        "apiKey": { "type": "http", "scheme": "bearer", "description": "An API key (`tgk_…`, from `tollgate keys create`): it says who calls, and may have prepaid credit." },
        "apiKeyHeader": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in a header of its own." },
        "x402": { "type": "apiKey", "in": "header", "name": "PAYMENT-SIGNATURE", "description": "An x402 version 2 payment in base64; `X-PAYMENT` of version 1 is read as well." },
        "l402": { "type": "http", "scheme": "L402", "description": "`L402 <macaroon>:<preimage>` of a paid Lightning invoice." },
        "payment": { "type": "http", "scheme": "Payment", "description": "A credential of the HTTP `Payment` scheme." },
        "gateKey": { "type": "http", "scheme": "bearer", "description": "The operator's key of the gate API, `gate_api.key`." },
        "adminKey": { "type": "http", "scheme": "bearer", "description": "An admin key (`tga_…`, from `tollgate keys create --admin`)." },
        "metricsToken": { "type": "http", "scheme": "bearer", "description": "The token `metrics.token`. Without one, the metrics are for this machine." },
    })
}

/// Whether a code links to a page.
pub(super) fn linked(word: &str) -> String {
    if has_page(word) { format!("/docs/errors/{word}") } else { String::new() }
}
