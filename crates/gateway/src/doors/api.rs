//! The HTTP API: the marketplace's REST paths, plain JSON-RPC, documents and health.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use crate::described::Doors;
use crate::doors::{
    calls, dev, documents, escrow, execute, gate_api, health, json_rpc, metrics, payments, payouts, results,
};
use crate::gateway::Gateway;

/// Which doors are open that need not be.
#[derive(Clone, Copy)]
pub(super) struct Open {
    pub(super) gate_api: bool,
    pub(super) dev: bool,
}

/// All routed paths.
pub(super) fn router(gateway: &Gateway) -> Router<Arc<Gateway>> {
    let open = Open { gate_api: gateway.config.gate_api.is_some(), dev: gateway.foundation.dev.is_some() };
    doors(open)
        .into_router()
        .fallback(documents::not_found)
        .method_not_allowed_fallback(documents::method_not_allowed)
        .layer(DefaultBodyLimit::disable())
}

/// The doors behind the router, each with what it says of itself.
pub(super) fn doors(open: Open) -> Doors {
    let doors = Doors::new(health::SCHEMAS)
        .get("/healthz", health::alive, &health::ALIVE)
        .get("/readyz", health::ready, &health::READY)
        .get("/metrics", metrics::metrics, &metrics::METRICS)
        .merge(calls::doors())
        .merge(results::doors())
        .merge(execute::doors())
        .merge(escrow::doors())
        .merge(payments::doors())
        .merge(payouts::doors())
        .merge(json_rpc::doors())
        .merge(documents::doors());
    let doors = if open.gate_api { doors.merge(gate_api::doors()) } else { doors };
    if open.dev { doors.merge(dev::doors()) } else { doors }
}
