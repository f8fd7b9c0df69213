//! From what arrived at a door to what the street takes: credentials found, nothing believed.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use tollgate_domain::{Assets, Money, Origin, Pricing, ToolRef};
use tollgate_rails::carriers::{self, CarrierError};
use tollgate_trust::presented_key;

use crate::call::{CreditUse, Presentation, Request};
use crate::denial::Denial;

/// The header with the caller's own key for repeating a request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The same in `params._meta`.
pub const IDEMPOTENCY_META: &str = "tollgate/idempotency-key";
/// The most that a call may cost, as people write money (`"0.01USDC"`), in `params._meta`.
pub const MAXIMUM_META: &str = "tollgate/max-price";

/// One call as a door found it.
#[derive(Debug)]
pub struct Found<'a> {
    /// Which tool of which server.
    pub tool: ToolRef,
    /// The arguments exactly as they came.
    pub arguments: Bytes,
    /// The headers, in which a caller identifies and pays.
    pub headers: &'a HeaderMap,
    /// The query of the URL, in which nobody may.
    pub query: Option<&'a str>,
    /// Whether prepaid credit may be spent.
    pub credit: CreditUse,
    /// The most the caller is willing to pay, where the door lets it say so.
    pub maximum: Option<Money>,
    /// Where the request comes from.
    pub origin: Origin,
}

/// Builds the street's request. `meta` looks up raw members of `params._meta`; doors without one find nothing.
///
/// # Errors
/// A [`Denial`] when more than one payment or key is presented, or a payment stands where none may.
pub fn request<'m>(found: Found<'_>, meta: impl Fn(&str) -> Option<&'m [u8]>) -> Result<Request, Denial> {
    let Credentials { presented, api_key } = credentials(found.headers, found.query, &meta)?;
    let idempotency_key = idempotency_key(found.headers, meta(IDEMPOTENCY_META))?;
    Ok(Request {
        tool: found.tool,
        arguments: found.arguments,
        args_digest: None,
        api_key,
        presented,
        idempotency_key,
        credit: found.credit,
        maximum: found.maximum,
        origin: found.origin,
    })
}

/// The most that a call with this price may cost, as its caller says in `params._meta`. One that cannot be read is refused and not
/// ignored: its sender would believe that no more can be spent. Of a tool that never costs anything it says nothing.
///
/// # Errors
/// A [`Denial`] when it is no money, or in an asset that is not taken here.
pub fn maximum(raw: Option<&[u8]>, price: &Pricing, assets: &Assets) -> Result<Option<Money>, Denial> {
    // An explicit null is what some clients send for "none".
    let raw = raw.filter(|raw| raw.trim_ascii() != b"null" && price.first_asset().is_some());
    let Some(raw) = raw else { return Ok(None) };
    let refused = |reason: &str| Denial::MalformedFrame {
        json_rpc: -32_600,
        reason: format!("{MAXIMUM_META} is money such as \"0.01USDC\": {reason}"),
    };
    let text = tollgate_mcp::json::string(raw).ok_or_else(|| refused("it is no text"))?;
    assets.parse(&text).map(Some).map_err(|error| refused(&error.to_string()))
}

/// The caller's own key for repeating a request. One that cannot be read, or is not alone, is refused and not ignored: its sender would
/// believe to be safe from paying twice.
fn idempotency_key(headers: &HeaderMap, meta: Option<&[u8]>) -> Result<Option<String>, Denial> {
    let refused = |reason: &str| Denial::MalformedFrame { json_rpc: -32_600, reason: reason.to_owned() };
    let in_headers = headers.get_all(IDEMPOTENCY_KEY).iter();
    let in_headers = in_headers.map(|line| line.to_str().ok().map(str::to_owned));
    // An explicit null is what some clients send for "none".
    let in_meta = meta.filter(|raw| raw.trim_ascii() != b"null").map(tollgate_mcp::json::string);
    let mut keys = in_headers.chain(in_meta);
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.any(|other| other != key) {
        return Err(refused("a request has one idempotency key, this one has several"));
    }
    let is_key =
        |key: &String| (1..=64).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match key.filter(is_key) {
        Some(key) => Ok(Some(key)),
        None => Err(refused("an idempotency key is 1 to 64 visible ASCII characters")),
    }
}

/// Who a request says it is from, and what it pays with.
pub(crate) struct Credentials {
    pub(crate) presented: Presentation,
    pub(crate) api_key: Option<String>,
}

/// Finds the credentials of a request; nothing of them is believed.
pub(crate) fn credentials<'m>(
    headers: &HeaderMap,
    query: Option<&str>,
    meta: impl Fn(&str) -> Option<&'m [u8]>,
) -> Result<Credentials, Denial> {
    refuse_query_carriers(query)?;
    let presented = match carriers::extract(headers, meta) {
        Ok(None) => Presentation::Nothing,
        Ok(Some(presented)) => Presentation::Payment(presented),
        Err(error @ CarrierError::Several(_)) => return Err(Denial::PaymentAmbiguous(error.to_string())),
        Err(error) => Presentation::Unreadable(error.to_string()),
    };
    let api_key = presented_key(lines(headers, "authorization"), lines(headers, "x-api-key"))
        .map_err(|error| Denial::Unauthenticated { reason: error.to_string() })?
        .map(str::to_owned);
    Ok(Credentials { presented, api_key })
}

/// A payment in a URL ends up in logs and histories of every hop: such a carrier is refused, not ignored.
fn refuse_query_carriers(query: Option<&str>) -> Result<(), Denial> {
    const NAMES: [&str; 6] = ["payment", "payment_hash", "payment_preimage", "preimage", "macaroon", "l402"];
    let named = |query: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split('=').next())
            .find(|name| NAMES.iter().any(|carrier| name.eq_ignore_ascii_case(carrier)))
            .map(str::to_owned)
    };
    match query.and_then(named) {
        Some(name) => Err(Denial::PaymentCarrierRefused(format!("the URL parameter {name}"))),
        None => Ok(()),
    }
}

fn lines<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    headers.get_all(HeaderName::from_static(name)).iter().filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
