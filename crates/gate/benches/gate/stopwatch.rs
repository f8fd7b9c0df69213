//! Times in batches of about two milliseconds: short enough that an interruption spoils few of them, long enough that
//! reading the clock costs nothing.

use std::time::Duration;

const BATCH_TIME: Duration = Duration::from_millis(2);

/// What some calls in a row took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    calls: u32,
    authorize: Duration,
    complete: Duration,
}

/// The fastest and the median batch, per call.
#[derive(Clone, Copy, Debug)]
struct Figures {
    min: Duration,
    p50: Duration,
}

/// All batches of one way to pay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    batches: Vec<Batch>,
}

impl Batch {
    pub(crate) fn add(&mut self, authorize: Duration, complete: Duration) {
        self.calls += 1;
        self.authorize += authorize;
        self.complete += complete;
    }

    pub(crate) fn calls(&self) -> usize {
        usize::try_from(self.calls).unwrap_or(usize::MAX)
    }

    /// How many calls like these take two milliseconds.
    pub(crate) fn calls_in_a_batch(&self) -> usize {
        let one = self.per_call(Self::both).as_nanos().max(1);
        usize::try_from(BATCH_TIME.as_nanos() / one).unwrap_or(1).max(1)
    }

    fn both(&self) -> Duration {
        self.authorize + self.complete
    }

    fn per_call(&self, part: impl Fn(&Self) -> Duration) -> Duration {
        part(self) / self.calls.max(1)
    }
}

impl Summary {
    pub(crate) fn add(&mut self, batch: Batch) {
        self.batches.push(batch);
    }

    /// For people.
    pub(crate) fn line(&self, word: &str) -> String {
        let (gate, authorize, complete) = self.parts();
        format!("{word:<8} gate {gate}   authorize {authorize}   complete {complete}")
    }

    /// For programs: microseconds per call.
    pub(crate) fn json(&self, word: &str) -> String {
        let (gate, authorize, complete) = self.parts();
        let calls: usize = self.batches.iter().map(Batch::calls).sum();
        format!(
            "{{\"kind\":\"gate\",\"paying\":\"{word}\",\"calls\":{calls},\"gate_us\":{},\"authorize_us\":{},\
             \"complete_us\":{}}}",
            gate.json(),
            authorize.json(),
            complete.json()
        )
    }

    fn parts(&self) -> (Figures, Figures, Figures) {
        (
            self.figures(Batch::both),
            self.figures(|batch| batch.authorize),
            self.figures(|batch| batch.complete),
        )
    }

    fn figures(&self, part: impl Fn(&Batch) -> Duration) -> Figures {
        let mut times: Vec<Duration> = self.batches.iter().map(|batch| batch.per_call(&part)).collect();
        times.sort_unstable();
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        Figures { min: at(0), p50: at(times.len() / 2) }
    }
}

impl Figures {
    fn json(&self) -> String {
        format!("{{\"min\":{:.2},\"p50\":{:.2}}}", micros(self.min), micros(self.p50))
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "min {:>6.2} us, p50 {:>6.2} us", micros(self.min), micros(self.p50))
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
