//! When a server that keeps failing is given a rest, and when it is tried again: a pure state machine over `now`.
//!
//! Closed: every exchange passes. After too many failures in a row, or too large a share of failures in a window, the server
//! rests: every exchange is refused at once. After the rest one exchange at a time is let through as a trial: it closes the
//! breaker, or the next rest is twice as long. Reads no clock; `now` is milliseconds of any clock that never goes back.

/// When a server is given a rest, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerLimits {
    /// So many failures in a row are too many. Zero: the server never rests.
    pub failures_in_a_row_max: u32,
    /// How far back the share of failures looks, in milliseconds.
    pub window_ms: u64,
    /// Of fewer exchanges in the window a share says nothing.
    pub exchanges_min: u32,
    /// So many failures of a hundred exchanges are too many.
    pub failed_percent_max: u32,
    /// The first rest, in milliseconds; each further one in a row is twice as long.
    pub rest_ms_first: u64,
    /// The longest rest, in milliseconds; also how long a trial may take before another one is let through.
    pub rest_ms_max: u64,
}

impl Default for BreakerLimits {
    /// 5 in a row, or half of at least 20 in 30 s; 1 s of rest, at most 30 s.
    fn default() -> Self {
        Self {
            failures_in_a_row_max: 5,
            window_ms: 30_000,
            exchanges_min: 20,
            failed_percent_max: 50,
            rest_ms_first: 1_000,
            rest_ms_max: 30_000,
        }
    }
}

/// What an exchange said about the health of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is there and answers, whatever it answers.
    Answered,
    /// It could not be reached, broke off, or did not answer in time.
    Failed,
    /// Nothing: the caller went away first.
    Nothing,
}

/// Leave for one exchange; its verdict goes to [`Breaker::record`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admission {
    /// The number of the trial that this exchange is.
    trial: Option<u64>,
}

/// The server rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the server failed too often and is given a rest of {retry_after_ms} ms more")]
pub struct Resting {
    /// When to come back, in milliseconds; at least 1.
    pub retry_after_ms: u64,
}

/// The breaker of one server.
#[derive(Clone, Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    state: State,
    failures_in_a_row: u32,
    window: Window,
    /// Rests since the last success, for the length of the next one.
    rests: u32,
    trials: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    /// Nobody passes before `until`; the next one after it is the trial.
    Resting {
        until: u64,
    },
    /// The trial of this number has been under way since then.
    Trying {
        trial: u64,
        since: u64,
    },
}

impl Breaker {
    /// A breaker that lets everything pass until it hears of failures.
    pub fn new(limits: BreakerLimits) -> Self {
        let window = Window::new(limits.window_ms);
        Self { limits, state: State::Closed, failures_in_a_row: 0, window, rests: 0, trials: 0 }
    }

    /// Asks for leave for one exchange.
    ///
    /// # Errors
    /// [`Resting`], with when to come back.
    pub fn admit(&mut self, now: u64) -> Result<Admission, Resting> {
        self.resting(now)?;
        if self.state == State::Closed {
            return Ok(Admission { trial: None });
        }
        self.trials = self.trials.saturating_add(1);
        self.state = State::Trying { trial: self.trials, since: now };
        Ok(Admission { trial: Some(self.trials) })
    }

    /// Whether an exchange would be refused now; changes nothing.
    ///
    /// # Errors
    /// [`Resting`], with when to come back.
    pub fn resting(&self, now: u64) -> Result<(), Resting> {
        let until = match self.state {
            State::Closed => return Ok(()),
            State::Resting { until } => until,
            // A trial that never ends must not keep everybody out for ever.
            State::Trying { since, .. } => since.saturating_add(self.limits.rest_ms_max),
        };
        match until.checked_sub(now) {
            None | Some(0) => Ok(()),
            Some(left) => match self.state {
                // How the trial ends is not known: soon is the best word.
                State::Trying { .. } => {
                    Err(Resting { retry_after_ms: left.min(self.limits.rest_ms_first).max(1) })
                }
                State::Closed | State::Resting { .. } => Err(Resting { retry_after_ms: left }),
            },
        }
    }

