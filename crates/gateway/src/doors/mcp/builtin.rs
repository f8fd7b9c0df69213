//! `/servers/tollgate/mcp`: the built-in tools, in both protocol eras. No session and no stream: every answer is one message.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tollgate_domain::{Caller, ToolRef};
use tollgate_exec::Body;
use tollgate_federation::server_info;
use tollgate_gate::{Denial, Door, Fault, Refusal, denied, faulted};
use tollgate_mcp::batch::is_batch;
use tollgate_mcp::era::{MODERN_SINCE, PROTOCOL_VERSION_KEY, SERVER_INFO_KEY};
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, Kind, RequestId, headers, json as raw_json, raw};
use tollgate_risk::{Asking, Entrance};

use super::batch::{self, Batch};
use super::federated::{json_response, not_allowed};
use super::{announced, era_of, frame_denial};
use crate::builtin::{BuiltinTools, Refused};
use crate::clock;
use crate::doors::body::within;
use crate::doors::holder::caller;
use crate::doors::rates::admit;
use crate::doors::{Peer, respond};
use crate::gateway::Gateway;
use crate::telemetry::{Arrival, Watch};

/// Legacy versions that have streamable HTTP, the newest first.
const LEGACY_VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
/// How long a list may be kept: it changes with the configuration only.
const TTL_MS: u32 = 60_000;
const INSTRUCTIONS: &str = "Tools about this gateway itself: what is for sale behind it and for how much, your credit, your receipts. \
They are free, and pay for nothing.";

/// One request at this door.
#[derive(Clone)]
struct Asked {
    gateway: Arc<Gateway>,
    headers: HeaderMap,
    peer: Peer,
    era: Era,
}

/// One exchange.
pub(crate) async fn exchange(
    gateway: Arc<Gateway>,
    tools: &Arc<BuiltinTools>,
    request: Request<Incoming>,
    peer: Peer,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let era = era_of(&head.headers);
    let asked = Asked { gateway, headers: head.headers, peer, era };
    if let Err(denial) = admit(&asked.gateway, Entrance::Shared, peer) {
        return asked.refused(&denial, None);
    }
    if head.method != Method::POST {
        return not_allowed("POST");
    }
    let bytes_max = asked.gateway.config.limits.body_bytes_max;
    if announced(&asked.headers).is_some_and(|length| length > bytes_max) {
        return asked.refused(&Denial::BodyTooLarge { bytes_max }, None);
    }
    let body = match within(body, &asked.gateway).await {
        Ok(body) => body,
        Err(denial) => return asked.refused(&denial, None),
    };
    let tools = Arc::clone(tools);
    if is_batch(&body) {
        return batched(asked, tools, &body).await;
    }
    match Frame::parse(body) {
        Ok(frame) => asked.message(tools, frame).await,
        Err(error) => asked.refused(&frame_denial(&error), error.id()),
    }
}

/// Several messages at once; nothing here has a price.
async fn batched(asked: Asked, tools: Arc<BuiltinTools>, body: &Bytes) -> Response<Body> {
    if !batch::may_come(&asked.headers) {
        return asked.refused(&batch::of_another_revision(), None);
    }
    match Batch::of(body, |_| false) {
        Err(denial) => asked.refused(&denial, None),
        Ok(batch) => {
            let at = (&asked.gateway, Entrance::Shared, asked.peer);
            batch.answered(at, |frame| asked.clone().message(Arc::clone(&tools), frame)).await
        }
    }
}

impl Asked {
    /// One message, whether it came alone or in a batch.
    async fn message(mut self, tools: Arc<BuiltinTools>, frame: Frame) -> Response<Body> {
        match headers::check(&self.headers, &frame) {
            Ok(Era::Legacy)
                if frame.method() != Some("initialize")
                    && !headers::version_is_spoken(&self.headers, &LEGACY_VERSIONS) =>
            {
                let text = "MCP-Protocol-Version is no version that is spoken here";
                let message = reply::error(frame.id(), code::INVALID_REQUEST, text, None);
                json_response(StatusCode::BAD_REQUEST, message)
            }
            Ok(era) => {
                self.era = era;
                self.answer(&tools, &frame).await
            }
            Err(mismatch) => {
                let denial =
                    Denial::HeaderMismatch { json_rpc: mismatch.code(), reason: mismatch.to_string() };
                self.refused(&denial, frame.id())
            }
        }
    }

