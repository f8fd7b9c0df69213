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

fn buckets(rate: Rate, keys_max: usize) -> Buckets {
    Buckets::new(rate, NonZeroUsize::new(keys_max).unwrap())
}

/// Spreads small numbers over all shards and places, as hashes are.
fn key(number: u64) -> Key {
    Key::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

fn take(buckets: &Buckets, key: Key, cost: u32, now: UnixMillis) -> Result<(), u64> {
    let mut bucket = buckets.lock(key).unwrap();
    let taken = bucket.afford(cost, now)?;
    bucket.take(taken);
    Ok(())
}

const ALICE: Key = 0xa11c_e000_0000_0000_0000_0000_0000_0007;
const BOB: Key = 0xb0b0_0000_0000_0000_0000_0000_0000_0008;

#[test]
fn a_burst_passes_and_then_the_rate_does() {
    let buckets = buckets(rate(3, 1, 1_000), 100);
    for _ in 0..3 {
        assert_eq!(take(&buckets, ALICE, 1, START), Ok(()));
    }
    assert_eq!(take(&buckets, ALICE, 1, START), Err(1_000));
    assert_eq!(take(&buckets, ALICE, 1, START.plus_millis(999)), Err(1));
    assert_eq!(take(&buckets, ALICE, 1, START.plus_millis(1_000)), Ok(()));
    assert_eq!(take(&buckets, ALICE, 1, START.plus_millis(1_000)), Err(1_000));
}

#[test]
fn one_key_does_not_slow_another() {
    let buckets = buckets(rate(1, 1, 1_000), 100);
    assert!(take(&buckets, ALICE, 1, START).is_ok());
    assert!(take(&buckets, ALICE, 1, START).is_err());
    assert!(take(&buckets, BOB, 1, START).is_ok());
}

#[test]
fn a_dear_call_takes_more_and_a_refused_one_takes_nothing() {
    let buckets = buckets(rate(10, 10, 1_000), 100);
    assert!(take(&buckets, ALICE, 8, START).is_ok());
    assert_eq!(take(&buckets, ALICE, 5, START), Err(300));
    assert!(take(&buckets, ALICE, 2, START).is_ok(), "the refused call took nothing");
    assert_eq!(take(&buckets, BOB, 11, START), Err(u64::MAX));
    assert!(take(&buckets, BOB, 10, START).is_ok());
}

#[test]
fn a_clock_set_back_costs_one_bucket_at_most() {
    let buckets = buckets(rate(2, 1, 1_000), 100);
    assert!(take(&buckets, ALICE, 2, START).is_ok());
    let earlier = UnixMillis::new(START.get() - 3_600_000);
    assert_eq!(take(&buckets, ALICE, 1, earlier), Err(1_000));
    assert_eq!(
        take(&buckets, ALICE, 1, earlier.plus_millis(400)),
        Err(600),
        "it fills by the clock as it is now"
    );
    assert!(take(&buckets, ALICE, 1, earlier.plus_millis(1_000)).is_ok());
    // A key that was never seen waits no longer either.
    assert!(take(&buckets, BOB, 2, earlier).is_ok());
}

#[test]
fn p20_a_flood_of_keys_does_not_grow_the_map() {
    let buckets = buckets(rate(5, 1, 60_000), 256);
    let mut admitted = 0;
    for stranger in 0..20_000 {
        admitted += usize::from(take(&buckets, key(stranger), 1, START).is_ok());
        assert!(buckets.keys() <= buckets.keys_max());
    }
    assert!(admitted >= 256, "control: strangers are served while there is room");
    assert_eq!(buckets.keys_max(), 256);
    assert!(
        take(&buckets, key(1), 1, START.plus_millis(5 * 60_000)).is_ok(),
        "control: later it is quiet again"
    );
}

#[test]
fn p20_a_flood_of_keys_does_not_wash_away_a_debt() {
    let buckets = buckets(rate(5, 1, 60_000), 64);
    assert!(take(&buckets, ALICE, 5, START).is_ok());
    assert!(take(&buckets, ALICE, 1, START).is_err());
    let flood = (0..5_000).filter(|stranger| take(&buckets, key(*stranger), 1, START).is_ok());
    assert!(flood.count() > buckets.keys_max(), "control: the flood does crowd the map");
    assert!(take(&buckets, ALICE, 1, START).is_err(), "alice's empty bucket is the last to be forgotten");
    assert!(
        take(&buckets, ALICE, 1, START.plus_millis(5 * 60_000)).is_ok(),
        "control: she may go on when it is full"
    );
}

#[test]
fn buckets_that_are_full_again_are_dropped_while_others_are_used() {
    let buckets = buckets(rate(1, 1, 1_000), 10_000);
    for stranger in 0..2_000 {
        assert!(take(&buckets, key(stranger), 1, START).is_ok());
    }
    assert_eq!(buckets.keys(), 2_000, "control: none is full yet");
    for stranger in 2_000..4_000 {
        assert!(take(&buckets, key(stranger), 1, START.plus_millis(1_000)).is_ok());
    }
    assert_eq!(buckets.keys(), 2_000, "those of a second ago have gone");
    assert!(take(&buckets, key(3_999), 1, START.plus_millis(1_000)).is_err(), "control: not those of now");
}

#[test]
fn limits_hold_across_threads() {
    let buckets = buckets(rate(100, 1, 3_600_000), 1_000);
    let admitted: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..50).filter(|_| take(&buckets, ALICE, 1, START).is_ok()).count()))
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
        steps in proptest::collection::vec((0u64..400, 1u32..6, 0u64..4), 1..120),
    ) {
        let rate = rate(burst, refill, per_ms);
        let buckets = buckets(rate, keys_max);
        let mut now = START;
        let mut admitted: Vec<(u64, u32)> = Vec::new();
        let mut stranger = 0u64;
        for (pause, cost, crowd) in steps {
            now = now.plus_millis(pause);
            for _ in 0..crowd {
                stranger += 1;
                take(&buckets, key(stranger), 1, now).unwrap_or_default();
            }
            if take(&buckets, ALICE, cost, now).is_ok() {
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
        prop_assert!(buckets.keys() <= buckets.keys_max());
    }

    /// The naive model: a bucket of units that is topped up in exact fractions. Where a unit comes back in whole
    /// nanoseconds, both agree on every single call.
    #[test]
    fn agrees_with_a_bucket_that_is_topped_up(
        burst in 1u32..20,
        refill in prop_oneof![Just(1u32), Just(2), Just(5), Just(10)],
        per_ms in 1u64..3_000,
        steps in proptest::collection::vec((0u64..800, 1u32..8), 1..100),
    ) {
        let buckets = buckets(rate(burst, refill, per_ms), 10);
        let full = u64::from(burst) * per_ms;
        let (mut now, mut level) = (START, full);
        for (pause, cost) in steps {
            now = now.plus_millis(pause);
            // One unit is `per_ms` parts; every millisecond brings `refill` of them.
            level = full.min(level + pause * u64::from(refill));
            let price = u64::from(cost) * per_ms;
            let admitted = take(&buckets, ALICE, cost, now).is_ok();
            prop_assert_eq!(admitted, price <= level, "{} of {} parts", price, level);
            if admitted {
                level -= price;
            }
        }
    }

    /// A key that waits as long as it is told passes.
    #[test]
    fn whoever_waits_as_told_passes(burst in 1u32..10, refill in 1u32..100, per_ms in 1u64..10_000, cost in 1u32..10) {
        let cost = cost.min(burst);
        let buckets = buckets(rate(burst, refill, per_ms), 16);
        let mut now = START;
        for _ in 0..20 {
            if let Err(retry_after_ms) = take(&buckets, ALICE, cost, now) {
                prop_assert!(retry_after_ms >= 1);
                now = now.plus_millis(retry_after_ms);
                prop_assert_eq!(take(&buckets, ALICE, cost, now), Ok(()));
            }
        }
    }
}

proptest! {
    /// One bucket from which something is taken and given back, and one from which it never was: the first is never fuller.
    #[test]
    fn what_is_given_back_is_never_more_than_was_taken(
        steps in proptest::collection::vec((0_u64..3_000, 1_u32..4), 1..40),
        taken_at in 0_usize..40,
        given_back_at in 0_usize..40,
        special in 1_u32..6,
    ) {
        let (with, without) = (buckets(rate(6, 2, 1_000), 100), buckets(rate(6, 2, 1_000), 100));
        let (mut now, mut taken) = (START, None);
        for (place, (pause_ms, cost)) in steps.into_iter().enumerate() {
            now = now.plus_millis(pause_ms);
            if place == taken_at && take(&with, ALICE, special, now).is_ok() {
                taken = Some(now);
            }
            if let Some(at) = taken.filter(|_| place >= given_back_at) {
                with.lock(ALICE).unwrap().give_back(special, now.get() - at.get(), now);
                taken = None;
            }
            if take(&with, ALICE, cost, now).is_ok() {
                prop_assert!(take(&without, ALICE, cost, now).is_ok(), "step {place}");
            }
        }
    }
}

#[test]
fn what_was_taken_just_now_is_given_back_whole() {
    let buckets = buckets(rate(3, 1, 1_000), 100);
    assert_eq!(take(&buckets, ALICE, 3, START), Ok(()));
    buckets.lock(ALICE).unwrap().give_back(2, 0, START);
    assert_eq!(take(&buckets, ALICE, 3, START), Err(1_000));
    assert_eq!(take(&buckets, ALICE, 2, START), Ok(()));
}

#[test]
fn what_is_owed_elsewhere_is_owed_here() {
    let buckets = buckets(rate(3, 1, 1_000), 100);
    buckets.lock(ALICE).unwrap().owe(2, 700, START);
    assert_eq!(take(&buckets, ALICE, 2, START), Err(700));
    assert_eq!(take(&buckets, ALICE, 2, START.plus_millis(700)), Ok(()));
    // What is known to be owed is not forgiven.
    buckets.lock(ALICE).unwrap().owe(1, 1, START.plus_millis(700));
    assert_eq!(take(&buckets, ALICE, 1, START.plus_millis(700)), Err(1_000));
}
