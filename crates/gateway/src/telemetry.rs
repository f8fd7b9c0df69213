//! What operators see: metrics of calls, money and the ledger, and one line in the log per call.
//!
//! On the path of a call there is no lock and no allocation: counters are atomics, labels are numbers. Names that callers
//! choose never become labels; no argument, result, proof or key becomes part of anything here. What only the books know
//! is read from them in the background, see [`survey`].

mod checked;
mod commits;
mod escrows;
mod exposition;
mod instrument;
mod outcome;
mod passing;
mod streams;
pub mod survey;
mod tools;
mod trace;
mod watch;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tollgate_domain::Rail;
use tollgate_gate::Ending;
use tollgate_ledger::budget::{self, Warning};

pub use checked::Checked;
pub use commits::CommitTimes;
pub use escrows::EscrowCounts;
pub use exposition::{CONTENT_TYPE, render};
pub use instrument::{BOUNDS_NS, Counter, Gauge, Histogram, Snapshot};
pub use passing::Passing;
pub use streams::StreamCount;
pub use survey::Surveyed;
pub use tools::{TOOLS_MAX, ToolTable};
pub use trace::{Arrival, LOST_METRICS, LOST_SPANS, Sent, Span, Traces};
pub use watch::Watch;

use crate::clock::{self, KeptSteps, Steps};

/// Panics of this process, whoever met them.
pub static PANICS: Counter = Counter::new();
/// Lines of the log that its reader had no room for.
pub static LOST_LINES: Counter = Counter::new();

/// Answers of tools in which the scan found something serious: those that passed with a note, those that passed with marks, those that
/// were withheld.
pub static SUSPICIOUS_RESULTS: [(&str, Counter); 3] =
    [("warn", Counter::new()), ("redact", Counter::new()), ("block", Counter::new())];

/// Everything that is counted in one gateway.
#[derive(Debug)]
pub struct Telemetry {
    tools: ToolTable,
    call: Histogram,
    overhead: Histogram,
    upstream: Histogram,
    inflight: Gauge,
    streams: Gauge,
    challenges: Counter,
    payments: Payments,
    escrows: EscrowCounts,
    budget_warnings: [Counter; budget::Span::ALL.len()],
    commits: Arc<CommitTimes>,
    surveyed: Surveyed,
    traces: Traces,
    started_seconds: u64,
    started: Instant,
    clock_steps: Mutex<KeptSteps>,
}

impl Telemetry {
    /// Nothing counted yet; `commits` is what the store tells of its transactions, `clock_steps` what the process before knew of the clock.
    pub fn new(commits: Arc<CommitTimes>, traces: Traces, clock_steps: KeptSteps) -> Self {
        Self {
            tools: ToolTable::default(),
            call: Histogram::default(),
            overhead: Histogram::default(),
            upstream: Histogram::default(),
            inflight: Gauge::default(),
            streams: Gauge::default(),
            challenges: Counter::default(),
            payments: Payments::default(),
            escrows: EscrowCounts::default(),
            budget_warnings: Default::default(),
            commits,
            surveyed: Surveyed::default(),
            traces,
            started_seconds: clock::now().get() / 1_000,
            started: Instant::now(),
            clock_steps: Mutex::new(clock_steps),
        }
    }

    /// Looks whether the clock was set, and says so in the log; how deadlines stand to it.
    pub(crate) fn look_at_clock(&self) -> Steps {
        let mut steps = self.clock_steps.lock();
        if steps.look(clock::now(), self.started.elapsed()) {
            let times = steps.steps().count();
            tracing::warn!(times, "the clock of this machine was set by more than a minute");
        }
        steps.steps().clone()
    }

    /// What became of escrows.
    pub(crate) fn escrows(&self) -> &EscrowCounts {
        &self.escrows
    }

    /// What traces requests.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }
}

impl Telemetry {
    /// A soft limit of a budget was passed.
    pub fn warned(&self, warning: &Warning) {
        let mut counters = budget::Span::ALL.into_iter().zip(&self.budget_warnings);
        if let Some((_, counter)) = counters.find(|(span, _)| *span == warning.counter.span) {
            counter.increment();
        }
    }
}

/// How paid calls ended, by rail.
#[derive(Debug, Default)]
struct Payments([[Counter; PAYMENT_ENDS.len()]; RAILS.len()]);

const RAILS: [Rail; 3] = [Rail::X402, Rail::L402, Rail::Credit];
/// What became of the money by the time the caller was answered.
const PAYMENT_ENDS: [&str; 4] = ["settled", "voided", "failed", "pending"];

impl Payments {
    /// Counts one; a call whose ending could not be recorded is pending until its row is taken up again.
    fn count(&self, rail: Rail, ending: Option<&Ending>) {
        let rail = match rail {
            Rail::X402 => 0,
            Rail::L402 => 1,
            Rail::Credit => 2,
        };
        let end = match ending {
            Some(Ending::Delivered(_)) => 0,
            Some(Ending::ToolFailed(_) | Ending::Lost(_)) => 1,
            Some(Ending::PaymentFailed { .. }) => 2,
            Some(Ending::Pending | Ending::PaymentPending) | None => 3,
        };
        if let Some(counter) = self.0.get(rail).and_then(|ends| ends.get(end)) {
            counter.increment();
        }
    }

    fn counts(&self) -> impl Iterator<Item = (Rail, &'static str, u64)> {
        RAILS.into_iter().zip(&self.0).flat_map(|(rail, ends)| {
            PAYMENT_ENDS.into_iter().zip(ends).map(move |(end, counter)| (rail, end, counter.get()))
        })
    }
}
