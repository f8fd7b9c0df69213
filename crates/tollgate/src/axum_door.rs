//! What axum adds: the extractor [`Paid`], and the router of what answers name.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::request::Parts;
use serde::Deserialize;
use tollgate_gate::{Denial, Door, Fault, Naming, denied, faulted};
use tollgate_mcp::origin::{self, AllowedHosts};
use tollgate_till::{documents, sandbox};

use crate::Tollgate;
use crate::house::House;
use crate::http::respond;
use crate::paid::Paid;

/// A handler takes [`Paid`], and no toll stands before it: the request is refused, or it would be served for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoToll;

impl IntoResponse for NoToll {
    fn into_response(self) -> Response {
        tracing::error!(
            "a handler takes `Paid`, but no toll stands before its route: add `.route_layer(tollgate.price(…)?)`"
        );
        let fault = Fault::Internal("no toll stands before this route".to_owned());
        let naming = Naming { base_url: "", resource_url: "" };
        respond(faulted(&fault, None, Door::Rest, naming), None).into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paid {
    type Rejection = NoToll;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, NoToll> {
        parts.extensions.get::<Self>().cloned().ok_or(NoToll)
    }
}

impl Tollgate {
    /// The documents that answers name: `/.well-known/jwks.json`, `/api/v1/calls/{id}`, `/api/v1/receipts/{id}` and
    /// `/docs/errors/{code}`. With sandbox money also `POST /dev/lightning/pay`, which pays an invoice of the dev wallet.
    pub fn routes(&self) -> Router {
        let router = Router::new()
            .route("/.well-known/jwks.json", get(jwks))
            .route("/api/v1/calls/{id}", get(call))
            .route("/api/v1/receipts/{id}", get(receipt))
            .route("/docs/errors/{code}", get(error_page));
        let router = if self.house.dev.is_some() {
            let on_loopback = middleware::from_fn(on_loopback);
            router.route("/dev/lightning/pay", post(pay).route_layer(on_loopback))
        } else {
            router
        };
        router.with_state(Arc::clone(&self.house))
    }
}

async fn jwks(State(house): State<Arc<House>>) -> Response {
    respond(documents::jwks(&house.gate.ports().store, &house.receipt_keys).await, None).into_response()
}

async fn call(State(house): State<Arc<House>>, Path(id): Path<String>) -> Response {
    respond(documents::call(&house.gate.ports().store, &id).await, None).into_response()
}

async fn receipt(State(house): State<Arc<House>>, Path(id): Path<String>) -> Response {
    respond(documents::receipt(&house.gate.ports().store, &id).await, None).into_response()
}

async fn error_page(Path(code): Path<String>) -> Response {
    respond(documents::error_page(&code), None).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    bolt11: String,
}

async fn pay(State(house): State<Arc<House>>, axum::Json(Pay { bolt11 }): axum::Json<Pay>) -> Response {
    match &house.dev {
        Some(dev) => respond(sandbox::pay(dev, &bolt11).await, None).into_response(),
        None => http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// A page of another site must not pay with this machine's play money either.
async fn on_loopback(request: Request, next: Next) -> Response {
    match origin::check_request(request.uri(), request.headers(), &AllowedHosts::loopback()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let naming = Naming { base_url: "", resource_url: "" };
            let denial = Denial::OriginRefused(error.to_string());
            respond(denied(&denial, None, Door::Rest, naming), None).into_response()
        }
    }
}
