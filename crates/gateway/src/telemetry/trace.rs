//! Requests as OpenTelemetry sees them: one span of a request that is read, with the stations of a call below it, and how long
//! it took.
//!
//! By the conventions for MCP and for tools of generative AI. Nothing here holds arguments, results, proofs, credentials or
//! session ids. A server without a policy is streamed unread and has no spans: whatever context its callers send passes as it is.
//!
//! In a binary without the feature `otel` each of these is nothing, and costs nothing.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod present;
#[cfg(feature = "otel")]
mod reading;

use http::HeaderMap;
use tollgate_domain::{ServerName, ToolRef};
use tollgate_mcp::Frame;

#[cfg(not(feature = "otel"))]
pub use absent::{Span, Traces};
#[cfg(feature = "otel")]
pub use present::{Span, Traces};

use super::instrument::Counter;

/// Spans that were dropped, because the collector took them too slowly or not at all.
pub static LOST_SPANS: Counter = Counter::new();
/// Rounds of metrics that the collector did not take.
pub static LOST_METRICS: Counter = Counter::new();

/// A request that arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its message; `None` at a door that is neither MCP nor JSON-RPC.
    pub frame: Option<&'a Frame>,
}

impl<'a> Arrival<'a> {
    /// A message of JSON-RPC.
    pub fn of(headers: &'a HeaderMap, frame: &'a Frame) -> Self {
        Self { headers, frame: Some(frame) }
    }

    /// A request over plain HTTP.
    pub fn plain(headers: &'a HeaderMap) -> Self {
        Self { headers, frame: None }
    }
}

/// A request that the gateway sends on.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// To which server.
    pub server: &'a ServerName,
    /// For a call: of which tool.
    pub tool: Option<&'a ToolRef>,
    /// Whether the server is a program that is spoken to over its standard streams.
    pub is_program: bool,
}
