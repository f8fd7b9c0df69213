use proptest::prelude::*;

use super::*;

const LIMITS: BreakerLimits = BreakerLimits {
    failures_in_a_row_max: 3,
    window_ms: 8_000,
    exchanges_min: 10,
    failed_percent_max: 50,
    rest_ms_first: 100,
    rest_ms_max: 1_000,
};

fn said(breaker: &mut Breaker, verdict: Verdict, now: u64) {
    let admission = breaker.admit(now).unwrap();
    breaker.record(admission, verdict, now);
}

/// A breaker whose rest has begun at `now`.
fn resting(now: u64) -> Breaker {
    let mut breaker = Breaker::new(LIMITS);
    for _ in 0..3 {
        said(&mut breaker, Verdict::Failed, now);
    }
    assert_eq!(breaker.admit(now), Err(Resting { retry_after_ms: 100 }));
    breaker
}

#[test]
fn f44_failures_in_a_row_begin_a_rest_and_one_success_between_does_not() {
    let mut breaker = Breaker::new(LIMITS);
    for verdict in [Verdict::Failed, Verdict::Failed, Verdict::Answered, Verdict::Failed, Verdict::Failed] {
        said(&mut breaker, verdict, 0);
    }
    // What a caller does who goes away says nothing, either way.
    said(&mut breaker, Verdict::Nothing, 0);
    assert!(breaker.is_closed());
    said(&mut breaker, Verdict::Failed, 0);
    assert_eq!(breaker.admit(40), Err(Resting { retry_after_ms: 60 }));
    assert!(!breaker.is_closed());
}

#[test]
fn f55_a_share_of_failures_begins_a_rest_once_there_are_enough_to_tell() {
    let mut breaker = Breaker::new(LIMITS);
    for _ in 0..4 {
        said(&mut breaker, Verdict::Answered, 0);
        said(&mut breaker, Verdict::Failed, 0);
    }
    assert!(breaker.is_closed(), "half of eight says nothing");
    said(&mut breaker, Verdict::Answered, 0);
    said(&mut breaker, Verdict::Failed, 0);
    assert!(!breaker.is_closed());

    let mut steady = Breaker::new(LIMITS);
    for _ in 0..100 {
        for verdict in [Verdict::Answered, Verdict::Answered, Verdict::Failed] {
            said(&mut steady, verdict, 0);
        }
    }
    assert!(steady.is_closed(), "a third is not half");
}

#[test]
fn f55_failures_of_long_ago_are_forgotten() {
    let mut breaker = Breaker::new(LIMITS);
    for round in 0..50 {
        said(&mut breaker, Verdict::Answered, round * 2_000);
        said(&mut breaker, Verdict::Failed, round * 2_000);
    }
    assert!(breaker.is_closed(), "never ten in eight seconds");
}

#[test]
fn after_the_rest_one_trial_decides() {
    let mut breaker = resting(0);
    let trial = breaker.admit(100).unwrap();
    assert_eq!(breaker.admit(100), Err(Resting { retry_after_ms: 100 }), "one at a time");
    breaker.record(trial, Verdict::Answered, 120);
    assert!(breaker.is_closed());
    assert_eq!(breaker.failures_in_a_row(), 0);
    said(&mut breaker, Verdict::Failed, 120);
    assert!(breaker.is_closed(), "the count begins anew");
}

#[test]
fn each_failed_trial_doubles_the_rest_up_to_its_bound() {
    let mut breaker = resting(0);
    let mut now = 0;
    let mut rests = Vec::new();
    for _ in 0..6 {
        now += breaker.admit(now).unwrap_err().retry_after_ms;
        let trial = breaker.admit(now).unwrap();
        breaker.record(trial, Verdict::Failed, now);
        rests.push(breaker.admit(now).unwrap_err().retry_after_ms);
    }
    assert_eq!(rests, [200, 400, 800, 1_000, 1_000, 1_000]);
}

#[test]
fn a_trial_whose_caller_goes_away_leaves_its_place_to_the_next() {
    let mut breaker = resting(0);
    let trial = breaker.admit(100).unwrap();
    breaker.record(trial, Verdict::Nothing, 150);
    assert!(breaker.admit(150).is_ok());
}

#[test]
fn a_trial_that_hangs_is_overtaken_and_its_word_is_old_news() {
    let mut breaker = resting(0);
    let hanging = breaker.admit(100).unwrap();
    assert!(breaker.admit(1_099).is_err());
    let next = breaker.admit(1_100).unwrap();
    breaker.record(hanging, Verdict::Failed, 1_101);
    breaker.record(next, Verdict::Answered, 1_102);
    assert!(breaker.is_closed());
}

#[test]
fn what_was_under_way_when_the_rest_began_changes_nothing() {
    let mut breaker = Breaker::new(LIMITS);
    let early = breaker.admit(0).unwrap();
    let late = breaker.admit(0).unwrap();
    for _ in 0..3 {
        said(&mut breaker, Verdict::Failed, 0);
    }
    breaker.record(early, Verdict::Answered, 50);
    assert!(breaker.admit(50).is_err());
    let trial = breaker.admit(100).unwrap();
    breaker.record(late, Verdict::Failed, 110);
    breaker.record(trial, Verdict::Answered, 120);
    assert!(breaker.is_closed());
}

#[test]
fn zero_turns_it_off() {
    let mut breaker = Breaker::new(BreakerLimits { failures_in_a_row_max: 0, ..LIMITS });
    for _ in 0..1_000 {
        said(&mut breaker, Verdict::Failed, 0);
    }
    assert!(breaker.is_closed());
    assert_eq!(breaker.failures_in_a_row(), 1_000);
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Answered), Just(Verdict::Failed), Just(Verdict::Nothing)]
}

proptest! {
    /// Whatever happens: a refusal names a time within the bound, coming back then is never refused for the same reason for
    /// ever, at most one trial is out, and a server that answers is taken back.
    #[test]
    fn f55_it_never_stays_open_for_ever(
        steps in prop::collection::vec((0u64..400, verdict(), any::<bool>()), 1..200)
    ) {
        let mut breaker = Breaker::new(LIMITS);
        let mut now = 0;
        let mut out: Vec<Admission> = Vec::new();
        for (pause, verdict, ends) in steps {
            now += pause;
            match breaker.admit(now) {
                Ok(admission) => {
                    prop_assert!(breaker.is_closed() != admission.trial.is_some());
                    out.push(admission);
                }
                Err(Resting { retry_after_ms }) => {
                    prop_assert!((1..=LIMITS.rest_ms_max).contains(&retry_after_ms));
                    prop_assert!(!breaker.is_closed());
                }
            }
            if ends && let Some(admission) = out.pop() {
                breaker.record(admission, verdict, now);
            }
        }
        now += LIMITS.rest_ms_max;
        let last = breaker.admit(now);
        prop_assert!(last.is_ok(), "refused after the longest rest: {last:?}");
        breaker.record(last.unwrap(), Verdict::Answered, now);
        prop_assert!(breaker.is_closed());
    }

    /// A server that never fails is never refused.
    #[test]
    fn a_server_that_answers_is_never_refused(pauses in prop::collection::vec(0u64..5_000, 1..200)) {
        let mut breaker = Breaker::new(LIMITS);
        let mut now = 0;
        for pause in pauses {
            now += pause;
            said(&mut breaker, Verdict::Answered, now);
        }
    }
}