    async fn answer(&self, tools: &BuiltinTools, frame: &Frame) -> Response<Body> {
        let (Kind::Request, Some(id), Some(method)) = (frame.kind(), frame.id(), frame.method()) else {
            // Notifications, and answers to questions that were never asked.
            return crate::doors::bare(StatusCode::ACCEPTED);
        };
        if self.era == Era::Modern
            && let Some(refused) = self.unspoken(frame, id)
        {
            return refused;
        }
        match (method, self.era) {
            ("initialize", Era::Legacy) => self.result(id, introduction(frame).to_string()),
            ("ping", Era::Legacy) => self.result(id, "{}"),
            ("server/discover", Era::Modern) => self.result(id, discovery().to_string()),
            ("tools/list", _) => self.list(tools, frame, id),
            ("tools/call", _) => self.call(tools, frame, id).await,
            (method, _) => {
                let status = if self.era == Era::Modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
                let data = json!({ "method": method.chars().take(128).collect::<String>() });
                let text = "Method not found";
                json_response(
                    status,
                    reply::error(Some(id), code::METHOD_NOT_FOUND, text, Some(&data.to_string())),
                )
            }
        }
    }

    /// The refusal of a version that is not spoken here.
    fn unspoken(&self, frame: &Frame, id: &RequestId) -> Option<Response<Body>> {
        let requested = frame.meta(PROTOCOL_VERSION_KEY).and_then(raw_json::string).unwrap_or_default();
        if requested == MODERN_SINCE {
            return None;
        }
        let data = json!({ "supported": [MODERN_SINCE], "requested": requested }).to_string();
        let text = "Unsupported protocol version";
        let message = reply::error(Some(id), code::UNSUPPORTED_PROTOCOL_VERSION, text, Some(&data));
        Some(json_response(StatusCode::BAD_REQUEST, message))
    }

