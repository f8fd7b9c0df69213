//! How one server is doing: every exchange asks for leave here first and says afterwards how it went.

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::UpstreamError;
use crate::breaker::{Admission, Breaker, BreakerLimits, Resting, Verdict};

/// The health of one server, and its breaker.
#[derive(Debug)]
pub struct Health {
    since: Instant,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    breaker: Breaker,
    last_failure: Option<&'static str>,
    has_answered: bool,
}

/// How a server is doing, for operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// `unknown` (nothing has been asked of it), `ok`, `failing`, or `resting` (its calls are refused for a while).
    pub state: &'static str,
    /// How many exchanges have failed since one was answered.
    pub failures_in_a_row: u32,
    /// While it rests: when the next exchange is let through, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// How the last exchange that failed did: a word of [`FailureKind`](tollgate_domain::FailureKind).
    pub last_failure: Option<&'static str>,
}

/// Leave for one exchange. Dropped without a word, the caller went away: that says nothing about the server.
#[derive(Debug)]
#[must_use = "an exchange that was admitted says how it went"]
pub struct Ticket<'a> {
    health: &'a Health,
    admission: Option<Admission>,
}

impl Health {
    /// The health of a server of which nothing is known yet.
    pub fn new(limits: BreakerLimits) -> Self {
        let record = Record { breaker: Breaker::new(limits), last_failure: None, has_answered: false };
        Self { since: Instant::now(), record: Mutex::new(record) }
    }

    /// The health of a server that is only watched: it never rests.
    ///
    /// For programs. They have a pause of their own between starts; to refuse the sessions that run because another one
    /// crashes would do harm only, and would give whoever can crash a session a switch for all.
    pub fn watched_only() -> Self {
        Self::new(BreakerLimits { failures_in_a_row_max: 0, ..BreakerLimits::default() })
    }

    /// Asks for leave for one exchange.
    ///
    /// # Errors
    /// [`UpstreamError::Resting`]: nothing may be sent now.
    pub fn admit(&self) -> Result<Ticket<'_>, UpstreamError> {
        let admission = self.record.lock().breaker.admit(self.now())?;
        Ok(Ticket { health: self, admission: Some(admission) })
    }

    /// Whether exchanges would be refused now; changes nothing.
    ///
    /// # Errors
    /// [`Resting`], with when to come back.
    pub fn resting(&self) -> Result<(), Resting> {
        self.record.lock().breaker.resting(self.now())
    }

    /// An exchange that had begun well has failed.
    pub fn failed(&self, error: &UpstreamError) {
        let mut record = self.record.lock();
        // In a rest there is nothing to add.
        if record.breaker.is_closed()
            && let Ok(admission) = record.breaker.admit(self.now())
        {
            self.note(&mut record, admission, verdict(error), error.kind().word());
        }
    }

    /// How the server is doing.
    pub fn standing(&self) -> Standing {
        let record = self.record.lock();
        let resting = record.breaker.resting(self.now()).err();
        let failures_in_a_row = record.breaker.failures_in_a_row();
        let state = match (record.breaker.is_closed(), failures_in_a_row, record.has_answered) {
            (false, _, _) => "resting",
            (true, 0, false) => "unknown",
            (true, 0, true) => "ok",
            (true, _, _) => "failing",
        };
        Standing {
            state,
            failures_in_a_row,
            retry_after_ms: resting.map(|resting| resting.retry_after_ms),
            last_failure: record.last_failure,
        }
    }

    fn note(&self, record: &mut Record, admission: Admission, verdict: Verdict, word: &'static str) {
        match verdict {
            Verdict::Answered => record.has_answered = true,
            Verdict::Failed => record.last_failure = Some(word),
            Verdict::Nothing => {}
        }
        record.breaker.record(admission, verdict, self.now());
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Ticket<'_> {
    /// The exchange was answered, with this status.
    pub fn answered(self, status: StatusCode) {
        // With these two an intermediary says that the server itself could not be reached or was too slow. Any other status
        // is the server's own word, and so is every tool error.
        match status {
            StatusCode::BAD_GATEWAY => self.end(Verdict::Failed, "unreachable"),
            StatusCode::GATEWAY_TIMEOUT => self.end(Verdict::Failed, "timed_out"),
            _ => self.end(Verdict::Answered, ""),
        }
    }

    /// The exchange failed.
    pub fn failed(self, error: &UpstreamError) {
        self.end(verdict(error), error.kind().word());
    }

    fn end(mut self, verdict: Verdict, word: &'static str) {
        if let Some(admission) = self.admission.take() {
            self.health.note(&mut self.health.record.lock(), admission, verdict, word);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.health.note(&mut self.health.record.lock(), admission, Verdict::Nothing, "");
        }
    }
}

/// What a failure says about the server. One that answers, be it too much or nonsense, is there: to refuse everybody would make
/// no answer better, and would give whoever finds an input with a bad answer a switch for all.
const fn verdict(error: &UpstreamError) -> Verdict {
    match error {
        UpstreamError::Unreachable(_) | UpstreamError::Broken(_) | UpstreamError::TimedOut => Verdict::Failed,
        UpstreamError::NotAnAnswer(_) | UpstreamError::TooLarge(_) | UpstreamError::NoRoom => {
            Verdict::Answered
        }
        UpstreamError::Abandoned | UpstreamError::Resting(_) => Verdict::Nothing,
    }
}

#[cfg(test)]
mod tests;
