//! `POST /api/v1/execute`: one tool call over plain HTTP, paid by x402 or L402 headers or from prepaid credit.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tollgate_domain::{Amount, CallId, Digest, Money, ServerName, ToolRef};
use tollgate_gate::{Answer, CreditUse, Denial, Door, Found, Presentation, Refusal, denied, render, request};
use tollgate_mcp::{Limits, canonical, json};

use crate::authorizations::{Done, Execution};
use crate::carry::{answered, run};
use crate::doors::Peer;
use crate::doors::payments::key_holder;
use crate::gateway::Gateway;
use crate::telemetry::{Arrival, Watch};

/// The body of a request to execute a tool.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Execute<'a> {
    tool_name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(default)]
    auto_pay: bool,
    /// The most to pay, in atomic units of the first asset of the tool's price.
    #[serde(default)]
    max_price: Option<Amount>,
    /// The id of an authorization of this very call: its reserved credit pays.
    #[serde(default)]
    authorization: Option<CallId>,
}

/// A call to be executed.
enum Prepared {
    /// Over the whole street.
    Afresh(Box<tollgate_gate::Request>),
    /// Authorized before: begun by this.
    Authorized { call: CallId, server: ServerName, begin: oneshot::Sender<Done> },
}

/// Executes a tool and answers with its result, or with 402 and the ways to pay.
pub(crate) async fn execute(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let url = format!("{}/api/v1/execute", gateway.config.public_url);
    let answer = match read(&gateway, body).await {
        Ok(body) => answer(&gateway, &headers, &uri, &body, peer, &url).await,
        Err(denial) => denied(&denial, None, Door::Rest, gateway.naming(&url)),
    };
    into_response(answer)
}

/// A whole request body, within the limits of length and time.
pub(crate) async fn read(gateway: &Gateway, body: axum::body::Body) -> Result<Bytes, Denial> {
    let (bytes_max, body_ms_max) = (gateway.config.limits.body_bytes_max, gateway.config.limits.body_ms_max);
    let reading = axum::body::to_bytes(body, bytes_max);
    match tokio::time::timeout(Duration::from_millis(body_ms_max), reading).await {
        Ok(read) => read.map_err(|_| Denial::BodyTooLarge { bytes_max }),
        Err(_elapsed) => Err(Denial::RequestTimedOut { body_ms_max }),
    }
}

/// An answer of the street as an axum response.
pub(crate) fn into_response(answer: Answer) -> Response {
    (answer.status, answer.headers, answer.body).into_response()
}

async fn answer(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    uri: &Uri,
    body: &Bytes,
    peer: Peer,
    url: &str,
) -> Answer {
    let refusal = match prepared(gateway, headers, uri, body, peer).await {
        Ok(Prepared::Afresh(request)) => {
            match run(gateway, *request, Door::Rest, url, Arrival::plain(headers)).await {
                Ok(answer) => return answer,
                Err(refusal) => refusal,
            }
        }
        Ok(Prepared::Authorized { call, server, begin }) => {
            let (done, ended) = oneshot::channel();
            match gateway.carriers.get(&server) {
                Some(carrier) if begin.send(done).is_ok() => {
                    return answered(gateway, carrier, call, ended, Door::Rest, url).await;
                }
                // Its task is gone, or its server: what was reserved is released.
                Some(_) | None => turned_away(gateway, Denial::AuthorizationUnknown, Door::Rest),
            }
        }
        Err(denial) => turned_away(gateway, denial, Door::Rest),
    };
    let Refusal { call, verdict, .. } = refusal;
    render(&verdict, call, Door::Rest, gateway.naming(url))
}

/// A call that was refused before it could be read as one: counted and logged like any other.
pub(crate) fn turned_away(gateway: &Arc<Gateway>, denial: Denial, door: Door<'_>) -> Refusal {
    let refusal = Refusal::denied(denial);
    Watch::begin(gateway, door.word()).refused(&refusal);
    refusal
}

async fn prepared(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    uri: &Uri,
    body: &Bytes,
    peer: Peer,
) -> Result<Prepared, Denial> {
    let malformed = |reason: String| Denial::MalformedFrame { json_rpc: -32_600, reason };
    // Strictly first: two parsers must not read two different calls.
    json::check(body, Limits::CALLER).map_err(|error| malformed(error.to_string()))?;
    let parsed: Execute<'_> = serde_json::from_slice(body).map_err(|error| {
        malformed(format!("{error}; expected {{\"tool_name\",\"arguments\",\"auto_pay\",\"max_price\"}}"))
    })?;
    let tool = resolve(gateway, &parsed.tool_name).await?;
    let arguments =
        parsed.arguments.map_or(Bytes::from_static(b"{}"), |raw| body.slice_ref(raw.get().as_bytes()));
    if !arguments.starts_with(b"{") {
        return Err(Denial::InvalidArguments(vec!["arguments must be an object".to_owned()]));
    }
    let maximum = most(gateway, &tool, parsed.max_price);
    let found = Found {
        tool,
        arguments,
        headers,
        query: uri.query(),
        credit: if parsed.auto_pay { CreditUse::Allowed } else { CreditUse::Refused },
        maximum,
        origin: peer.origin,
    };
    let request = request(found, |_| None)?;
    match parsed.authorization {
        None => Ok(Prepared::Afresh(Box::new(request))),
        Some(call) => authorized(gateway, headers, &request, call),
    }
}

/// Takes the authorization of a call: once, by its caller, for its tool and arguments.
fn authorized(
    gateway: &Gateway,
    headers: &HeaderMap,
    request: &tollgate_gate::Request,
    call: CallId,
) -> Result<Prepared, Denial> {
    if request.presented != Presentation::Nothing {
        return Err(Denial::PaymentAmbiguous("an authorization and a payment".to_owned()));
    }
    let caller = key_holder(gateway, headers)?.principal();
    let args = canonical::digest(&request.arguments).map(Digest::from_bytes);
    let args = args.map_err(|error| Denial::InvalidArguments(vec![error.to_string()]))?;
    let maximum = request.maximum.as_ref();
    let execution = Execution { caller: &caller, tool: &request.tool, args, maximum };
    let begin = gateway.authorizations.take(call, execution)?;
    Ok(Prepared::Authorized { call, server: request.tool.server.clone(), begin })
}

/// The tool that a name means; its server is asked for its list first if it has none.
pub(crate) async fn resolve(gateway: &Gateway, name: &str) -> Result<ToolRef, Denial> {
    gateway.tools.resolve(name).map_err(|servers| {
        let shown: String = name.chars().take(128).collect();
        if servers.is_empty() {
            return Denial::UnknownServer(format!("no server lists a tool {shown:?}"));
        }
        let names: Vec<String> = servers.iter().map(|server| format!("{server}/{shown}")).collect();
        Denial::UnknownServer(format!("several servers list {shown:?}; say which: {}", names.join(", ")))
    })
}

/// The most that a call may cost, in the asset in which the tool's price is named first; `None` where nothing was said, or the
/// tool costs nothing. The tool's own policy says which asset that is, whether or not its server lists it yet.
pub(crate) fn most(gateway: &Gateway, tool: &ToolRef, amount: Option<Amount>) -> Option<Money> {
    let asset = gateway.tools.price(tool)?.first_asset()?.clone();
    amount.map(|amount| Money { amount, asset })
}
