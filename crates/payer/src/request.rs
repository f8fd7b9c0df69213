//! The messages this client sends, in both protocol eras. The caller's arguments go out byte for byte.

use bytes::Bytes;
use tollgate_domain::Money;
use tollgate_mcp::era::{CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, MODERN_SINCE, PROTOCOL_VERSION_KEY};
use tollgate_mcp::json::{self, Limits, quote};
use tollgate_mcp::{Era, RequestId, reply};

use crate::PayError;

/// The newest revision with sessions, offered in the legacy handshake.
pub(crate) const LEGACY: &str = "2025-11-25";

/// Where an x402 payment travels inside `params._meta` (x402 `transports-v2/mcp.md`).
pub(crate) const X402_PAYMENT: &str = "x402/payment";
/// Where an L402 credential `macaroon:preimage` travels inside `params._meta`.
pub(crate) const L402_AUTHORIZATION: &str = "l402/authorization";
/// Where a Tollgate gateway reads inside `params._meta` what a call may cost, whoever pays.
const MAX_PRICE: &str = "tollgate/max-price";

/// One tool call as its caller wrote it.
#[derive(Clone, Debug)]
pub(crate) struct ToolCall {
    pub(crate) tool: String,
    arguments: String,
    /// The most that it may cost, where the server has money of the caller's.
    maximum: Option<String>,
}

impl ToolCall {
    /// Reads what the caller wrote. Arguments that two parsers could read differently are refused: what is paid for must be
    /// what runs.
    ///
    /// # Errors
    /// [`PayError::Request`] when the arguments are no strict JSON object or the name is empty.
    pub(crate) fn read(tool: &str, arguments: &str) -> Result<Self, PayError> {
        let arguments = arguments.trim_matches([' ', '\t', '\r', '\n']);
        json::check(arguments.as_bytes(), Limits::CALLER)
            .map_err(|error| PayError::Request(format!("the arguments are no JSON: {error}")))?;
        if !arguments.starts_with('{') {
            return Err(PayError::Request("the arguments are no JSON object".to_owned()));
        }
        if tool.is_empty() {
            return Err(PayError::Request("the tool has no name".to_owned()));
        }
        Ok(Self { tool: tool.to_owned(), arguments: arguments.to_owned(), maximum: None })
    }

    /// The same call, of which the server knows what it may cost.
    pub(crate) fn at_most(self, maximum: &Money) -> Self {
        Self { maximum: Some(maximum.to_string()), ..self }
    }

    /// The arguments, as written.
    pub(crate) fn arguments(&self) -> &str {
        &self.arguments
    }

    /// The `tools/call` with this additional `_meta` entry: a key and a raw value.
    pub(crate) fn body(&self, id: &RequestId, era: Era, payment: Option<(&str, &str)>) -> Bytes {
        let mut meta = match era {
            Era::Modern => modern_meta(),
            Era::Legacy => Vec::new(),
        };
        meta.extend(self.maximum.as_ref().map(|maximum| (MAX_PRICE, quote(maximum))));
        meta.extend(payment.map(|(key, value)| (key, value.to_owned())));
        let meta = if meta.is_empty() { String::new() } else { format!(",\"_meta\":{}", object(&meta)) };
        let params = format!("{{\"name\":{},\"arguments\":{}{meta}}}", quote(&self.tool), self.arguments);
        reply::request(id, "tools/call", Some(&params))
    }
}

/// The legacy `initialize`.
pub(crate) fn initialize(id: &RequestId) -> Bytes {
    let client = client_info();
    let params =
        format!("{{\"protocolVersion\":\"{LEGACY}\",\"capabilities\":{{}},\"clientInfo\":{client}}}");
    reply::request(id, "initialize", Some(&params))
}

/// The legacy notification that ends the handshake.
pub(crate) fn initialized() -> Bytes {
    reply::notification("notifications/initialized", None)
}

/// A modern `tools/list`.
pub(crate) fn tools_list(id: &RequestId, cursor: Option<&str>) -> Bytes {
    let cursor = cursor.map(|cursor| format!("\"cursor\":{},", quote(cursor))).unwrap_or_default();
    let params = format!("{{{cursor}\"_meta\":{}}}", object(&modern_meta()));
    reply::request(id, "tools/list", Some(&params))
}

/// What every modern request carries in `params._meta` (MCP 2026-07-28, SEP-2575).
fn modern_meta() -> Vec<(&'static str, String)> {
    vec![
        (PROTOCOL_VERSION_KEY, quote(MODERN_SINCE)),
        (CLIENT_CAPABILITIES_KEY, "{}".to_owned()),
        (CLIENT_INFO_KEY, client_info()),
    ]
}

fn client_info() -> String {
    format!("{{\"name\":\"tollgate\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{}:{value}", quote(key))).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests;
