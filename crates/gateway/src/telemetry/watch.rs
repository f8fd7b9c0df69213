//! One call under observation, from its arrival at a door to its ending: counted once, with one line in the log.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tollgate_domain::{Amount, AssetId, CallId, Outcome, Principal, Rail, ToolRef, UnixMillis};
use tollgate_gate::{
    Call, Completed, Denial, Ending, Fault, Gate, Held, HeldCall, NotTaken, Permitted, Ports, Refusal,
    Request, Screened, ToolAnswer, Verdict,
};
use tollgate_risk::{AtOnce, Place};
use tollgate_till::dispatch::Mark;

use super::Telemetry;
use super::outcome::{self, ABANDONED};
use super::trace::{Arrival, Sent, Span};
use crate::carrier::Carrier;
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
    /// How many calls of one caller may be under way, and this call's place among its caller's.
    crowd: Arc<AtOnce>,
    place: OnceLock<Place>,
    span: Span,
    /// The part of it that is spent waiting for the tool's server.
    sent: Option<Span>,
}

/// How a call ended, for the line.
struct End<'a> {
    call: Option<CallId>,
    tool: Option<&'a ToolRef>,
    outcome: &'static str,
    charged: bool,
}

impl Watch {
    /// A call arrives; `door` is the word for where. In a box: it is handed from step to step.
    pub fn begin(gateway: &Arc<Gateway>, door: &'static str) -> Box<Self> {
        gateway.foundation.telemetry.inflight.increment();
        Box::new(Self {
            telemetry: Arc::clone(&gateway.foundation.telemetry),
            door,
            began: now(),
            asked: None,
            upstream: None,
            caller: None,
            payment: None,
            has_ended: false,
            crowd: Arc::clone(&gateway.crowd),
            place: OnceLock::new(),
            span: Span::none(),
            sent: None,
        })
    }

    /// The same call in traces, as part of what its request says.
    #[must_use]
    pub fn traced(mut self: Box<Self>, arrival: Arrival<'_>) -> Box<Self> {
        self.span = self.telemetry.traces.server(arrival);
        self
    }

    /// The first half of the street up to the claim, which leaves nothing behind.
    ///
    /// # Errors
    /// As [`Gate::vet`].
    pub async fn vet<P: Ports>(
        &self,
        gate: &Gate<P>,
        request: Request,
        now: UnixMillis,
    ) -> Result<Call<Screened>, Refusal> {
        let vetting = self.span.station("authorize");
        let vetted = async {
            let call = gate.vet(request, now).await?;
            // Behind everything that may refuse it: only calls that go on have a place.
            match self.crowd.enter(call.shown()) {
                Ok(place) => drop(self.place.set(place)),
                Err(limited) => return Err(call.limited(limited)),
            }
            Ok(call)
        };
        ended(vetting, vetted.await, refused_as)
    }

    /// The claim. From here on a task of the gateway's own sees the call to its end.
    ///
    /// # Errors
    /// As [`Gate::hold`].
    pub async fn hold<P: Ports>(&self, gate: &Gate<P>, call: Call<Screened>) -> Result<Call<Held>, Refusal> {
        let holding = self.span.station("hold");
        ended(holding, gate.hold(call).await, refused_as)
    }

