//! Steps of the wall clock while the process runs: what time really passed says a clock that nobody sets.
//!
//! Owns the rule for deadlines that pass by themselves: one that the clock jumped over passes as much later as the clock jumped, so
//! that nobody's time is cut short by an hour that never was. Never says what time it is.

use std::time::Duration;

use tollgate_domain::UnixMillis;

/// A step that is no step: what the clocks of a machine drift, and are put right by, between two looks.
const DRIFT_MS_MAX: u64 = 60_000;

/// The steps that still matter.
#[derive(Clone, Debug)]
pub struct Steps {
    /// The last look: the wall clock, and how long the process had run.
    last: (UnixMillis, Duration),
    /// From where to where the clock was set ahead.
    ahead: Vec<(UnixMillis, UnixMillis)>,
    /// How often it was set, either way.
    count: u64,
}

impl Steps {
    /// None yet: the wall clock says this after the process has run so long.
    pub const fn new(wall: UnixMillis, ran: Duration) -> Self {
        Self { last: (wall, ran), ahead: Vec::new(), count: 0 }
    }

    /// Looks at both clocks; whether the wall clock was set since the last look.
    pub fn look(&mut self, wall: UnixMillis, ran: Duration) -> bool {
        let (before, had_run) = self.last;
        let passed = u64::try_from(ran.saturating_sub(had_run).as_millis()).unwrap_or(u64::MAX);
        let expected = before.plus_millis(passed);
        self.last = (wall, ran);
        let is_ahead = wall.millis_since(expected) > DRIFT_MS_MAX;
        let is_back = expected.millis_since(wall) > DRIFT_MS_MAX;
        if is_ahead {
            self.ahead.push((expected, wall));
        }
        if is_back {
            // No deadline that was jumped over is behind the clock any more, or it really is.
            self.ahead.clear();
        }
        self.ahead.retain(|(from, to)| wall < to.plus_millis(to.millis_since(*from)));
        self.count += u64::from(is_ahead || is_back);
        is_ahead || is_back
    }

    /// Whether a deadline was jumped over, and that much time has not passed yet.
    pub fn holds(&self, due: UnixMillis, wall: UnixMillis) -> bool {
        let holds = |(from, to): &(UnixMillis, UnixMillis)| {
            *from < due && due <= *to && wall < due.plus_millis(to.millis_since(*from))
        };
        self.ahead.iter().any(holds)
    }

    /// Whether any deadline may be held.
    pub fn is_quiet(&self) -> bool {
        self.ahead.is_empty()
    }

    /// How often the clock was set while this process ran.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const START: UnixMillis = UnixMillis::new(1_000 * HOUR_MS);

    /// The wall clock so many milliseconds behind the start.
    fn wall(millis: u64) -> UnixMillis {
        START.plus_millis(millis)
    }

    fn ran(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn f22_a_deadline_that_the_clock_jumped_over_passes_that_much_later() {
        let mut steps = Steps::new(START, ran(0));
        assert!(!steps.look(wall(1_000), ran(1_000)), "control: time passes");
        assert!(steps.look(wall(2_000 + HOUR_MS), ran(2_000)));
        let jumped_over = wall(302_000);
        assert!(steps.holds(jumped_over, wall(2_000 + HOUR_MS)));
        // Five minutes really pass.
        assert!(!steps.look(wall(302_000 + HOUR_MS), ran(302_000)));
        assert!(!steps.holds(jumped_over, wall(302_000 + HOUR_MS)));
        assert!(steps.holds(jumped_over, wall(301_999 + HOUR_MS)), "control: a moment before");
        // What was due before the step, or is set behind it, passes by the clock.
        assert!(!steps.holds(wall(2_000), wall(2_000 + HOUR_MS)));
        assert!(steps.holds(wall(2_000 + HOUR_MS), wall(2_000 + HOUR_MS)));
        assert!(!steps.holds(wall(2_001 + HOUR_MS), wall(2_001 + HOUR_MS)));
        assert_eq!((steps.is_quiet(), steps.count()), (false, 1));
        steps.look(wall(2_000 + 2 * HOUR_MS), ran(2_000 + HOUR_MS));
        assert!(steps.is_quiet(), "nothing that was jumped over is left");
    }

    #[test]
    fn f22_a_clock_that_is_put_back_holds_nothing_any_more() {
        let mut steps = Steps::new(START, ran(0));
        steps.look(wall(1_000 + HOUR_MS), ran(1_000));
        assert!(steps.holds(wall(300_000), wall(1_000 + HOUR_MS)), "control");
        assert!(steps.look(wall(2_000), ran(2_000)));
        assert!(!steps.holds(wall(300_000), wall(300_000)));
        assert_eq!((steps.is_quiet(), steps.count()), (true, 2));
    }

    #[test]
    fn drift_is_no_step() {
        let mut steps = Steps::new(wall(DRIFT_MS_MAX), ran(0));
        assert!(!steps.look(wall(2 * DRIFT_MS_MAX), ran(0)));
        assert!(!steps.look(wall(DRIFT_MS_MAX), ran(0)));
        assert!(steps.look(wall(2 * DRIFT_MS_MAX + 1), ran(0)), "control");
        assert!(steps.look(wall(DRIFT_MS_MAX), ran(0)), "control");
        assert_eq!(steps.count(), 2);
    }
}
