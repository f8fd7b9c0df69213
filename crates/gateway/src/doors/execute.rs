//! `POST /api/v1/execute`: one tool call over plain HTTP, paid by x402 or L402 headers or from prepaid credit.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tollgate_domain::{Amount, CallId, Digest, Money, Principal, ServerName, ToolRef};
use tollgate_gate::{
    Answer, CreditUse, Denial, Door, Fault, Found, Presentation, Refusal, Verdict, denied, render, request,
};
use tollgate_ledger::StoreError;
use tollgate_mcp::canonical;

use crate::authorizations::{Done, Execution};
use crate::carry::{answered, run};
use crate::described::{Access, Body, Doors, Example, Group, Operation, Schema, Shape, Told, UNREAD};
use crate::doors::Peer;
use crate::doors::body::{object, within};
use crate::doors::payments::key_holder;
use crate::gateway::Gateway;
use crate::telemetry::{Arrival, Watch};

/// The doors of this file.
pub(super) fn doors() -> Doors {
    Doors::new(SCHEMAS).post("/api/v1/execute", execute, &EXECUTE)
}

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
    within(body, gateway).await
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
                    match answered(gateway, carrier, call, ended, Door::Rest, url).await {
                        Ok(answer) => return answer,
                        Err(refusal) => refusal,
                    }
                }
                // Its task is gone, or its server: what was reserved is released.
                Some(_) | None => turned_away(gateway, Denial::AuthorizationUnknown, Door::Rest),
            }
        }
        Err(verdict) => turned_away(gateway, verdict, Door::Rest),
    };
    let Refusal { call, verdict, .. } = refusal;
    render(&verdict, call, Door::Rest, gateway.naming(url))
}

/// A call that was refused before it could be read as one: counted and logged like any other.
pub(crate) fn turned_away(gateway: &Arc<Gateway>, verdict: impl Into<Verdict>, door: Door<'_>) -> Refusal {
    let refusal = Refusal { call: None, tool: None, verdict: Box::new(verdict.into()) };
    Watch::begin(gateway, door.word()).refused(&refusal);
    refusal
}

async fn prepared(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    uri: &Uri,
    body: &Bytes,
    peer: Peer,
) -> Result<Prepared, Verdict> {
    let malformed = |reason: String| Denial::MalformedFrame { json_rpc: -32_600, reason };
    let parsed: Execute<'_> = object(body).map_err(|error| {
        malformed(format!(
            "{error}; expected {{\"tool_name\",\"arguments\",\"auto_pay\",\"max_price\",\"authorization\"}}"
        ))
    })?;
    let tool = resolve(gateway, &parsed.tool_name).await?;
    let arguments =
        parsed.arguments.map_or(Bytes::from_static(b"{}"), |raw| body.slice_ref(raw.get().as_bytes()));
    if !arguments.starts_with(b"{") {
        return Err(Denial::InvalidArguments(vec!["arguments must be an object".to_owned()]).into());
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
        Some(call) => authorized(gateway, headers, &request, call).await,
    }
}

/// Takes the authorization of a call: once, by its caller, for its tool and arguments.
async fn authorized(
    gateway: &Gateway,
    headers: &HeaderMap,
    request: &tollgate_gate::Request,
    call: CallId,
) -> Result<Prepared, Verdict> {
    if request.presented != Presentation::Nothing {
        return Err(Denial::PaymentAmbiguous("an authorization and a payment".to_owned()).into());
    }
    let caller = key_holder(gateway, headers)?.principal();
    let args = canonical::digest(&request.arguments).map(Digest::from_bytes);
    let args = args.map_err(|error| Denial::InvalidArguments(vec![error.to_string()]))?;
    let maximum = request.maximum.as_ref();
    let execution = Execution { caller: &caller, tool: &request.tool, args, maximum };
    match gateway.foundation.authorizations.take(call, execution) {
        Ok(begin) => Ok(Prepared::Authorized { call, server: request.tool.server.clone(), begin }),
        Err(Denial::AuthorizationUnknown) if is_elsewhere(gateway, &call, &caller).await? => {
            Err(Denial::AuthorizationElsewhere.into())
        }
        Err(denial) => Err(denial.into()),
    }
}

/// Whether a call of this caller is open at another of several gateways.
async fn is_elsewhere(gateway: &Gateway, call: &CallId, caller: &Principal) -> Result<bool, Fault> {
    gateway.gate.ports().store.is_open_elsewhere(call, caller).await.map_err(|error| {
        tracing::error!(%error, "an authorization cannot be looked for at other gateways");
        match error {
            StoreError::Busy | StoreError::NoSpace => Fault::StoreBusy,
            other => Fault::Internal(other.to_string()),
        }
    })
}

