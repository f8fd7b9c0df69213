//! The HTTP API: the marketplace's REST paths, plain JSON-RPC, documents and health.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::doors::{calls, dev, documents, execute, gate_api, health, json_rpc, metrics, payments};
use crate::gateway::Gateway;

/// All routed paths.
pub(crate) fn router(gateway: &Gateway) -> Router<Arc<Gateway>> {
    let router = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/tools", get(calls::tools))
        .route("/api/v1/execute", post(execute::execute))
        .route("/api/v1/calls/{id}", get(calls::call))
        .route("/api/v1/receipts/{id}", get(calls::receipt))
        .route("/v1/execute", post(json_rpc::execute))
        .route("/.well-known/jwks.json", get(documents::jwks))
        .route("/docs/errors/{code}", get(documents::error_page))
        .fallback(documents::not_found)
        .merge(payments::router())
        .layer(DefaultBodyLimit::disable());
    let router = if gateway.config.gate_api.is_some() { router.merge(gate_api::router()) } else { router };
    if gateway.dev.is_some() { router.merge(dev::router()) } else { router }
}