    fn list(&self, tools: &BuiltinTools, frame: &Frame, id: &RequestId) -> Response<Body> {
        // There is one page.
        if frame.param("cursor").is_some_and(|cursor| cursor != b"null") {
            let status = if self.era == Era::Modern { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            return json_response(
                status,
                reply::error(Some(id), code::INVALID_PARAMS, "Invalid cursor", None),
            );
        }
        let mut list = json!({ "tools": tools.definitions() });
        if let (Era::Modern, Some(members)) = (self.era, list.as_object_mut()) {
            members.extend(hints());
        }
        self.result(id, list.to_string())
    }

    async fn call(&self, tools: &BuiltinTools, frame: &Frame, id: &RequestId) -> Response<Body> {
        let watch = Watch::begin(&self.gateway, "builtin").traced(Arrival::of(&self.headers, frame));
        let refused = |watch: Box<Watch>, tool: Option<&ToolRef>, denial: Denial| {
            let response = self.refused(&denial, Some(id));
            watch.refused(&Refusal { tool: tool.cloned(), ..Refusal::denied(denial) });
            response
        };
        let (name, arguments) = frame.tool_call().map(|call| (call.name, call.arguments)).unwrap_or_default();
        let Some(tool) = tools.find(&name) else {
            return match unknown(&name) {
                Some(denial) => refused(watch, None, denial),
                None => {
                    let problem = "params.name is no tool name".to_owned();
                    refused(watch, None, Denial::InvalidArguments(vec![problem]))
                }
            };
        };
        let caller = match self.caller(tool).await {
            Ok(caller) => caller,
            Err(denial) => return refused(watch, Some(tool), denial),
        };
        let arguments = if arguments.is_empty() { Bytes::from_static(b"{}") } else { arguments };
        match tools.call(&self.gateway, tool, &arguments, caller).await {
            Ok(said) => {
                watch.answered_here(tool, "delivered");
                let text = said.to_string();
                self.result(id, reply::tool_result(self.era, &[&text], Some(&text), &[], false))
            }
            Err(Refused::NotFound(text)) => {
                watch.answered_here(tool, "tool_failed");
                self.result(id, reply::tool_result(self.era, &[text], None, &[], true))
            }
            Err(Refused::Denied(denial)) => {
                watch.answered_here(tool, "tool_failed");
                self.result(id, self.told(&denial))
            }
            Err(Refused::Faulted(fault)) => {
                let source: &dyn std::error::Error = &fault;
                tracing::error!(%tool, error = source, "a built-in tool gave no answer");
                watch.answered_here(tool, fault.code().word);
                self.faulted(&fault, id)
            }
        }
    }

    /// Who asks: the holder of an API key, or nobody in particular; and not too often.
    async fn caller(&self, tool: &ToolRef) -> Result<Caller, Denial> {
        let caller = caller(&self.gateway, &self.headers)?;
        let asking = Asking { caller: Some(&caller), origin: &self.peer.origin, tool };
        self.gateway.gate.take_call(asking, clock::now()).await?;
        Ok(caller)
    }

    /// A refusal inside a tool: its result says what is wrong and what to do, with the same facts as everywhere.
    fn told(&self, denial: &Denial) -> Bytes {
        let answer = denied(denial, None, Door::JsonRpc { id: None }, self.gateway.naming(""));
        let error = raw::member(&answer.body, "error").unwrap_or_default();
        let facts = raw::member(&error, "data").unwrap_or_default();
        let facts = std::str::from_utf8(&facts).unwrap_or("{}");
        let text = format!("{} {}", denial.message(), denial.next_step());
        reply::tool_result(self.era, &[&text], None, &[("tollgate/denial", facts)], true)
    }

    fn refused(&self, denial: &Denial, id: Option<&RequestId>) -> Response<Body> {
        let door = Door::Mcp { era: self.era, id, payment_as_http: false };
        respond(denied(denial, None, door, self.gateway.naming("")))
    }

    fn faulted(&self, fault: &Fault, id: &RequestId) -> Response<Body> {
        let door = Door::Mcp { era: self.era, id: Some(id), payment_as_http: false };
        respond(faulted(fault, None, door, self.gateway.naming("")))
    }

    #[expect(clippy::unused_self, reason = "beside the other answers")]
    fn result(&self, id: &RequestId, raw: impl AsRef<[u8]>) -> Response<Body> {
        json_response(StatusCode::OK, reply::result(id, raw))
    }
}

/// A name that nobody has here.
fn unknown(name: &str) -> Option<Denial> {
    let (server, tool) = (crate::builtin::SERVER.parse().ok()?, name.parse().ok()?);
    Some(Denial::UnknownTool(ToolRef { server, tool }))
}

fn introduction(frame: &Frame) -> Value {
    let asked = frame.param("protocolVersion").and_then(raw_json::string);
    let spoken = LEGACY_VERSIONS.into_iter().find(|version| asked.as_deref() == Some(version));
    let [newest, ..] = LEGACY_VERSIONS;
    json!({
        "protocolVersion": spoken.unwrap_or(newest), "capabilities": { "tools": {} },
        "serverInfo": server_info(), "instructions": INSTRUCTIONS,
    })
}

fn discovery() -> Value {
    let mut said = json!({
        "supportedVersions": [MODERN_SINCE], "capabilities": { "tools": {} }, "instructions": INSTRUCTIONS,
        "_meta": { SERVER_INFO_KEY: server_info() },
    });
    if let Some(members) = said.as_object_mut() {
        members.extend(hints());
    }
    said
}

/// What a modern result says about itself.
fn hints() -> [(String, Value); 3] {
    [("resultType", json!("complete")), ("ttlMs", json!(TTL_MS)), ("cacheScope", json!("public"))]
        .map(|(name, value)| (name.to_owned(), value))
}
