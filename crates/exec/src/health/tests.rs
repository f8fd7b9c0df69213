use super::*;

fn broken() -> UpstreamError {
    UpstreamError::Broken("cut".into())
}

fn health() -> Health {
    Health::new(BreakerLimits { failures_in_a_row_max: 2, rest_ms_first: 1_000, ..BreakerLimits::default() })
}

#[tokio::test(start_paused = true)]
async fn f44_a_server_that_keeps_failing_rests_and_is_taken_back_when_it_answers() {
    let health = health();
    assert_eq!(health.standing().state, "unknown");
    health.admit().unwrap().failed(&UpstreamError::Unreachable("refused".into()));
    assert_eq!((health.standing().state, health.standing().failures_in_a_row), ("failing", 1));
    health.admit().unwrap().failed(&UpstreamError::TimedOut);
    let UpstreamError::Resting(resting) = health.admit().unwrap_err() else { panic!("it rests") };
    assert_eq!(resting.retry_after_ms, 1_000);
    assert_eq!(
        health.standing(),
        Standing {
            state: "resting",
            failures_in_a_row: 2,
            retry_after_ms: Some(1_000),
            last_failure: Some("timed_out")
        }
    );
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    health.admit().unwrap().answered(StatusCode::OK);
    assert_eq!((health.standing().state, health.standing().retry_after_ms), ("ok", None));
}

#[tokio::test]
async fn refusals_nonsense_and_callers_who_leave_do_not_count() {
    let health = health();
    for _ in 0..10 {
        health.admit().unwrap().answered(StatusCode::INTERNAL_SERVER_ERROR);
        health.admit().unwrap().answered(StatusCode::NOT_FOUND);
        health.admit().unwrap().failed(&UpstreamError::NotAnAnswer("nonsense"));
        health.admit().unwrap().failed(&UpstreamError::TooLarge(1));
        health.admit().unwrap().failed(&UpstreamError::Abandoned);
        drop(health.admit().unwrap());
    }
    assert_eq!(health.standing().state, "ok");
    // The control: two of these do.
    health.admit().unwrap().answered(StatusCode::BAD_GATEWAY);
    health.admit().unwrap().failed(&broken());
    assert_eq!(health.standing().state, "resting");
}

#[tokio::test]
async fn a_failure_after_a_good_beginning_counts_too() {
    let health = health();
    health.failed(&broken());
    health.failed(&broken());
    assert!(health.admit().is_err());
    health.failed(&broken());
    assert_eq!(health.standing().failures_in_a_row, 2, "a rest adds nothing");
}

#[tokio::test]
async fn f54_a_program_is_watched_and_never_rests() {
    let health = Health::watched_only();
    for _ in 0..100 {
        health.admit().unwrap().failed(&broken());
    }
    assert_eq!((health.standing().state, health.standing().failures_in_a_row), ("failing", 100));
}
