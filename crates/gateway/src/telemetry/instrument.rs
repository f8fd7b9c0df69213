//! Counters, gauges and histograms: a handful of atomics each. Nothing here locks or allocates once it is made.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the buckets in nanoseconds: 50 µs to a minute. One list for all durations, so that they can be laid over
/// each other.
pub const BOUNDS_NS: [u64; 18] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    15_000_000_000,
    60_000_000_000,
];

/// Durations, counted by how long they were.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Each duration stands in one bucket; what Prometheus calls a bucket is the sum of those up to it.
    buckets: [AtomicU64; BOUNDS_NS.len()],
    longer: AtomicU64,
    sum_ns: AtomicU64,
}

/// What a [`Histogram`] held at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// How many durations were at most as long as each of [`BOUNDS_NS`].
    pub up_to: [u64; BOUNDS_NS.len()],
    /// How many there were.
    pub count: u64,
    /// Their sum.
    pub sum_ns: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
        self.buckets.get(bucket).unwrap_or(&self.longer).fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What it holds. Durations that are counted meanwhile may be missing from the sum or the counts.
    pub fn snapshot(&self) -> Snapshot {
        let mut count = 0_u64;
        let up_to = self.buckets.each_ref().map(|bucket| {
            count = count.saturating_add(bucket.load(Ordering::Relaxed));
            count
        });
        let count = count.saturating_add(self.longer.load(Ordering::Relaxed));
        Snapshot { up_to, count, sum_ns: self.sum_ns.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_every_longer_one() {
        let histogram = Histogram::default();
        for duration in [
            Duration::from_nanos(50_000),
            Duration::from_nanos(50_001),
            Duration::from_millis(3),
            Duration::from_secs(61),
        ] {
            histogram.observe(duration);
        }
        let seen = histogram.snapshot();
        assert_eq!(seen.up_to[..2], [1, 2], "a bound belongs to its own bucket");
        assert_eq!((seen.up_to[5], seen.up_to[6]), (2, 3));
        assert_eq!((seen.up_to[BOUNDS_NS.len() - 1], seen.count), (3, 4), "a minute and longer");
        assert_eq!(seen.sum_ns, 50_000 + 50_001 + 3_000_000 + 61_000_000_000);
        assert!(BOUNDS_NS.is_sorted());
    }
}
