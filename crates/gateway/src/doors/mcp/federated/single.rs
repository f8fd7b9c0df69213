//! Requests that one server answers: the one whose name, URI or id they carry.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use tollgate_domain::{ServerName, ToolRef};
use tollgate_exec::{Body, UpstreamError};
use tollgate_federation::{TaskIds, Translator};
use tollgate_gate::Denial;
use tollgate_mcp::json::{self, quote};
use tollgate_mcp::reply::code;
use tollgate_mcp::{Era, Frame, RequestId, raw};
use tollgate_risk::Entrance;

use super::super::call::{self, Federated, Way};
use super::super::handed::{Handed, may_have_state};
use super::super::{Posted, forwarded};
use super::asking::{Asking, unanswered};
use super::relay::{limits, relayed};
use super::unknown_method;
use crate::begun::Whose;
use crate::carrier::fault_of;
use crate::clock;
use crate::doors::rates::admit;
use crate::federation::Modern;
use crate::reserved::{Answers, at_own_origin, without_demands};

/// Legacy servers say this of a resource they do not have; modern ones must not.
const RESOURCE_NOT_FOUND: i32 = -32_002;

/// `tools/call`: the street, where the server has a policy, with the tool's own name towards the server.
pub(super) async fn call(asking: Asking, frame: Frame, id: RequestId) -> Response<Body> {
    let public = frame.tool_call().map(|call| call.name).unwrap_or_default();
    let federation = Arc::clone(&asking.federation);
    let found = federation.names.resolve(&public).filter(|(server, own)| federation.offers(server, own));
    let Some((server, own)) = found else { return unknown_tool(&asking, &public, &id) };
    let known = federation.modern(server, clock::now());
    if asking.era == Era::Modern && known == Some(Modern::No) {
        return asking.refused(&Denial::SessionsOnly, Some(&id));
    }
    let (Some(carrier), Some(head)) =
        (federation.carrier(server).cloned(), asking.head_for(server, Some(own)))
    else {
        return absent(&asking, server, &id);
    };
    let body = if own == public { frame.bytes().clone() } else { frame.with_param("name", &quote(own)) };
    let own_frame = match for_server(&asking, server, body) {
        Ok(frame) => frame,
        Err(refused) => return refused,
    };
    if !carrier.has_policy {
        return pass(&asking, server, head, own_frame.bytes().clone(), &id).await;
    }
    if let Err(denial) = admit(&asking.gateway, Entrance::Behind(server), asking.peer) {
        return asking.refused(&denial, Some(&id));
    }
    let (names, whose, principal) = (Arc::clone(&federation), server.clone(), asking.principal);
    let answer = move |answer: &Frame| {
        let tasks = TaskIds { keys: &names.keys, principal };
        let translated = Translator { names: &names.names, tasks, server: &whose }.answer(answer)?;
        Frame::parse_upstream(translated).ok()
    };
    let way = Way { carrier, federated: Some(Federated { name: public, answer: Box::new(answer) }) };
    let gateway = Arc::clone(&asking.gateway);
    let posted = Box::new(Posted { head, frame: own_frame });
    let called = call::call(gateway, way, posted, id.clone(), asking.era, asking.peer);
    let response = called.await;
    relayed(&asking, server, response, &id, false).await
}

/// The message as the server is to see it, tasks under their own ids.
#[expect(clippy::result_large_err, reason = "the error is the response")]
fn for_server(asking: &Asking, server: &ServerName, body: Bytes) -> Result<Frame, Response<Body>> {
    let parsed =
        |body| Frame::parse(body).map_err(|error| asking.refused(&super::frame_denial(&error), error.id()));
    let frame = parsed(body)?;
    match asking.translator(server).to_server(&frame) {
        Some(body) => parsed(body),
        None => Ok(frame),
    }
}

