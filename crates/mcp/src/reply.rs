//! JSON-RPC messages that the gateway itself says. What it passes on is not written here.

use bytes::Bytes;

use crate::era::Era;
use crate::json::quote;
use crate::object::members_text;
use crate::request_id::RequestId;

#[cfg(test)]
mod tests;

/// Codes of JSON-RPC 2.0 section 5.1 and of MCP (`basic`, "Error Codes"). Codes of our own live outside -32768 … -32000.
pub mod code {
    /// Not JSON.
    pub const PARSE_ERROR: i32 = -32_700;
    /// Not a message.
    pub const INVALID_REQUEST: i32 = -32_600;
    /// Unknown method.
    pub const METHOD_NOT_FOUND: i32 = -32_601;
    /// Unusable parameters; also an unknown tool or resource.
    pub const INVALID_PARAMS: i32 = -32_602;
    /// Our fault.
    pub const INTERNAL_ERROR: i32 = -32_603;
    /// Headers and body disagree (modern).
    pub const HEADER_MISMATCH: i32 = -32_020;
    /// The client did not declare what the method needs (modern).
    pub const MISSING_CLIENT_CAPABILITY: i32 = -32_021;
    /// The version is not spoken (modern).
    pub const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32_022;
}

/// An error response. Without an id its `id` is null (JSON-RPC 2.0 section 5). `data` is a raw JSON value.
pub fn error(id: Option<&RequestId>, code: i32, message: &str, data: Option<&str>) -> Bytes {
    let (id, message) = (id.map_or("null", RequestId::raw), quote(message));
    let mut text =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":{message}");
    if let Some(raw) = data {
        text.push_str(",\"data\":");
        text.push_str(raw);
    }
    text.push_str("}}");
    text.into()
}

/// A response with a raw result.
pub fn result(id: &RequestId, raw: impl AsRef<[u8]>) -> Bytes {
    let raw = raw.as_ref();
    let mut message = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":").into_bytes();
    message.extend_from_slice(raw);
    message.push(b'}');
    message.into()
}

/// The raw result of a `tools/call`: `texts` become text blocks in their order, `structured` (a raw value) becomes
/// `structuredContent`, `meta` (keys and raw values) `_meta`. A modern result says `resultType`.
pub fn tool_result(
    era: Era,
    texts: &[&str],
    structured: Option<&str>,
    meta: &[(&str, &str)],
    is_error: bool,
) -> Bytes {
    let blocks: Vec<String> =
        texts.iter().map(|text| format!("{{\"type\":\"text\",\"text\":{}}}", quote(text))).collect();
    let content = format!("[{}]", blocks.join(","));
    let meta = format!("{{{}}}", members_text(meta.iter().copied()));
    let mut members = Vec::with_capacity(5);
    if era == Era::Modern {
        members.push(("resultType", "\"complete\""));
    }
    members.push(("content", content.as_str()));
    if let Some(raw) = structured {
        members.push(("structuredContent", raw));
    }
    members.push(("isError", if is_error { "true" } else { "false" }));
    if meta != "{}" {
        members.push(("_meta", meta.as_str()));
    }
    format!("{{{}}}", members_text(members.into_iter())).into()
}

/// A notification with raw `params`.
pub fn notification(method: &str, params: Option<&str>) -> Bytes {
    let params = params.map(|raw| format!(",\"params\":{raw}")).unwrap_or_default();
    format!("{{\"jsonrpc\":\"2.0\",\"method\":{}{params}}}", quote(method)).into()
}

/// A request with raw `params`.
pub fn request(id: &RequestId, method: &str, params: Option<&str>) -> Bytes {
    let params = params.map(|raw| format!(",\"params\":{raw}")).unwrap_or_default();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{}{params}}}", quote(method)).into()
}
