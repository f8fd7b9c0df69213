//! One call under observation, from its arrival at a door to its ending: counted once, with one line in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_domain::{Amount, AssetId, CallId, Principal, Rail, ToolRef};
use tollgate_gate::{Completed, Denial, Ending, Fault, HeldCall, Permitted, Refusal, Verdict};

use super::Telemetry;
use super::outcome::{self, ABANDONED};
use crate::gateway::Gateway;

/// One call under observation. Dropped without an ending, its caller went away before it was decided.
#[derive(Debug)]
pub struct Watch {
    telemetry: Arc<Telemetry>,
    door: &'static str,
    began: Instant,
    asked: Option<Instant>,
    upstream: Option<Duration>,
    caller: Option<Principal>,
    payment: Option<(Rail, Amount, AssetId)>,
    has_ended: bool,
}

/// How a call ended, for the line.
struct End<'a> {
    call: Option<CallId>,
    tool: Option<&'a ToolRef>,
    outcome: &'static str,
    charged: bool,
}

impl Watch {
    /// A call arrives; `door` is the word for where.
    pub fn begin(gateway: &Arc<Gateway>, door: &'static str) -> Self {
        gateway.telemetry.inflight.increment();
        Self {
            telemetry: Arc::clone(&gateway.telemetry),
            door,
            began: now(),
            asked: None,
            upstream: None,
            caller: None,
            payment: None,
            has_ended: false,
        }
    }

    /// The call is permitted and its tool's server is asked now.
    pub fn asks(&mut self, held: &HeldCall) {
        self.caller = Some(held.principal().clone());
        let payment = held.payment();
        self.payment = payment.map(|paid| (paid.key.rail(), paid.amount, paid.asset.clone()));
        self.asked = Some(now());
    }

    /// The tool's server has answered, or never will.
    pub fn answered(&mut self) {
        self.upstream = self.asked.map(|asked| asked.elapsed());
    }

    /// The call is not carried out.
    pub fn refused(mut self, refusal: &Refusal) {
        let (known, demands) = match &*refusal.verdict {
            // A name that only the caller said becomes no label, and no part of the log.
            Verdict::Denied(Denial::UnknownTool(_)) => (None, false),
            Verdict::Denied(denial) => (refusal.tool.as_ref(), denial.demand().is_some()),
            Verdict::Faulted(_) | Verdict::Repeated(_) => (refusal.tool.as_ref(), false),
        };
        if demands {
            self.telemetry.challenges.increment();
        }
        let outcome = refusal.verdict.word();
        self.end(&End { call: refusal.call, tool: known, outcome, charged: false });
    }

    /// The call was completed, or could not be.
    pub fn completed(mut self, permitted: &Permitted, completed: &Result<Completed, Fault>) {
        let (call, tool) = (permitted.call(), permitted.tool());
        if let Err(fault) = completed {
            let source: &dyn std::error::Error = fault;
            tracing::error!(%call, %tool, error = source, "call could not be completed");
        }
        let ending = completed.as_ref().ok().map(|completed| &completed.ending);
        if let Some((rail, _, _)) = &self.payment {
            self.telemetry.payments.count(*rail, ending);
        }
        if matches!(ending, Some(Ending::PaymentFailed { demand: Some(_), .. })) {
            self.telemetry.challenges.increment();
        }
        let charged = self.payment.is_some() && matches!(ending, Some(Ending::Delivered(_)));
        self.end(&End { call: Some(call), tool: Some(tool), outcome: outcome::of(completed), charged });
    }

    /// The gateway itself has answered a call of one of its own tools.
    pub fn answered_here(mut self, tool: &ToolRef, outcome: &'static str) {
        self.end(&End { call: None, tool: Some(tool), outcome, charged: false });
    }

    fn end(&mut self, end: &End<'_>) {
        self.has_ended = true;
        let telemetry = &self.telemetry;
        let took = self.began.elapsed();
        telemetry.tools.count(end.tool, end.outcome);
        telemetry.call.observe(took);
        telemetry.overhead.observe(took.saturating_sub(self.upstream.unwrap_or_default()));
        if let Some(upstream) = self.upstream {
            telemetry.upstream.observe(upstream);
        }
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let payment = self.payment.as_ref();
        tracing::info!(
            call = end.call.map(tracing::field::display),
            server = end.tool.map(|tool| tool.server.as_str()),
            tool = end.tool.map(|tool| tool.tool.as_str()),
            caller = self.caller.as_ref().map(Principal::as_str),
            door = self.door,
            outcome = end.outcome,
            rail = payment.map(|(rail, _, _)| tracing::field::display(rail)),
            amount = payment.map(|(_, amount, _)| tracing::field::display(amount)),
            asset = payment.map(|(_, _, asset)| asset.as_str()),
            charged = end.charged,
            total_us = micros(took),
            upstream_us = self.upstream.map(micros),
            "call"
        );
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(&End { call: None, tool: None, outcome: ABANDONED, charged: false });
        }
        self.telemetry.inflight.decrement();
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch for operators; nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}
