//! The gate API: `/gate/v1/authorize` before a tool runs elsewhere, `/gate/v1/complete` after it.
//!
//! The same street as every other door, with the carrying out left to the program that asks. Only an operator's program may
//! ask: whoever completes a call decides whether its caller is charged.

mod asked;
mod described;
mod hold;
mod told;

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tollgate_domain::Digest;
use tollgate_exec::Body;
use tollgate_exec::in_place::boxed;
use tollgate_gate::{Answer, Denial, Door, Fault, denied, faulted};
use tollgate_risk::Entrance;

use crate::clock;
use crate::described::Doors;
use crate::doors::body::within;
use crate::doors::execute::into_response;
use crate::doors::holder::bearer;
use crate::doors::rates::admit;
use crate::doors::{Peer, respond};
use crate::gateway::Gateway;
use crate::lease::Leases;

/// Where a program asks before each call.
const AUTHORIZE: &str = "/gate/v1/authorize";
/// Where it says how each ended.
const COMPLETE: &str = "/gate/v1/complete";

/// The paths of the gate API; there are none unless it is configured. They stand in the router for what they say of themselves and for
/// whoever comes with another method: [`exchange`] answers before it.
pub(super) fn doors() -> Doors {
    Doors::new(described::SCHEMAS).post(AUTHORIZE, routed, &described::AUTHORIZE).post(
        COMPLETE,
        routed,
        &described::COMPLETE,
    )
}

/// Whether a request is one of the two that stand before and behind every call of a program: they are answered without a router.
pub(super) fn is_asked<B>(gateway: &Gateway, request: &Request<B>) -> bool {
    let is_ours = [AUTHORIZE, COMPLETE].contains(&request.uri().path());
    is_ours && request.method() == Method::POST && gateway.config.gate_api.is_some()
}

/// Answers such a request.
pub(super) async fn exchange(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    peer: Peer,
) -> http::Response<Body> {
    respond(answer(gateway, request, peer).await)
}

async fn routed(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    request: axum::extract::Request,
) -> Response {
    into_response(answer(&gateway, request, peer).await)
}

async fn answer<B>(gateway: &Arc<Gateway>, request: Request<B>, peer: Peer) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let answered = async {
        check_user(gateway, peer, &head.headers)?;
        let body = within(body, gateway).await?;
        let _member = gateway.foundation.cohort.join();
        gateway.foundation.cohort.step().await;
        match head.uri.path() {
            AUTHORIZE => authorize(gateway, peer, &body).await,
            _ => complete(gateway, &body).await,
        }
    };
    let refused = |denial| denied(&denial, None, Door::Rest, gateway.naming(""));
    answered.await.unwrap_or_else(refused)
}

/// `POST /gate/v1/authorize`: may this call run, and if not, what is its caller to be told.
async fn authorize(gateway: &Arc<Gateway>, peer: Peer, body: &Bytes) -> Result<Answer, Denial> {
    let asked = asked::authorize(body, peer)?;
    if gateway.tools.elsewhere(&asked.tool).is_none() {
        return Ok(told::denial(gateway, &Denial::UnknownTool(asked.tool), None, ""));
    }
    let resource = asked.resource.clone();
    let request = match asked.request(gateway) {
        Ok(request) => request,
        Err(denial) => return Ok(told::denial(gateway, &denial, None, &resource)),
    };
    let open_max = gateway.config.gate_api.as_ref().map_or(0, |api| api.leases_max);
    let Some(seat) = gateway.foundation.leases.seat(open_max, clock::now()) else {
        return Err(Denial::RateLimited { retry_after_ms: 1_000, limit: Leases::label(open_max) });
    };
    // In a task of its own: a user who hangs up between claim and lease must not leave a call without an end.
    let (reply, replied) = oneshot::channel();
    gateway
        .foundation
        .calls
        .spawn(boxed(|| hold::lease(Arc::clone(gateway), request, seat, resource, reply)));
    let replied = replied.await;
    gateway.foundation.cohort.step().await;
    Ok(replied.unwrap_or_else(|_| lost_task(gateway)))
}

/// `POST /gate/v1/complete`: how the tool ended; answered with what was settled and the receipt.
async fn complete(gateway: &Arc<Gateway>, body: &Bytes) -> Result<Answer, Denial> {
    let said = asked::complete(body)?;
    let Some(mut ended) = gateway.foundation.leases.say(&said.lease, said.outcome) else {
        return Ok(told::no_such_lease());
    };
    let answer = ended.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
    Ok(answer.unwrap_or_else(|| lost_task(gateway)))
}

/// Whoever asks runs tools for money: they show the operator's key, and stand on this machine unless it is said otherwise.
fn check_user(gateway: &Gateway, peer: Peer, headers: &HeaderMap) -> Result<(), Denial> {
    // Counted only if it is nobody with the key: a stranger who guesses is a client like any other.
    shows_key(gateway, peer, headers)
        .or_else(|denial| admit(gateway, Entrance::Shared, peer).and(Err(denial)))
}

fn shows_key(gateway: &Gateway, peer: Peer, headers: &HeaderMap) -> Result<(), Denial> {
    let Some(api) = &gateway.config.gate_api else {
        let (message, next) =
            ("The gate API is not open.", "Set `gate_api.key` in the gateway's configuration.");
        return Err(Denial::CredentialNeeded { message, next });
    };
    if !api.remote && !peer.address.ip().to_canonical().is_loopback() {
        return Err(Denial::OriginRefused(
            "the gate API answers on this machine only; see `gate_api.remote`".to_owned(),
        ));
    }
    let presented = bearer(headers);
    let needed = |message| Denial::CredentialNeeded {
        message,
        next: "Send what `gate_api.key` in the gateway's configuration says, as `Authorization: Bearer`.",
    };
    // Digests are compared: what timing tells of them helps nobody to guess the key.
    match presented {
        Some(key) if Digest::of(key) == api.key => Ok(()),
        Some(_) => Err(needed("This is not the key of the gate API.")),
        None => Err(needed("The gate API takes its key as `Authorization: Bearer`, and none was sent.")),
    }
}

fn lost_task(gateway: &Gateway) -> Answer {
    let fault = Fault::Internal("the task of a leased call ended without a word".to_owned());
    faulted(&fault, None, Door::Rest, gateway.naming(""))
}
