use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use proptest::prelude::*;

use super::*;

const START: UnixMillis = UnixMillis::from_secs(1_795_219_200);

fn rate(burst: u32, refill: u32, per_ms: u64) -> Rate {
    Rate::new(
        NonZeroU32::new(burst).unwrap(),
        NonZeroU32::new(refill).unwrap(),
        NonZeroU64::new(per_ms).unwrap(),
    )
}

fn limiter(rate: Rate, keys_max: usize) -> Limiter {
    Limiter::new(rate, NonZeroUsize::new(keys_max).unwrap())
}

#[test]
fn a_burst_passes_and_then_the_rate_does() {
    let limiter = limiter(rate(3, 1, 1_000), 100);
    for _ in 0..3 {
        assert_eq!(limiter.check("alice", 1, START), Ok(()));
    }
    assert_eq!(limiter.check("alice", 1, START), Err(Limited { retry_after_ms: 1_000 }));
    assert_eq!(limiter.check("alice", 1, START.plus_millis(999)), Err(Limited { retry_after_ms: 1 }));
    assert_eq!(limiter.check("alice", 1, START.plus_millis(1_000)), Ok(()));
    assert_eq!(limiter.check("alice", 1, START.plus_millis(1_000)), Err(Limited { retry_after_ms: 1_000 }));
}

#[test]
fn one_key_does_not_slow_another() {
    let limiter = limiter(rate(1, 1, 1_000), 100);
    assert!(limiter.check("alice", 1, START).is_ok());
    assert!(limiter.check("alice", 1, START).is_err());
    assert!(limiter.check("bob", 1, START).is_ok());
}

#[test]
fn a_dear_call_takes_more_and_a_refused_one_takes_nothing() {
    let limiter = limiter(rate(10, 10, 1_000), 100);
    assert!(limiter.check("alice", 8, START).is_ok());
    assert_eq!(limiter.check("alice", 5, START), Err(Limited { retry_after_ms: 300 }));
    assert!(limiter.check("alice", 2, START).is_ok(), "the refused call took nothing");
    assert_eq!(limiter.check("bob", 11, START), Err(Limited { retry_after_ms: u64::MAX }));
    assert!(limiter.check("bob", 10, START).is_ok());
}

#[test]
fn a_clock_set_back_costs_one_bucket_at_most() {
    let limiter = limiter(rate(2, 1, 1_000), 100);
    assert!(limiter.check("alice", 2, START).is_ok());
    let earlier = UnixMillis::new(START.get() - 3_600_000);
    assert_eq!(limiter.check("alice", 1, earlier), Err(Limited { retry_after_ms: 1_000 }));
    assert!(limiter.check("alice", 1, earlier.plus_millis(3_600_000 + 1_000)).is_ok());
}

#[test]
fn p20_a_flood_of_keys_does_not_grow_the_map() {
    let limiter = limiter(rate(5, 1, 60_000), 256);
    let mut admitted = 0;
    for stranger in 0..20_000 {
        admitted += usize::from(limiter.check(&format!("address:{stranger}"), 1, START).is_ok());
        assert!(limiter.keys() <= limiter.keys_max());
    }
    assert!(admitted >= 256, "control: strangers are served while there is room");
    assert_eq!(limiter.keys_max(), 256);
    assert!(
        limiter.check("address:1", 1, START.plus_millis(5 * 60_000)).is_ok(),
        "control: later it is quiet again"
    );
}

#[test]
fn p20_a_flood_of_keys_does_not_wash_away_a_debt() {
    let limiter = limiter(rate(5, 1, 60_000), 64);
    assert!(limiter.check("alice", 5, START).is_ok());
    assert!(limiter.check("alice", 1, START).is_err());
    let flood = (0..5_000).filter(|stranger| limiter.check(&format!("address:{stranger}"), 1, START).is_ok());
    assert!(flood.count() > limiter.keys_max(), "control: the flood does crowd the map");
    assert!(limiter.check("alice", 1, START).is_err(), "alice's empty bucket is the last to be forgotten");
    assert!(
        limiter.check("alice", 1, START.plus_millis(5 * 60_000)).is_ok(),
        "control: she may go on when it is full"
    );
}

#[test]
fn limits_hold_across_threads() {
    let limiter = limiter(rate(100, 1, 3_600_000), 1_000);
    let admitted: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..50).filter(|_| limiter.check("alice", 1, START).is_ok()).count()))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(admitted, 100);
}

proptest! {
    /// In every window, at most a bucket plus what came back meanwhile; also when other keys crowd the map.
    #[test]
    fn never_admits_more_than_burst_plus_rate_times_time(
        burst in 1u32..20,
        refill in 1u32..50,
        per_ms in 1u64..5_000,
        keys_max in 1usize..40,
        steps in proptest::collection::vec((0u64..400, 1u32..6, 0u8..4), 1..120),
    ) {
        let rate = rate(burst, refill, per_ms);
        let limiter = limiter(rate, keys_max);
        let mut now = START;
        let mut admitted: Vec<(u64, u32)> = Vec::new();
        let mut crowded = 0u32;
        for (step, (pause, cost, crowd)) in steps.into_iter().enumerate() {
            now = now.plus_millis(pause);
            for stranger in 0..crowd {
                crowded += u32::from(limiter.check(&format!("stranger {step} {stranger}"), 1, now).is_ok());
            }
            if limiter.check("alice", cost, now).is_ok() {
                admitted.push((now.get(), cost));
            }
        }
        for first in 0..admitted.len() {
            let mut total = 0u64;
            for &(at, cost) in &admitted[first..] {
                total += u64::from(cost);
                let beyond_burst = u128::from(total.saturating_sub(u64::from(burst)));
                let came_back_scaled = u128::from(at - admitted[first].0) * u128::from(refill);
                prop_assert!(beyond_burst * u128::from(per_ms) <= came_back_scaled, "{total} units in too short a window");
            }
        }
        prop_assert!(limiter.keys() <= limiter.keys_max());
        prop_assert!(usize::try_from(crowded).unwrap() + admitted.len() >= limiter.keys());
    }

    /// A key that waits as long as it is told passes.
    #[test]
    fn whoever_waits_as_told_passes(burst in 1u32..10, refill in 1u32..100, per_ms in 1u64..10_000, cost in 1u32..10) {
        let cost = cost.min(burst);
        let limiter = limiter(rate(burst, refill, per_ms), 16);
        let mut now = START;
        for _ in 0..20 {
            if let Err(limited) = limiter.check("alice", cost, now) {
                prop_assert!(limited.retry_after_ms >= 1);
                now = now.plus_millis(limited.retry_after_ms);
                prop_assert_eq!(limiter.check("alice", cost, now), Ok(()));
            }
        }
    }
}
