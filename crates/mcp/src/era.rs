//! The two protocol eras and the `_meta` keys that tell them apart.

#[cfg(test)]
mod tests;

/// The first revision of the modern era.
pub const MODERN_SINCE: &str = "2026-07-28";
/// The revisions of the legacy era, the newest first.
pub const LEGACY_VERSIONS: [&str; 5] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2024-10-07"];
/// The revision to assume for a legacy request without a version header (`2025-11-25/basic/transports`).
pub const LEGACY_DEFAULT: &str = "2025-03-26";

/// `_meta` key of every modern request: its protocol version.
pub const PROTOCOL_VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key of every modern request: what the client can do.
pub const CLIENT_CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta` key of a modern request: who the client says it is. Self-asserted.
pub const CLIENT_INFO_KEY: &str = "io.modelcontextprotocol/clientInfo";
/// `_meta` key of a modern result: who the server says it is. Self-asserted.
pub const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";
/// `_meta` key of every message of a subscription: the id of its `subscriptions/listen`.
pub const SUBSCRIPTION_ID_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// Which family of revisions a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2026-07-28 and later: no sessions, every request describes itself.
    Modern,
    /// 2025-11-25 and earlier: `initialize` and sessions.
    Legacy,
}

impl Era {
    /// The era of a revision; `None` where `version` is not a date as revisions are.
    pub fn of_version(version: &str) -> Option<Self> {
        let is_date = version.len() == 10
            && version.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        // Dates of one form compare as text.
        is_date.then_some(if version >= MODERN_SINCE { Self::Modern } else { Self::Legacy })
    }
}
