//! The federated door: several servers as one, in both protocol eras.
//!
//! Every request is answered by the one server that it names, by all servers whose answers become one, or by the gateway
//! itself. `tools/call` walks the same street as at any other door. What a later request needs to find its server stands in
//! names, ids and the sealed session, never in memory: any gateway with the same secret can answer it.

mod asking;
mod introduce;
mod listening;
mod lists;
mod notices;
mod relay;
mod single;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tollgate_domain::ToolRef;
use tollgate_exec::Body;
use tollgate_federation::Kind as Listing;
use tollgate_gate::{Denial, Door, denied};
use tollgate_mcp::batch::is_batch;
use tollgate_mcp::era::LEGACY_DEFAULT;
use tollgate_mcp::reply::code;
use tollgate_mcp::{Era, Frame, Kind, RequestId, headers};
use tollgate_risk::Entrance;

use self::asking::Asking;
pub(super) use self::asking::json_response;
use super::batch::{self, Batch};
use super::{announced, era_of, frame_denial};
use crate::doors::body::within;
use crate::doors::rates::admit;
use crate::doors::{Peer, respond};
use crate::federation::Federation;
use crate::gateway::Gateway;
use crate::telemetry::{Passing, StreamCount};

/// One exchange at a federated door.
pub(crate) async fn exchange(
    gateway: Arc<Gateway>,
    federation: Arc<Federation>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    if let Err(denial) = admit(&gateway, Entrance::Shared, peer) {
        let door = Door::Mcp { era: era_of(request.headers()), id: None, payment_as_http: false };
        return respond(denied(&denial, None, door, gateway.naming("")));
    }
    let (head, body) = request.into_parts();
    let method = head.method.clone();
    let mut asking = match Asking::new(gateway, federation, head, peer) {
        Ok(asking) => asking,
        Err(refused) => return refused,
    };
    asking.era = era_of(&asking.head.headers);
    let bytes_max = asking.gateway.config.limits.body_bytes_max;
    if announced(&asking.head.headers).is_some_and(|length| length > bytes_max) {
        return asking.refused(&Denial::BodyTooLarge { bytes_max }, None);
    }
    match method {
        Method::POST => {}
        Method::GET | Method::DELETE if asking.era == Era::Modern => return not_allowed("POST"),
        Method::GET => {
            let gateway = Arc::clone(&asking.gateway);
            return StreamCount::attach(&gateway, listening::listen_on_get(asking).await);
        }
        Method::DELETE => return listening::end(asking).await,
        _ => return not_allowed("POST, GET, DELETE"),
    }
    let body = match within(body, &asking.gateway).await {
        Ok(body) => body,
        Err(denial) => return asking.refused(&denial, None),
    };
    let _member = asking.gateway.foundation.cohort.join();
    asking.gateway.foundation.cohort.step().await;
    if is_batch(&body) {
        return batched(asking, body).await;
    }
    match Frame::parse(body) {
        Ok(frame) => message(asking, frame).await,
        Err(error) => asking.refused(&frame_denial(&error), error.id()),
    }
}

/// One message, whether it came alone or in a batch.
async fn message(mut asking: Asking, frame: Frame) -> Response<Body> {
    match headers::check(&asking.head.headers, &frame) {
        Err(mismatch) => {
            let denial = Denial::HeaderMismatch { json_rpc: mismatch.code(), reason: mismatch.to_string() };
            asking.refused(&denial, frame.id())
        }
        Ok(era) => {
            asking.era = era;
            dispatch(asking, frame).await
        }
    }
}