/// The tool that a name means; its server is asked for its list first if it has none.
pub(crate) async fn resolve(gateway: &Gateway, name: &str) -> Result<ToolRef, Denial> {
    gateway.tools.resolve(name).map_err(|servers| {
        let shown: String = name.chars().take(128).collect();
        if servers.is_empty() {
            return Denial::UnlistedTool(shown);
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

/// The codes of a call of a tool over HTTP: what the street refuses with, and what may go wrong behind it.
pub(crate) const STREET: &[&str] = &[
    "unauthenticated",
    "trust_insufficient",
    "unknown_tool",
    "unknown_server",
    "tool_not_approved",
    "invalid_arguments",
    "price_above_maximum",
    "price_unknown",
    "budget_exceeded",
    "approval_required",
    "spending_stopped",
    "payment_required",
    "payment_unreadable",
    "payment_ambiguous",
    "payment_carrier_refused",
    "payment_invalid",
    "payment_wrong_target",
    "payment_wrong_amount",
    "payment_other_call",
    "payment_expired",
    "payment_window",
    "payment_replayed",
    "payment_in_flight",
    "payment_failed",
    "upstream_unreachable",
    "upstream_timed_out",
    "upstream_broken",
    "upstream_demands_payment",
    "settlement_pending",
    "store_busy",
    "store_closed",
    "wallet_unavailable",
    "internal",
];

/// How [`execute`] is described.
pub(crate) const EXECUTE: Operation = Operation {
    id: "execute",
    group: Group::Tools,
    access: Access::Caller,
    summary: "Calls one tool, and pays for it.",
    about: "Unpaid, a tool with a price answers 402 with every way to pay it, in headers and body. Pay one offer and send the same request again: \
        the x402 payment in `PAYMENT-SIGNATURE`, or `Authorization: L402 <macaroon>:<preimage>`. With an API key and `auto_pay`, prepaid credit is spent. \
        The same payment with the same request brings the stored result; with another request it is refused. A tool that fails is not charged.",
    parameters: &[],
    body: Some(Body {
        shape: Shape::Named("Execute"),
        examples: &[
            Example {
                shows: "At most 1 USDC, from prepaid credit where the caller has some.",
                json: r#"{"tool_name":"web-search","arguments":{"query":"hello"},"auto_pay":true,"max_price":"1000000"}"#,
            },
            Example {
                shows: "A tool of a server that is named, without arguments.",
                json: r#"{"tool_name":"search/web-search"}"#,
            },
            Example {
                shows: "A call that was authorized before: its reserved credit pays.",
                json: r#"{"tool_name":"web-search","arguments":{"query":"hello"},"authorization":"call_103518Rpy1IgAnbQiqcrFy6"}"#,
            },
        ],
    }),
    told: &[Told {
        headers: &[
            ("PAYMENT-RESPONSE", "x402: how the payment was settled, in base64."),
            ("Payment-Receipt", "The receipt of the HTTP `Payment` scheme."),
            ("Tollgate-Note", "The `note` of the body."),
        ],
        ..Told::json(
            200,
            "The tool's result, and the receipt of the call.",
            Shape::Named("Executed"),
            Some(
                r#"{"result":{"content":[{"type":"text","text":"hello"}],"structuredContent":{"echo":{"query":"hello"}}},"call_id":"call_103518Rpy1IgAnbQiqcrFy6","receipt":{"envelope":{"payloadType":"application/vnd.tollgate.call-receipt+json","payload":"eyJ2IjoxfQ==","signatures":[{"keyid":"5vQm","sig":"AAAA"}]}}}"#,
            ),
        )
    }],
    codes: &[
        UNREAD,
        STREET,
        &["authorization_unknown", "authorization_elsewhere", "authorization_other_call"],
    ],
};

/// What these operations name.
pub(crate) const SCHEMAS: &[Schema] = &[
    Schema {
        name: "Execute",
        json: r##"{"type":"object","required":["tool_name"],"additionalProperties":false,"properties":{
            "tool_name":{"type":"string","description":"The tool, or `server/tool` where several servers have one of that name."},
            "arguments":{"type":["object","null"],"description":"Forwarded byte for byte. Default: none."},
            "auto_pay":{"type":"boolean","default":false,"description":"Whether prepaid credit of the caller may be spent."},
            "max_price":{"anyOf":[{"$ref":"#/components/schemas/Amount"},{"type":"null"}],"description":"The most to pay, in the asset of the tool's first price. A higher price is refused, not demanded."},
            "authorization":{"anyOf":[{"$ref":"#/components/schemas/CallId"},{"type":"null"}],"description":"The id of an authorization of this very call, good once."}}}"##,
    },
    Schema {
        name: "Executed",
        json: r##"{"type":"object","required":["result","call_id"],"properties":{
            "result":{"description":"What the tool answered: an MCP tool result."},
            "call_id":{"$ref":"#/components/schemas/CallId"},
            "receipt":{"$ref":"#/components/schemas/Receipt"},
            "note":{"type":"string","description":"What became of the payment, in a sentence: of a tool that failed, whether it can be used again."}}}"##,
    },
    Schema {
        name: "Receipt",
        json: r##"{"type":"object","required":["envelope"],"properties":{
            "envelope":{"$ref":"#/components/schemas/Envelope"},
            "salts":{"type":"object","description":"What opens the receipt's digests; only whoever made the call has them."}}}"##,
    },
];