/// Every other request that one server answers.
pub(super) async fn other(asking: Asking, frame: Frame, id: RequestId) -> Response<Body> {
    let method = frame.method().unwrap_or_default();
    if asking.federation.tools_only() && !method.starts_with("tasks/") {
        return unknown_method(&asking, &id, method);
    }
    let federation = Arc::clone(&asking.federation);
    let text = |name: &str| frame.param(name).and_then(json::string);
    let routed = match (method, asking.era) {
        ("prompts/get", _) => {
            let name = text("name").unwrap_or_default();
            let Some((server, own)) = federation.names.resolve(&name) else {
                return asking.invalid(&id, "Unknown prompt");
            };
            Routed { server, body: frame.with_param("name", &quote(own)), mirrored: Some(own.to_owned()) }
        }
        ("resources/read", _) | ("resources/subscribe" | "resources/unsubscribe", Era::Legacy) => {
            let uri = text("uri").unwrap_or_default();
            let Some((server, own)) = federation.names.resolve_uri(&uri) else {
                return unknown_resource(&asking, &id);
            };
            let body = frame.with_param("uri", &quote(&own));
            Routed { server, body, mirrored: Some(own.into_owned()) }
        }
        ("tasks/get" | "tasks/cancel", _) | ("tasks/result", Era::Legacy) | ("tasks/update", Era::Modern) => {
            let public = text("taskId").unwrap_or_default();
            let tasks = TaskIds { keys: &federation.keys, principal: asking.principal };
            let Some((server, own)) = tasks.resolve(&federation.names, &public) else {
                return asking.invalid(&id, "Unknown task");
            };
            let session = asking.own_session(server);
            let whose = Whose { tasks, session: session.as_ref() };
            asking.gateway.foundation.begun.note(&whose, server, own);
            let body = frame.with_param("taskId", &quote(own));
            Routed { server, body, mirrored: Some(own.to_owned()) }
        }
        ("completion/complete", _) => match completion(&asking, &frame) {
            Some(routed) => routed,
            None => return asking.invalid(&id, "Unknown reference"),
        },
        // What this door does not know can only be meant for the server whose names are plain.
        (method, _) => match federation.names.plain() {
            Some(server) => Routed { server, body: frame.bytes().clone(), mirrored: None },
            None => return unknown_method(&asking, &id, method),
        },
    };
    let Routed { server, body, mirrored } = routed;
    let Some(head) = asking.head_for(server, mirrored.as_deref()) else {
        return absent(&asking, server, &id);
    };
    let own = match for_server(&asking, server, body) {
        Ok(frame) => frame,
        Err(refused) => return refused,
    };
    let carrier = federation.carrier(server).filter(|carrier| carrier.has_policy && may_have_state(&own));
    let Some(carrier) = carrier else { return pass(&asking, server, head, own.bytes().clone(), &id).await };
    let handed = Handed::to(&asking.gateway, carrier, asking.principal);
    let own = match handed.take_state(&own) {
        Ok(taken) => taken.unwrap_or(own),
        Err(denial) => return asking.refused(&denial, Some(&id)),
    };
    let response = pass(&asking, server, head, own.bytes().clone(), &id).await;
    handed.give_state(own, response, limits(&asking))
}

/// Where a request goes, and as what.
struct Routed<'n> {
    server: &'n ServerName,
    body: Bytes,
    /// What `Mcp-Name` says, where there is one.
    mirrored: Option<String>,
}

fn completion<'a>(asking: &'a Asking, frame: &Frame) -> Option<Routed<'a>> {
    let reference = frame.bytes().slice_ref(frame.param("ref")?);
    let names = &asking.federation.names;
    let (member, server, own) = match (raw::text(&reference, "uri"), raw::text(&reference, "name")) {
        (Some(uri), _) => {
            let (server, own) = names.resolve_uri(&uri)?;
            ("uri", server, own.into_owned())
        }
        (None, Some(name)) => {
            let (server, own) = names.resolve(&name)?;
            ("name", server, own.to_owned())
        }
        (None, None) => return None,
    };
    let reference = raw::set(&reference, &[(member, &quote(&own))]).ok()?;
    let body = frame.with_param("ref", std::str::from_utf8(&reference).ok()?);
    Some(Routed { server, body, mirrored: None })
}

async fn pass(
    asking: &Asking,
    server: &ServerName,
    head: http::request::Parts,
    body: Bytes,
    id: &RequestId,
) -> Response<Body> {
    let Some(carrier) = asking.federation.carrier(server) else { return absent(asking, server, id) };
    if let Err(denial) = admit(&asking.gateway, Entrance::Behind(server), asking.peer) {
        return asking.refused(&denial, Some(id));
    }
    match carrier.pass(forwarded(head, body)).await {
        // The result of a tool comes this way too, once it is a task's.
        Ok(response) if carrier.has_policy => {
            let response = without_demands(
                response,
                limits(asking),
                asking.gateway.naming("").base_url,
                carrier.scans_later(),
                // The relay sees to it.
                Answers::Any,
            );
            relayed(asking, server, response, id, true).await
        }
        // Of several servers at one door none speaks for it, policy or not.
        Ok(mut response) => match at_own_origin(&mut response) {
            Ok(()) => relayed(asking, server, response, id, true).await,
            Err(error) => failed(asking, server, &error, id),
        },
        Err(error) => failed(asking, server, &error, id),
    }
}

fn failed(asking: &Asking, server: &ServerName, error: &UpstreamError, id: &RequestId) -> Response<Body> {
    unanswered(server, error);
    asking.failed(&fault_of(error), id)
}

/// One answer for a tool that nobody has and for one that is not offered here: it does not say which.
fn unknown_tool(asking: &Asking, public: &str, id: &RequestId) -> Response<Body> {
    let server = asking.federation.names.servers().first().cloned();
    match (server, public.parse()) {
        (Some(server), Ok(tool)) => asking.refused(&Denial::UnknownTool(ToolRef { server, tool }), Some(id)),
        _ => asking.invalid(id, "params.name is no tool name"),
    }
}

fn unknown_resource(asking: &Asking, id: &RequestId) -> Response<Body> {
    match asking.era {
        Era::Modern => asking.invalid(id, "Resource not found"),
        Era::Legacy => asking.error(StatusCode::OK, Some(id), RESOURCE_NOT_FOUND, "Resource not found", None),
    }
}

/// A server that was not there when the session was opened.
fn absent(asking: &Asking, server: &ServerName, id: &RequestId) -> Response<Body> {
    let text = format!("Server {server} has no part in this session; open a new one to reach it.");
    asking.error(StatusCode::OK, Some(id), code::INTERNAL_ERROR, &text, None)
}
