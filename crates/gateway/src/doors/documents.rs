//! Documents: public keys, the pages of error codes, the API itself, and the answers to unknown paths and methods.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use tollgate_till::documents;

use crate::described::{
    Access, CONTENT_SECURITY_POLICY, Doors, Group, Operation, Parameter, Place, Schema, Shape, Told,
    openapi_json, openapi_page,
};
use crate::doors::asked::Segments;
use crate::doors::execute::into_response;
use crate::gateway::Gateway;

/// The doors of this file.
pub(super) fn doors() -> Doors {
    Doors::new(SCHEMAS)
        .get("/.well-known/jwks.json", jwks, &JWKS)
        .get("/docs/errors/{code}", error_page, &ERROR_PAGE)
        .get("/api/openapi.json", openapi, &OPENAPI)
        .get("/api/docs", page, &PAGE)
}

/// `GET /.well-known/jwks.json`: the public keys that receipts verify with.
pub(crate) async fn jwks(State(gateway): State<Arc<Gateway>>) -> Response {
    into_response(documents::jwks(&gateway.gate.ports().store, &gateway.foundation.receipt_keys).await)
}

/// `GET /docs/errors/{code}`: the page of an error code.
pub(crate) async fn error_page(Segments(code): Segments<String>) -> Response {
    into_response(documents::error_page(&code))
}

/// `GET /api/openapi.json`: this API, for machines.
pub(crate) async fn openapi() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind), NO_SNIFFING], openapi_json()).into_response()
}

/// `GET /api/docs`: the same, for people.
pub(crate) async fn page() -> Response {
    let policy = HeaderValue::from_str(&CONTENT_SECURITY_POLICY);
    let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy), NO_SNIFFING, NO_REFERRER];
    (headers, openapi_page()).into_response()
}

const NO_SNIFFING: (HeaderName, HeaderValue) =
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
const NO_REFERRER: (HeaderName, HeaderValue) =
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));

/// A path that is there, asked in another way than it can be; the router names the ways in `Allow`.
pub(crate) async fn method_not_allowed() -> impl IntoResponse {
    let body = json!({ "error": {
        "code": "method_not_allowed",
        "message": "This path is not asked with this method.",
        "next_step": "Use one of the methods of the Allow header; /api/docs describes them.",
        "retryable": false,
    }});
    (StatusCode::METHOD_NOT_ALLOWED, axum::Json(body))
}

/// Any other path.
pub(crate) async fn not_found() -> impl IntoResponse {
    let body = json!({ "error": {
        "code": "not_found",
        "message": "There is nothing at this path.",
        "next_step": "MCP is at /mcp, and for one server at /servers/NAME/mcp; the API is at /api/v1.",
        "retryable": false,
    }});
    (StatusCode::NOT_FOUND, axum::Json(body))
}

/// How [`jwks`] is described.
pub(crate) const JWKS: Operation = Operation {
    id: "receiptKeys",
    group: Group::Documents,
    access: Access::Anyone,
    summary: "The public keys that receipts verify with.",
    about: "A JSON Web Key Set (RFC 7517) of Ed25519 keys; a receipt names its key by thumbprint. The first is the one that this gateway \
        signs with; behind it are the others that have signed in its ledger, so that older receipts, and those of other gateways on the \
        same database, verify as well.",
    parameters: &[],
    body: None,
    told: &[Told {
        content_type: "application/jwk-set+json",
        ..Told::json(
            200,
            "The keys.",
            Shape::Named("KeySet"),
            Some(
                r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","alg":"EdDSA","use":"sig"}]}"#,
            ),
        )
    }],
    codes: &[],
};

/// How [`error_page`] is described.
pub(crate) const ERROR_PAGE: Operation = Operation {
    id: "errorPage",
    group: Group::Documents,
    access: Access::Anyone,
    summary: "The page of an error code.",
    about: "What happened, whether money moved, what to do next, and whether a retry is safe; in Markdown.",
    parameters: &[Parameter {
        place: Place::Path,
        name: "code",
        about: "The code, as errors name it.",
        shape: Shape::Json(r#"{"type":"string"}"#),
        example: "payment_required",
    }],
    body: None,
    told: &[
        Told::text(
            200,
            "The page.",
            "text/markdown; charset=utf-8",
            Some("# payment_required\n\nThe call costs something and was not paid for.\n"),
        ),
        Told::text(404, "No such error code.", "text/markdown; charset=utf-8", Some("No such error code.\n")),
    ],
    codes: &[],
};

/// How [`openapi`] is described.
pub(crate) const OPENAPI: Operation = Operation {
    id: "openapi",
    group: Group::Documents,
    access: Access::Anyone,
    summary: "This API as an OpenAPI 3.1 document.",
    about: "The same for every gateway of one version: it describes doors also where they are closed.",
    parameters: &[],
    body: None,
    told: &[Told::json(
        200,
        "The document.",
        Shape::Json(r#"{"type":"object","required":["openapi","info","paths","components"]}"#),
        None,
    )],
    codes: &[],
};

/// How [`page`] is described.
pub(crate) const PAGE: Operation = Operation {
    id: "docs",
    group: Group::Documents,
    access: Access::Anyone,
    summary: "This API as a page for people.",
    about: "Without scripts, and without anything from elsewhere.",
    parameters: &[],
    body: None,
    told: &[Told::text(200, "The page.", "text/html; charset=utf-8", None)],
    codes: &[],
};

/// What these operations name.
pub(crate) const SCHEMAS: &[Schema] = &[Schema {
    name: "KeySet",
    json: r#"{"type":"object","required":["keys"],"properties":{"keys":{"type":"array","items":{
        "type":"object","required":["kty","crv","x","kid"],"properties":{
            "kty":{"const":"OKP"},"crv":{"const":"Ed25519"},"x":{"type":"string"},"kid":{"type":"string","description":"The RFC 7638 thumbprint."}}}}}}"#,
}];
