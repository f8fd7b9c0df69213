//! The headers that belong to one connection and end there (RFC 9110, section 7.6.1).

use http::header::{CONNECTION, HeaderMap, HeaderName};

/// Removes the headers with names like these. One walk over a handful of headers is cheaper than ten look-ups that find nothing.
pub(crate) fn remove(headers: &mut HeaderMap, is_named: impl Fn(&HeaderName) -> bool) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_named(name)).cloned().collect();
    for name in &found {
        headers.remove(name);
    }
}

/// Removes the headers that end at this hop, and those that `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    if found.is_empty() {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| name.as_str() != "close" && name.as_str() != "keep-alive")
        .collect();
    for name in named.iter().chain(&found) {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            // Answered by our own server; the next hop is asked with the body at hand.
            | "expect"
    )
}

#[cfg(test)]
mod tests;
