//! Headers that a server gets from this gateway itself: its credential, and others.

use http::{HeaderName, HeaderValue};

use super::Reader;
use crate::config::meaning::OwnHeader;
use crate::config::raw::{RawCredential, RawServer};

impl Reader<'_> {
    /// The credential of a server, and the other headers that it gets from this gateway.
    pub(super) fn own_headers(&mut self, at: &str, raw: &RawServer) -> Vec<OwnHeader> {
        let credential = raw.credential.as_ref().and_then(|raw| self.credential(at, raw));
        let mut all: Vec<OwnHeader> = credential.into_iter().collect();
        for (name, value) in &raw.headers {
            let at = format!("{at}.headers.{name}");
            let Some(name) = self.parse::<HeaderName>(&at, name, "a header name") else { continue };
            if is_of_the_exchange(&name) {
                self.refuse(&at, "is said by the gateway itself, for each request: leave it out");
            } else if all.iter().any(|known| known.name == name) {
                self.refuse(&at, "is named twice: here, and in another spelling or as `credential`");
            } else if let Some(value) = self.header_value(&at, value) {
                all.push(OwnHeader { name, value });
            }
        }
        all
    }

    fn credential(&mut self, at: &str, raw: &RawCredential) -> Option<OwnHeader> {
        let name = raw.header.as_deref().unwrap_or("authorization");
        let name = self.parse(&format!("{at}.credential.header"), name, "a header name")?;
        let value = raw.value.as_deref().unwrap_or_default();
        let value = self.header_value(&format!("{at}.credential.value"), value)?;
        Some(OwnHeader { name, value })
    }

    fn header_value(&mut self, at: &str, value: &str) -> Option<HeaderValue> {
        let value = HeaderValue::from_str(value).ok().filter(|value| !value.is_empty());
        if value.is_none() {
            self.refuse(at, "is empty or not a header value");
        }
        value
    }
}

/// Whether a header is about one exchange or one connection: fixed, it would be wrong or contradict the gateway.
fn is_of_the_exchange(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("mcp-")
        || matches!(
            name,
            "accept"
                | "accept-encoding"
                | "connection"
                | "content-encoding"
                | "content-length"
                | "content-type"
                | "expect"
                | "host"
                | "keep-alive"
                | "last-event-id"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
}
