//! What a request says of itself that may be told: nothing that a caller makes up becomes a name.

use tollgate_mcp::{RequestId, json};

use super::Arrival;

/// The member of `_meta` and the header that say of which trace a request is (W3C Trace Context; MCP, SEP-414).
pub(super) const TRACEPARENT: &str = "traceparent";
/// What vendors add to it.
pub(super) const TRACESTATE: &str = "tracestate";

/// What is not known of a method.
pub(super) const OTHER: &str = "_OTHER";
/// The methods of MCP: what a caller makes up becomes no name of a span.
const METHODS: [&str; 24] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
    // Of a server to its client.
    "elicitation/create",
    "notifications/cancelled",
    "roots/list",
    "sampling/createMessage",
];
const VERSIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

impl<'a> Arrival<'a> {
    /// The method, where it is one of MCP's.
    pub(super) fn method(&self) -> Option<&'static str> {
        let method = self.frame?.method().unwrap_or_default();
        Some(METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER))
    }

    pub(super) fn id(&self) -> Option<&'a RequestId> {
        self.frame?.id()
    }

    /// The version of MCP in which it is written, where that is one that was released.
    pub(super) fn version(&self) -> Option<&'static str> {
        self.frame?;
        let said = self.headers.get(tollgate_mcp::headers::PROTOCOL_VERSION)?;
        VERSIONS.into_iter().find(|known| known.as_bytes() == said.as_bytes())
    }

    /// One member of the context in `_meta`.
    pub(super) fn in_meta(&self, key: &str) -> Option<String> {
        self.frame?.meta(key).and_then(json::string)
    }

    /// One header of the context. Said more than once it says nothing.
    pub(super) fn in_headers(&self, key: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(key).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    }
}
