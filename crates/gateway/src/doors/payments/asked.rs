//! What a request of the payments API is about: a tool, its arguments, and what is presented with them.

use bytes::Bytes;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_gate::{CreditUse, Denial, Found, Request};

use crate::doors::Peer;
use crate::doors::body::object;
use crate::doors::execute::{most, resolve};
use crate::gateway::Gateway;

/// Where an MCP client puts an x402 payment; the member `payment` of a body means the same.
const PAYMENT_META: &str = "x402/payment";

/// For how long an authorization is good at most.
const TTL_SECONDS_MAX: u64 = 3_600;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    tool_name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    /// To be verified: an x402 `PaymentPayload`. Other payments come in their headers.
    #[serde(borrow, default)]
    payment: Option<&'a RawValue>,
    /// To be authorized: the most it may cost, in atomic units of the first asset of the tool's price.
    #[serde(default)]
    max_price: Option<tollgate_domain::Amount>,
    /// To be authorized: for how long.
    #[serde(default)]
    expires_in_seconds: Option<u64>,
}

/// Beside the body.
pub(super) struct Asking<'a> {
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: Peer,
    pub(super) credit: CreditUse,
}

/// The street's request, and for how long an authorization is asked.
///
/// # Errors
/// A denial when the body cannot be read, or names no tool.
pub(super) async fn request(
    gateway: &Gateway,
    asking: &Asking<'_>,
    body: &Bytes,
) -> Result<(Request, Option<u64>), Denial> {
    let malformed = |reason: String| Denial::MalformedFrame { json_rpc: -32_600, reason };
    let parsed: Body<'_> = object(body)
        .map_err(|error| malformed(format!("{error}; expected {{\"tool_name\",\"arguments\"}}")))?;
    if parsed.payment.is_some_and(|raw| !raw.get().starts_with('{')) {
        return Err(malformed("payment must be an object".to_owned()));
    }
    if parsed.expires_in_seconds.is_some_and(|seconds| !(1..=TTL_SECONDS_MAX).contains(&seconds)) {
        return Err(malformed(format!("expires_in_seconds is not between 1 and {TTL_SECONDS_MAX}")));
    }
    let tool = resolve(gateway, &parsed.tool_name).await?;
    let arguments =
        parsed.arguments.map_or(Bytes::from_static(b"{}"), |raw| body.slice_ref(raw.get().as_bytes()));
    if !arguments.starts_with(b"{") {
        return Err(Denial::InvalidArguments(vec!["arguments must be an object".to_owned()]));
    }
    let found = Found {
        maximum: most(gateway, &tool, parsed.max_price),
        tool,
        arguments,
        headers: asking.headers,
        query: asking.uri.query(),
        credit: asking.credit,
        origin: asking.peer.origin,
    };
    let payment = parsed.payment.map(|raw| raw.get().as_bytes());
    let request = tollgate_gate::request(found, |key| payment.filter(|_| key == PAYMENT_META))?;
    Ok((request, parsed.expires_in_seconds))
}
