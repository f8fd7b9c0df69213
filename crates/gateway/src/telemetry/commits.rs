//! How long the ledger's commits take, as its writer tells.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tollgate_store::Commits;

use super::instrument::Histogram;

/// The durations of one writer's commits.
#[derive(Debug)]
pub struct CommitTimes {
    since: Instant,
    /// When the commit under way began, in nanoseconds after `since`. One writer, so one at a time.
    began_ns: AtomicU64,
    pub(super) seconds: Histogram,
}

impl Default for CommitTimes {
    #[expect(clippy::disallowed_methods, reason = "a stopwatch for operators; nothing is decided by it")]
    fn default() -> Self {
        Self { since: Instant::now(), began_ns: AtomicU64::new(0), seconds: Histogram::default() }
    }
}

impl CommitTimes {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Commits for CommitTimes {
    fn begins(&self) {
        self.began_ns.store(self.now_ns(), Ordering::Relaxed);
    }

    fn ended(&self) {
        let took = self.now_ns().saturating_sub(self.began_ns.load(Ordering::Relaxed));
        self.seconds.observe(std::time::Duration::from_nanos(took));
    }
}
