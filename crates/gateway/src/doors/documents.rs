//! Documents: public keys, the pages of error codes, and the answer to unknown paths.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde_json::json;

use crate::gateway::Gateway;

mod pages {
    include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));
}

/// `GET /.well-known/jwks.json`: the public keys that receipts verify with.
pub(crate) async fn jwks(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], tollgate_attest::jwks(&gateway.receipt_keys))
}

/// `GET /docs/errors/{code}`: the page of an error code.
pub(crate) async fn error_page(Path(code): Path<String>) -> impl IntoResponse {
    match pages::PAGES.iter().find(|(name, _)| *name == code) {
        Some((_, page)) => (StatusCode::OK, [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], *page),
        None => (
            StatusCode::NOT_FOUND,
            [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")],
            "No such error code.\n",
        ),
    }
}

/// Any other path.
pub(crate) async fn not_found() -> impl IntoResponse {
    let body = json!({ "error": {
        "code": "not_found",
        "message": "There is nothing at this path.",
        "next_step": "MCP is at /servers/NAME/mcp (and /mcp while there is one server), the API at /api/v1.",
        "retryable": false,
    }});
    (StatusCode::NOT_FOUND, axum::Json(body))
}
