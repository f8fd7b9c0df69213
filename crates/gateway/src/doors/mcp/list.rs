//! `tools/list`: passes with the tools whose definitions are approved, and with prices in each tool's `_meta`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response};
use serde_json::json;
use tokio::time::Instant;
use tollgate_domain::{Price, ToolRef};
use tollgate_exec::intercept::{Intercepted, Limits, intercept};
use tollgate_exec::{Body, UpstreamError};
use tollgate_gate::{Door, Fault, Viewer, faulted, pricing};
use tollgate_mcp::tools::ToolsError;
use tollgate_mcp::{Frame, RequestId, raw, tools};

use super::{forwarded, unreached};
use crate::carrier::Carrier;
use crate::clock;
use crate::gateway::Gateway;
use crate::reserved::is_reserved;

const DEADLINE_MS: u64 = 60_000;

/// One `tools/list` at an MCP door.
pub(super) async fn list(
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    head: Parts,
    frame: &Frame,
    id: RequestId,
) -> Response<Body> {
    let deadline = Instant::now() + Duration::from_millis(DEADLINE_MS);
    let viewer = viewer(&gateway, &carrier, &head.headers).await;
    let listed = async {
        let response = carrier.pass(forwarded(head, frame.bytes().clone())).await?;
        let (room, message_bytes_max) =
            (Some(&gateway.foundation.answers), gateway.config.limits.answer_bytes_max);
        let limits = Limits { message_bytes_max, room, ..Limits::default() };
        intercept(response, &id, limits, deadline, &gateway.foundation.tasks).await
    };
    match listed.await {
        Err(error) => unreached(&gateway, &error, Some(&id)),
        Ok(Intercepted::Refused(response)) => response,
        Ok(Intercepted::Whole(whole)) => {
            match shown(&gateway, &carrier, whole.answer().bytes(), viewer.as_ref()).await {
                Ok(message) => whole.respond(message),
                Err(error) => unreached(&gateway, &error, Some(&id)),
            }
        }
        Ok(Intercepted::Streamed(streamed)) => {
            let shared = Arc::clone(&gateway);
            gateway.foundation.tasks.spawn(async move {
                if let Ok(Ok(answer)) = streamed.answer.await {
                    let shown = shown(&shared, &carrier, answer.bytes(), viewer.as_ref()).await;
                    let message = shown.unwrap_or_else(|error| {
                        let fault = Fault::Upstream { kind: error.kind() };
                        faulted(&fault, None, Door::JsonRpc { id: Some(&id) }, shared.naming("")).body
                    });
                    drop(streamed.release.send(message));
                }
            });
            streamed.response
        }
    }
}

/// Who asks, where a list of the server depends on that.
pub(super) async fn viewer(gateway: &Gateway, carrier: &Carrier, headers: &HeaderMap) -> Option<Viewer> {
    if !gateway.tools.lists_callable_only(&carrier.name) {
        return None;
    }
    Some(gateway.gate.viewer(headers).await)
}

/// What a client is shown of a list: approved tools, with prices, and of them those that `viewer` may call. With pins, or for a viewer,
/// a list that cannot be read is no list: what it says could not be decided on.
pub(super) async fn shown(
    gateway: &Gateway,
    carrier: &Carrier,
    answer: &Bytes,
    viewer: Option<&Viewer>,
) -> Result<Bytes, UpstreamError> {
    let unreadable = |error: ToolsError| {
        tracing::warn!(server = %carrier.name, %error, "a tool list does not pass");
        UpstreamError::NotAnAnswer("its tool list cannot be read")
    };
    let answer = match viewer {
        Some(viewer) => &callable(gateway, carrier, answer, viewer).map_err(unreadable)?,
        None => answer,
    };
    match gateway.tools.admitted(&carrier.name, answer, clock::now()).await {
        Ok(admitted) => Ok(priced(gateway, carrier, &admitted)),
        Err(error) => Err(unreadable(error)),
    }
}

/// The list without the tools that its viewer may not call. It is theirs alone: where it says how it may be kept, it says so.
fn callable(
    gateway: &Gateway,
    carrier: &Carrier,
    answer: &Bytes,
    viewer: &Viewer,
) -> Result<Bytes, ToolsError> {
    let shown = tools::retain(answer, |raw| {
        let name = raw::text(raw, "name").and_then(|name| name.parse().ok());
        name.is_some_and(|tool| {
            gateway.tools.is_shown_to(viewer, &ToolRef { server: carrier.name.clone(), tool })
        })
    })?;
    let Some(result) = raw::member(&shown, "result") else { return Ok(shown) };
    if raw::member(&result, "cacheScope").is_none() {
        return Ok(shown);
    }
    let own = raw::set(&result, &[("cacheScope", "\"private\"")])?;
    let own = std::str::from_utf8(&own).unwrap_or_default();
    Ok(raw::set(&shown, &[("result", own)])?)
}

/// The list with prices. A list that cannot be read passes as it is: the client will see what the server said.
fn priced(gateway: &Gateway, carrier: &Carrier, answer: &Bytes) -> Bytes {
    let entries = |name: &str| {
        let tool = ToolRef { server: carrier.name.clone(), tool: name.parse().ok()? };
        // The operator's word, not the gateway's own copy of the list: that one may be older than what passes here.
        let price = gateway.tools.price(&tool).filter(|price| !price.is_free())?;
        let mut entries = vec![
            ("tollgate/pricing".to_owned(), pricing(&price).to_string()),
            ("agents-x402/paymentRequired".to_owned(), "true".to_owned()),
        ];
        // Where calls differ, no one number would be true.
        let options = price.per_call().map(Price::options).unwrap_or_default();
        let dollars = options.iter().find(|option| option.asset.symbol() == "USDC");
        if let Some(price) = dollars {
            entries.push((
                "agents-x402/priceUSD".to_owned(),
                json!(price.asset.decimal(price.amount)).to_string(),
            ));
        }
        Some(entries)
    };
    tools::enrich(answer, entries, is_reserved).unwrap_or_else(|error| {
        tracing::warn!(server = %carrier.name, %error, "a tool list passes without prices");
        answer.clone()
    })
}
