//! The doors: each request to the one that its path names, after `Host` and `Origin` were found to be ours.

mod admin;
mod api;
mod asked;
mod body;
mod browser;
mod calls;
mod dev;
mod documents;
mod escrow;
mod execute;
mod gate_api;
mod health;
mod holder;
mod json_rpc;
mod mcp;
mod members;
mod metrics;
mod pages;
mod payments;
mod payouts;
mod rates;
mod results;

pub(crate) use execute::resolve;

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tollgate_domain::{Origin, ServerName};
use tollgate_exec::in_place::boxed;
use tollgate_exec::{Body, BodyError};
use tollgate_gate::{Answer, Denial, Door, Fault, denied, faulted};
use tollgate_mcp::origin;
use tollgate_risk::Entrance;
use tower::ServiceExt;

use crate::builtin;
use crate::carrier::Carrier;
use crate::control::Control;
use crate::described::Described;
use crate::federation::Federation;
use crate::gateway::Gateway;
use crate::live::Live;

/// What every door of the HTTP API says of itself, also where it is closed.
pub(crate) fn described() -> Described {
    let every = api::Open { gate_api: true, dev: true };
    api::doors(every).described().and(admin::doors().described())
}

/// Who asks, beside what is asked: where the request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// The client: that other end, or who is behind it where it is a trusted proxy.
    pub origin: Origin,
}

/// Whether a request is for those doors that change the gateway itself.
pub fn is_for_operators<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with(admin::PREFIX)
}

/// Lets in one request of an operator.
pub async fn operate(
    control: Arc<Control>,
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    address: SocketAddr,
) -> Response<Body> {
    let peer = match arrived(&gateway, &request, address) {
        Ok(peer) => peer,
        Err(denial) => return respond(denied(&denial, None, Door::Rest, gateway.naming(""))),
    };
    let desk = admin::Desk { control, gateway };
    let answered = admin::answer(desk, request.map(axum::body::Body::new), peer).await;
    answered.map(|body| Body::boxed(Routed(body)))
}

/// Where a request comes from that was meant for this gateway.
fn arrived<B>(gateway: &Gateway, request: &Request<B>, address: SocketAddr) -> Result<Peer, Denial> {
    origin::check_request(request.uri(), request.headers(), &gateway.hosts)
        .map_err(|error| Denial::OriginRefused(error.to_string()))?;
    let client = gateway.config.trusted_proxies.client(address.ip(), request.headers());
    Ok(Peer { address, origin: Origin::of(client) })
}

/// The doors of a gateway behind its router. Made once for each: to make it takes longer than most of what they answer.
pub(crate) fn routes(gateway: &Arc<Gateway>) -> axum::Router {
    api::router(gateway).with_state(Arc::clone(gateway))
}

/// Lets one request in.
///
/// The MCP doors are answered here, before any router: they are the path that must be as fast as a plain proxy.
pub async fn enter(
    live: Arc<Live>,
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    address: SocketAddr,
) -> Response<Body> {
    let peer = match arrived(&gateway, &request, address) {
        Ok(peer) => peer,
        Err(denial) => return respond(denied(&denial, None, Door::Rest, gateway.naming(""))),
    };
    let path = request.uri().path();
    if path == "/mcp" {
        return match gateway.only_carrier().cloned() {
            Some(carrier) => of_one(gateway, carrier, request, peer).await,
            None => match gateway.federations.all.clone() {
                Some(federation) => of_several(gateway, federation, request, peer).await,
                None => no_server(&gateway),
            },
        };
    }
    if let Some(name) = path.strip_prefix("/servers/").and_then(|rest| rest.strip_suffix("/mcp")) {
        let name = name.chars().take(65).collect::<String>();
        if let Some(tools) = &gateway.builtin
            && name == builtin::SERVER
        {
            let tools = Arc::clone(tools);
            let page = browser::Page::of(&request);
            let answer = Box::pin(mcp::builtin::exchange(gateway, &tools, request, peer));
            return match page {
                None => answer.await,
                Some(page) => page.told(answer).await,
            };
        }
        let known: Option<ServerName> = name.parse().ok();
        let carrier = known.as_ref().and_then(|name| gateway.carriers.get(name)).cloned();
        if let Some(carrier) = carrier {
            return of_one(gateway, carrier, request, peer).await;
        }
        let federation =
            known.as_ref().and_then(|name| gateway.federations.virtual_servers.get(name)).cloned();
        if let Some(federation) = federation {
            return of_several(gateway, federation, request, peer).await;
        }
        let unknown = Denial::UnknownServer(name.chars().take(64).collect());
        let denial = rates::admit(&gateway, Entrance::Shared, peer).err().unwrap_or(unknown);
        return respond(denied(&denial, None, Door::Rest, gateway.naming("")));
    }
    if gate_api::is_asked(&gateway, &request) {
        return boxed(|| gate_api::exchange(&gateway, request, peer)).await;
    }
    boxed(|| routed(&live, gateway, request, peer)).await
}

/// The door of one server. One without a policy tells browsers itself which pages it answers, or does not.
async fn of_one(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    match browser::Page::of(&request).filter(|_| carrier.has_policy) {
        None => mcp::exchange(gateway, carrier, request, peer).await,
        // Boxed: programs, which are most of all callers, need no room for it.
        Some(page) => page.told(Box::pin(mcp::exchange(gateway, carrier, request, peer))).await,
    }
}

/// A door of several servers.
async fn of_several(
    gateway: Arc<Gateway>,
    federation: Arc<Federation>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let page = browser::Page::of(&request);
    let answer = Box::pin(mcp::federated::exchange(gateway, federation, request, peer));
    match page {
        None => answer.await,
        Some(page) => page.told(answer).await,
    }
}

async fn routed(
    live: &Live,
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    if let Err(denial) = rates::admit_routed(&gateway, request.uri().path(), peer) {
        return respond(denied(&denial, None, Door::Rest, gateway.naming("")));
    }
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(peer);
    match live.routes(&gateway).oneshot(request).await {
        Ok(response) => response.map(|body| Body::boxed(Routed(body))),
        Err(never) => match never {},
    }
}

fn no_server(gateway: &Gateway) -> Response<Body> {
    let denial = Denial::UnknownServer("no server is configured".to_owned());
    respond(denied(&denial, None, Door::Rest, gateway.naming("")))
}

/// The answer to a request on whose way a panic came: nothing of it is told outside, the whole is in the log.
pub(crate) fn panicked(gateway: &Gateway) -> Response<Body> {
    let fault = Fault::Internal("a door panicked".to_owned());
    respond(faulted(&fault, None, Door::JsonRpc { id: None }, gateway.naming("")))
}

/// An answer of the gateway's own as a response.
pub(crate) fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::Full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// An empty response with this status.
pub(crate) fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// A routed answer's body with our error type.
struct Routed(axum::body::Body);

impl http_body::Body for Routed {
    type Data = bytes::Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx).map_err(|error| BodyError::Other(error.into()))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}