    /// The second half of it; then the call is over. Its mark ends with it, if its end is on the books.
    ///
    /// # Errors
    /// As [`Gate::complete`].
    pub async fn complete<P: Ports>(
        mut self: Box<Self>,
        gate: &Gate<P>,
        held: HeldCall,
        (permitted, mark): (&Permitted, Option<Mark<'_>>),
        outcome: Outcome<ToolAnswer>,
    ) -> Result<Completed, Fault> {
        self.answered(&outcome);
        let settling = self.span.station("settle");
        let completed = ended(settling, gate.complete(held, outcome).await, |fault| fault.code().word);
        if completed.is_ok() {
            mark.into_iter().for_each(Mark::over);
        }
        self.completed(permitted, &completed);
        completed
    }

    /// The call leaves for the server: under what name its request says where it belongs.
    pub fn leaves(&mut self, carrier: &Carrier, permitted: &Permitted, headers: &mut HeaderMap) {
        let (server, is_program) = (&carrier.name, carrier.is_program);
        let sent = self.span.sent(Sent { server, tool: Some(permitted.tool()), is_program });
        sent.forward(headers);
        self.sent = Some(sent);
    }

    /// The same as members of `_meta`, for a message that is written anew.
    pub fn context(&self) -> Vec<(&'static str, String)> {
        self.sent.as_ref().map(Span::context).unwrap_or_default()
    }

    /// The call is permitted and its tool's server is asked now.
    pub fn asks(&mut self, held: &HeldCall) {
        self.caller = Some(held.principal().clone());
        // A free call of a free tier is claimed like a payment, and is none.
        let payment = held.payment().filter(|paid| !paid.amount.is_zero());
        self.payment = payment.map(|paid| (paid.key.rail(), paid.amount, paid.asset.clone()));
        self.asked = Some(now());
    }

    /// The tool's server has answered, or never will.
    fn answered(&mut self, outcome: &Outcome<ToolAnswer>) {
        self.upstream = self.asked.map(|asked| asked.elapsed());
        let Some(mut sent) = self.sent.take() else { return };
        match outcome {
            Outcome::Delivered(_) => {}
            Outcome::Failed(_) => sent.fail(TOOL_ERROR),
            Outcome::Lost(kind) => sent.fail(kind.word()),
        }
    }

    /// The call is not carried out.
    pub fn refused(mut self: Box<Self>, refusal: &Refusal) {
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
    fn completed(self: Box<Self>, permitted: &Permitted, completed: &Result<Completed, Fault>) {
        self.finished(permitted.call(), permitted.tool(), completed);
    }

    /// The call ended before its tool was asked: the money for it did not come.
    pub fn not_taken(self: Box<Self>, not_taken: &NotTaken) {
        self.finished(not_taken.call, &not_taken.tool, &not_taken.completed);
    }

    fn finished(mut self: Box<Self>, call: CallId, tool: &ToolRef, completed: &Result<Completed, Fault>) {
        if let Err(fault) = completed {
            let source: &dyn std::error::Error = fault;
            tracing::error!(%call, %tool, error = source, "call could not be completed");
        }
        let ending = completed.as_ref().ok().map(|completed| &completed.ending);
        if let Some((rail, _, _)) = &self.payment {
            self.telemetry.payments.count(*rail, ending);
        }
        if let Some(entrusted) = completed.as_ref().ok().and_then(|completed| completed.evidence.escrow()) {
            self.telemetry.escrows.came_to("delivered", &entrusted.asset);
        }
        if matches!(ending, Some(Ending::PaymentFailed { demand: Some(_), .. })) {
            self.telemetry.challenges.increment();
        }
        let charged = self.payment.is_some() && matches!(ending, Some(Ending::Delivered(_)));
        self.end(&End { call: Some(call), tool: Some(tool), outcome: outcome::of(completed), charged });
    }

    /// The gateway itself has answered a call of one of its own tools.
    pub fn answered_here(mut self: Box<Self>, tool: &ToolRef, outcome: &'static str) {
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
        self.told(end);
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

    /// What the span says of it: never arguments, results, or who called unless the operator wants that.
    fn told(&mut self, end: &End<'_>) {
        let span = &mut self.span;
        if let Some(tool) = end.tool {
            span.tool(tool.tool.as_str());
            span.say("tollgate.server", tool.server.as_str());
        }
        if let Some(call) = end.call {
            span.say("tollgate.call", call);
        }
        if let Some((rail, amount, asset)) = &self.payment {
            span.say("tollgate.rail", rail);
            span.say("tollgate.amount", amount);
            span.say("tollgate.asset", asset.as_str());
            span.say("tollgate.charged", if end.charged { "true" } else { "false" });
        }
        if let Some(caller) = self.caller.as_ref().filter(|_| span.names_callers()) {
            span.say("tollgate.caller", caller.as_str());
        }
        span.say("tollgate.outcome", end.outcome);
        match end.outcome {
            "delivered" | "repeated" => {}
            "tool_failed" => span.fail(TOOL_ERROR),
            word => span.fail(word),
        }
    }
}

/// The word of the conventions for a tool that says itself that it failed.
const TOOL_ERROR: &str = "tool_error";

/// Ends the span of a station with what came of it.
fn ended<T, E>(mut span: Span, came: Result<T, E>, word: impl Fn(&E) -> &'static str) -> Result<T, E> {
    if let Err(error) = &came {
        span.fail(word(error));
    }
    came
}

fn refused_as(refusal: &Refusal) -> &'static str {
    refusal.verdict.word()
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
