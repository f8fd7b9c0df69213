//! Arguments that a tool wants repeated in `Mcp-Param-*` headers (`x-mcp-header`, MCP 2026-07-28, SEP-2243).

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tollgate_mcp::headers::{MirroredParam, encode_value, mirrored_params};
use tollgate_mcp::{json, tools};

/// What one page of `tools/list` says about a tool.
pub(crate) struct Page {
    /// The arguments to mirror; `None` when the tool is not on this page.
    pub(crate) parameters: Option<Vec<MirroredParam>>,
    /// Where the next page begins.
    pub(crate) next_cursor: Option<String>,
}

/// Looks for one tool on one page. A tool whose annotations contradict the specification has none.
pub(crate) fn page(result: &Bytes, tool: &str) -> Page {
    let Ok(page) = tools::parse(result) else {
        return Page { parameters: None, next_cursor: None };
    };
    let parameters = page
        .tools
        .iter()
        .find(|listed| listed.name == tool)
        .map(|listed| mirrored_params(&listed.input_schema).unwrap_or_default());
    Page { parameters, next_cursor: page.next_cursor }
}

/// The headers for a call with these arguments: one for each annotated argument that is present and not null.
pub(crate) fn headers(parameters: &[MirroredParam], arguments: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    parameters
        .iter()
        .filter_map(|parameter| {
            let path: Vec<&str> = parameter.path().iter().map(String::as_str).collect();
            let raw = json::lookup(arguments, &path).ok()??;
            let value = match raw.first()? {
                b'"' => HeaderValue::from_str(&encode_value(&json::string(raw)?)),
                b't' | b'f' | b'-' | b'0'..=b'9' => HeaderValue::from_bytes(raw),
                _ => return None,
            };
            Some((parameter.header().clone(), value.ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests;
