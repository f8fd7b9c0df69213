//! A request that is no tool call, in traces: from its arrival until its answer begins.

use http::{HeaderMap, StatusCode};
use tollgate_mcp::{Frame, Kind};

use super::trace::{Arrival, Sent, Span};
use crate::carrier::Carrier;
use crate::gateway::Gateway;

/// One such request under way.
#[derive(Debug, Default)]
pub struct Passing {
    served: Span,
    sent: Span,
}

impl Passing {
    /// It arrives, and goes on with these headers: to one server, or to several.
    pub fn begin(gateway: &Gateway, frame: &Frame, headers: &mut HeaderMap, to: Option<&Carrier>) -> Self {
        if frame.kind() != Kind::Request {
            return Self::default();
        }
        let served = gateway.foundation.telemetry.traces.server(Arrival::of(headers, frame));
        let sent = to.map(|carrier| {
            served.sent(Sent { server: &carrier.name, tool: None, is_program: carrier.is_program })
        });
        sent.as_ref().unwrap_or(&served).forward(headers);
        Self { served, sent: sent.unwrap_or_default() }
    }

    /// The head of its answer is there. What a streamed answer says is not read.
    pub fn answered(mut self, status: StatusCode) {
        if status.is_client_error() || status.is_server_error() {
            self.sent.fail(status.as_str());
            self.served.fail(status.as_str());
        }
    }
}
