//! What one slice showed.

use serde_json::json;
use tollgate_testkit::wrk::Report;

/// Who answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Subject {
    /// The upstream itself: the ceiling of load generator and upstream.
    Direct,
    /// Bytes copied from one connection to another.
    Relay,
    /// nginx in front of it.
    Nginx,
    /// The gateway, server without any policy.
    Plain,
    /// The gateway, a message of a server with a policy that is parsed and only passed on.
    Routed,
    /// The gateway, a free call of a server with a policy: authentication, standing, price, limits and metering.
    Gated,
    /// The same through the federated door, over two servers.
    Federated,
    /// The gateway, a call paid from an API key's credit.
    Prepaid,
    /// The same of a tool that runs while its claim is committed.
    PrepaidAhead,
    /// A gateway of its own, a call that is only held: claimed and reserved in one durable step, and run by whoever asks.
    Held,
    /// The same of a tool that may run while that step is committed.
    HeldAhead,
    /// nginx, with bodies that carry a payment.
    NginxPaying,
    /// The gateway, a call paid by x402.
    X402,
}

/// One slice.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) subject: Subject,
    pub(crate) connections: u32,
    pub(crate) report: Report,
    /// What the subject's processes ran meanwhile.
    pub(crate) cpu_seconds: f64,
}

impl Subject {
    /// Whether it is a call that is only held.
    pub(crate) const fn is_held(self) -> bool {
        matches!(self, Self::Held | Self::HeldAhead)
    }

    /// In the order of a round: nginx beside what is compared with it.
    pub(crate) const ALL: [Self; 13] = [
        Self::Direct,
        Self::Plain,
        Self::Nginx,
        Self::Held,
        Self::HeldAhead,
        Self::Routed,
        Self::Gated,
        Self::Relay,
        Self::Federated,
        Self::Prepaid,
        Self::PrepaidAhead,
        Self::NginxPaying,
        Self::X402,
    ];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Nginx => "nginx",
            Self::Plain => "plain",
            Self::Routed => "routed",
            Self::Gated => "gated",
            Self::Federated => "federated",
            Self::Prepaid => "prepaid",
            Self::PrepaidAhead => "prepaid_ahead",
            Self::Held => "held",
            Self::HeldAhead => "held_ahead",
            Self::NginxPaying => "nginx_paying",
            Self::X402 => "x402",
        }
    }
}

impl Sample {
    pub(crate) fn json(&self, round: u32) -> String {
        let rate = self.report.requests_per_second();
        let seconds = rate.recip() * self.cpu_seconds / self.seconds();
        json!({
            "kind": "slice",
            "subject": self.subject.word(),
            "connections": self.connections,
            "round": round,
            "requests_per_second": rate,
            "cpu_us_per_request": seconds * 1e6,
            "p50_us": self.report.p50_us,
            "p99_us": self.report.p99_us,
        })
        .to_string()
    }

    fn seconds(&self) -> f64 {
        std::time::Duration::from_micros(self.report.duration_us).as_secs_f64()
    }
}