/// Several messages at once, in a session whose revision has batches.
async fn batched(asking: Asking, body: Bytes) -> Response<Body> {
    if !batch::may_come(&asking.head.headers) {
        return asking.refused(&batch::of_another_revision(), None);
    }
    match asking.open_session() {
        Ok(session) if session.version() == Some(LEGACY_DEFAULT) => {}
        Ok(_) => return asking.refused(&batch::of_another_revision(), None),
        Err(refused) => return refused,
    }
    let Federation { names, .. } = &*asking.federation;
    let batch = Batch::of(&body, |frame| {
        let public = frame.tool_call().map(|call| call.name).unwrap_or_default();
        let Some((server, own)) = names.resolve(&public) else { return false };
        let tool = own.parse().ok().map(|tool| ToolRef { server: server.clone(), tool });
        tool.is_some_and(|tool| asking.gateway.tools.has_price(&tool))
    });
    match batch {
        Err(denial) => asking.refused(&denial, None),
        Ok(batch) => {
            let each = asking.in_batch();
            let at = (&each.gateway, Entrance::Shared, each.peer);
            batch.answered(at, |frame| message(each.clone(), frame)).await
        }
    }
}

async fn dispatch(mut asking: Asking, frame: Frame) -> Response<Body> {
    let opens = frame.kind() == Kind::Request && frame.method() == Some("initialize");
    if asking.era == Era::Legacy && !opens {
        match asking.open_session() {
            Ok(session) => asking.session = Some(session),
            Err(refused) => return refused,
        }
    }
    match (frame.kind(), frame.id().cloned()) {
        (Kind::Request, Some(id)) => request(asking, frame, id).await,
        (Kind::Notification, _) => notices::notification(&asking, &frame).await,
        (Kind::Response | Kind::ErrorResponse, _) => notices::answer(&asking, &frame).await,
        // A request has an id: the parser sees to it.
        (Kind::Request, None) => super::super::bare(StatusCode::BAD_REQUEST),
    }
}

async fn request(mut asking: Asking, frame: Frame, id: RequestId) -> Response<Body> {
    // A call is seen where it walks the street; behind this door as behind any other.
    if frame.method() == Some("tools/call") {
        return asked(asking, frame, id).await;
    }
    let passing = Passing::begin(&asking.gateway, &frame, &mut asking.head.headers, None);
    let response = asked(asking, frame, id).await;
    passing.answered(response.status());
    response
}

async fn asked(asking: Asking, frame: Frame, id: RequestId) -> Response<Body> {
    let method = frame.method().unwrap_or_default().to_owned();
    if asking.era == Era::Modern && !asking.federation.stateless {
        return introduce::not_modern(&asking);
    }
    if asking.era == Era::Modern
        && let Some(refused) = introduce::unspoken(&asking, &id).await
    {
        return refused;
    }
    if let Some(kind) = Listing::of_method(&method)
        && (kind == Listing::Tools || !asking.federation.tools_only())
        && (kind != Listing::Tasks || asking.era == Era::Legacy)
    {
        return lists::list(&asking, &frame, kind, &id).await;
    }
    match (method.as_str(), asking.era) {
        ("initialize", Era::Legacy) => introduce::initialize(&asking, &frame, &id).await,
        ("ping", Era::Legacy) => asking.result(&id, "{}"),
        ("logging/setLevel", Era::Legacy) => notices::set_level(&asking, &frame, &id).await,
        ("server/discover", Era::Modern) => introduce::discover(&asking, &frame, &id).await,
        ("subscriptions/listen", Era::Modern) => {
            let gateway = Arc::clone(&asking.gateway);
            StreamCount::attach(&gateway, listening::subscribe(asking, frame, id).await)
        }
        ("tools/call", _) => single::call(asking, frame, id).await,
        _ => single::other(asking, frame, id).await,
    }
}

pub(super) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = super::super::bare(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static(allowed));
    response
}

/// A method that nobody here knows.
fn unknown_method(asking: &Asking, id: &RequestId, method: &str) -> Response<Body> {
    let status = if asking.era == Era::Modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let data = json!({ "method": method.chars().take(128).collect::<String>() });
    asking.error(status, Some(id), code::METHOD_NOT_FOUND, "Method not found", Some(&data))
}
