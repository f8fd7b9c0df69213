//! Documents: public keys, the pages of error codes, and the answer to unknown paths.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use tollgate_till::documents;

use crate::doors::execute::into_response;
use crate::gateway::Gateway;

/// `GET /.well-known/jwks.json`: the public keys that receipts verify with.
pub(crate) async fn jwks(State(gateway): State<Arc<Gateway>>) -> Response {
    into_response(documents::jwks(&gateway.receipt_keys))
}

/// `GET /docs/errors/{code}`: the page of an error code.
pub(crate) async fn error_page(Path(code): Path<String>) -> Response {
    into_response(documents::error_page(&code))
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
