//! How soon a session with a server that keeps dying is opened again.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::UpstreamError;

const DELAY_MS_FIRST: u64 = 200;
const DELAY_MS_MAX: u64 = 30_000;
/// A caller waits this long for a restart; beyond, it is told at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// The record of one server's starts: after the first failure it is started again at once, after each further one in a row
/// the pause doubles.
#[derive(Debug, Default)]
pub(crate) struct Restarts(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    failures_in_a_row: u32,
    not_before: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
#[error("the server failed {0} times in a row and is not started again yet")]
struct StillWaiting(u32);

impl Restarts {
    /// Waits until the server may be started again.
    pub(crate) async fn admit(&self) -> Result<(), UpstreamError> {
        let (failures, not_before) = {
            let record = self.0.lock();
            (record.failures_in_a_row, record.not_before)
        };
        let Some(at) = not_before else { return Ok(()) };
        if at.duration_since(Instant::now()) > PATIENCE {
            return Err(UpstreamError::Unreachable(Box::new(StillWaiting(failures))));
        }
        sleep_until(at).await;
        Ok(())
    }

    /// A start failed, or a session ended by itself.
    pub(crate) fn failed(&self) {
        let mut record = self.0.lock();
        record.failures_in_a_row = record.failures_in_a_row.saturating_add(1);
        record.not_before = Instant::now().checked_add(delay(record.failures_in_a_row));
    }

    /// The server has answered as it should.
    pub(crate) fn recovered(&self) {
        *self.0.lock() = Record::default();
    }
}

fn delay(failures_in_a_row: u32) -> Duration {
    let Some(doublings) = failures_in_a_row.checked_sub(2) else {
        return Duration::ZERO;
    };
    let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
    Duration::from_millis(DELAY_MS_FIRST.saturating_mul(factor).min(DELAY_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f54_the_pause_doubles_from_the_second_failure_and_is_bounded() {
        let pauses: Vec<u128> =
            [1, 2, 3, 4, 9, 10, 65, 66, 67, u32::MAX].map(|n| delay(n).as_millis()).into();
        assert_eq!(pauses, [0, 200, 400, 800, 25_600, 30_000, 30_000, 30_000, 30_000, 30_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn f54_a_caller_waits_for_a_short_pause_and_is_told_of_a_long_one() {
        let restarts = Restarts::default();
        for _ in 0..4 {
            restarts.failed();
        }
        assert!(restarts.admit().await.is_ok());
        for _ in 0..3 {
            restarts.failed();
        }
        assert!(matches!(restarts.admit().await, Err(UpstreamError::Unreachable(_))));
        restarts.recovered();
        assert!(restarts.admit().await.is_ok());
    }
}