    /// Takes the verdict of an exchange that was admitted.
    pub fn record(&mut self, admission: Admission, verdict: Verdict, now: u64) {
        match (self.state, admission.trial) {
            (State::Closed, _) => self.count(verdict, now),
            // It was admitted before the rest began, or is a trial that another one has overtaken: old news.
            (State::Resting { .. } | State::Trying { .. }, None) | (State::Resting { .. }, Some(_)) => {}
            (State::Trying { trial, .. }, Some(number)) if trial == number => match verdict {
                Verdict::Answered => self.close(),
                Verdict::Failed => {
                    self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                    self.rest(now);
                }
                // The next one is the trial.
                Verdict::Nothing => self.state = State::Resting { until: now },
            },
            (State::Trying { .. }, Some(_)) => {}
        }
    }

    /// How many exchanges have failed since one was answered.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// Whether everything passes.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    fn count(&mut self, verdict: Verdict, now: u64) {
        match verdict {
            Verdict::Nothing => {}
            Verdict::Answered => {
                self.failures_in_a_row = 0;
                self.window.add(now, false);
            }
            Verdict::Failed => {
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
                self.window.add(now, true);
                if self.is_too_much() {
                    self.rest(now);
                }
            }
        }
    }

    fn is_too_much(&self) -> bool {
        let limits = &self.limits;
        if limits.failures_in_a_row_max == 0 {
            return false;
        }
        let Counts { failed, all } = self.window.counts();
        let share_is_too_large = all >= u64::from(limits.exchanges_min)
            && failed.saturating_mul(100) >= all.saturating_mul(u64::from(limits.failed_percent_max));
        self.failures_in_a_row >= limits.failures_in_a_row_max || share_is_too_large
    }

    fn rest(&mut self, now: u64) {
        let doubled = 1u64.checked_shl(self.rests).unwrap_or(u64::MAX);
        let rest = self.limits.rest_ms_first.saturating_mul(doubled).min(self.limits.rest_ms_max);
        self.rests = self.rests.saturating_add(1);
        self.state = State::Resting { until: now.saturating_add(rest.max(1)) };
    }

    fn close(&mut self) {
        (self.state, self.rests, self.failures_in_a_row) = (State::Closed, 0, 0);
        self.window = Window::new(self.limits.window_ms);
    }
}

/// Into so many parts a window is cut; the oldest part falls out as a whole.
const SLOTS: u64 = 8;

/// Failures and exchanges of the last while.
#[derive(Clone, Debug)]
struct Window {
    slot_ms: u64,
    /// The number of the newest slot since the clock's beginning.
    newest: u64,
    slots: [Counts; 8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    failed: u64,
    all: u64,
}

impl Window {
    fn new(window_ms: u64) -> Self {
        Self { slot_ms: (window_ms / SLOTS).max(1), newest: 0, slots: [Counts::default(); 8] }
    }

    fn add(&mut self, now: u64, failed: bool) {
        let slot = (now / self.slot_ms).max(self.newest);
        // Slots that were skipped are as empty as the new one.
        let passed = slot.saturating_sub(self.newest).min(SLOTS);
        for back in 0..passed {
            *self.slot(slot.saturating_sub(back)) = Counts::default();
        }
        self.newest = slot;
        let counts = self.slot(slot);
        counts.all = counts.all.saturating_add(1);
        counts.failed = counts.failed.saturating_add(u64::from(failed));
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder of 8 is an index of 8 slots")]
    fn slot(&mut self, number: u64) -> &mut Counts {
        &mut self.slots[usize::try_from(number % SLOTS).unwrap_or_default()]
    }

    fn counts(&self) -> Counts {
        self.slots.iter().fold(Counts::default(), |sum, slot| Counts {
            failed: sum.failed.saturating_add(slot.failed),
            all: sum.all.saturating_add(slot.all),
        })
    }
}

#[cfg(test)]
mod tests;
