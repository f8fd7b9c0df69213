//! Steps of the wall clock while the process runs: what time really passed says a clock that nobody sets.
//!
//! Owns the rule for deadlines that pass by themselves: one that the clock jumped over passes as much later as the clock jumped, so
//! that nobody's time is cut short by an hour that never was. Never says what time it is.
//!
//! The wall clock alone says how long a step matters, so it matters to the next process as well: see [`super::KeptSteps`].

use std::fmt;
use std::time::Duration;

use tollgate_domain::UnixMillis;
use tollgate_ledger::escrow::WAIT_MS_MAX;

/// A step that is no step: what the clocks of a machine drift, and are put right by, between two looks.
const DRIFT_MS_MAX: u64 = 60_000;

/// The steps that still matter.
#[derive(Clone, Debug)]
pub struct Steps {
    /// The last look: the wall clock, and how long the process had run.
    last: (UnixMillis, Duration),
    /// Where the clock was set ahead.
    ahead: Vec<Ahead>,
    /// How often it was set, either way.
    count: u64,
}

/// The clock was set ahead, from here to there. Written `1795219200000 1795222800000`.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    from: UnixMillis,
    to: UnixMillis,
}

/// Why a text is no list of steps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no step of a clock")]
pub struct StepsError(String);

impl Ahead {
    fn by_ms(self) -> u64 {
        self.to.millis_since(self.from)
    }

    /// Whether this deadline was jumped over, and that much time has not passed yet. What was further off than anybody ever waits for was
    /// not: the clock had been wrong before, as that of a machine that starts in 1970, and was put right.
    fn holds(self, due: UnixMillis, wall: UnixMillis) -> bool {
        let is_over = self.from < due && due <= self.to && due.millis_since(self.from) <= WAIT_MS_MAX;
        is_over && wall < due.plus_millis(self.by_ms())
    }

    /// Whether it holds nothing any more.
    fn is_past(self, wall: UnixMillis) -> bool {
        wall >= self.to.plus_millis(self.by_ms().min(WAIT_MS_MAX))
    }
}

impl Steps {
    /// None yet: the wall clock says this after the process has run so long.
    pub const fn new(wall: UnixMillis, ran: Duration) -> Self {
        Self { last: (wall, ran), ahead: Vec::new(), count: 0 }
    }

    /// Those of a process before this one that still matter, as it wrote them. A clock that is behind a step was put back.
    ///
    /// # Errors
    /// [`StepsError`].
    pub fn resumed(text: &str, wall: UnixMillis, ran: Duration) -> Result<Self, StepsError> {
        let read = |line: &str| {
            let refused = || StepsError(line.chars().take(64).collect());
            let (from, to) = line.split_once(' ').ok_or_else(refused)?;
            let moment = |digits: &str| digits.parse().map(UnixMillis::new).map_err(|_| refused());
            Ok(Ahead { from: moment(from)?, to: moment(to)? })
        };
        let mut ahead = text.lines().map(read).collect::<Result<Vec<_>, _>>()?;
        ahead.retain(|step| step.to.millis_since(wall) <= DRIFT_MS_MAX && !step.is_past(wall));
        Ok(Self { ahead, ..Self::new(wall, ran) })
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
            self.ahead.push(Ahead { from: expected, to: wall });
        }
        if is_back {
            // No deadline that was jumped over is behind the clock any more, or it really is.
            self.ahead.clear();
        }
        self.ahead.retain(|step| !step.is_past(wall));
        self.count += u64::from(is_ahead || is_back);
        is_ahead || is_back
    }

    /// Whether a deadline was jumped over, and that much time has not passed yet.
    pub fn holds(&self, due: UnixMillis, wall: UnixMillis) -> bool {
        self.ahead.iter().any(|step| step.holds(due, wall))
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

impl fmt::Display for Steps {
    /// Those that hold something, a line each: for [`Steps::resumed`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ahead.iter().try_for_each(|Ahead { from, to }| writeln!(f, "{} {}", from.get(), to.get()))
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
    fn f22_a_clock_that_was_far_behind_and_is_put_right_holds_nothing() {
        // A machine that starts in 1970, and the deadline of yesterday.
        let today = UnixMillis::new(50 * WAIT_MS_MAX);
        let mut steps = Steps::new(UnixMillis::new(0), ran(0));
        assert!(steps.look(today, ran(0)));
        assert!(!steps.holds(today.minus_millis(24 * HOUR_MS), today));
        assert!(!steps.holds(UnixMillis::new(WAIT_MS_MAX + 1), today));
        assert!(steps.holds(UnixMillis::new(WAIT_MS_MAX), today), "control: as long as somebody may wait");
        steps.look(today.plus_millis(WAIT_MS_MAX), ran(WAIT_MS_MAX));
        assert!(steps.is_quiet());
    }

    #[test]
    fn f22_what_was_jumped_over_is_held_by_the_next_process_as_well() {
        let mut steps = Steps::new(START, ran(0));
        steps.look(wall(2_000 + HOUR_MS), ran(2_000));
        let resumed = |at| Steps::resumed(&steps.to_string(), wall(at), ran(0)).unwrap();
        let jumped_over = wall(302_000);
        for at in [2_000 + HOUR_MS, 301_999 + HOUR_MS, 302_000 + HOUR_MS] {
            let next = resumed(at);
            assert_eq!((next.to_string(), next.count()), (steps.to_string(), 0));
            assert_eq!(next.holds(jumped_over, wall(at)), steps.holds(jumped_over, wall(at)), "{at}");
        }
        assert!(resumed(2_000 + 2 * HOUR_MS).is_quiet(), "that much time has passed");
        assert!(resumed(3_000).is_quiet(), "the clock was put back meanwhile");
        assert!(!resumed(2_000 + HOUR_MS - DRIFT_MS_MAX).is_quiet(), "control: it drifted");
        for wrong in ["1", "1 x", "x 1", "1 2 3", " "] {
            assert_eq!(Steps::resumed(wrong, START, ran(0)).unwrap_err(), StepsError(wrong.to_owned()));
        }
        assert!(Steps::resumed("", START, ran(0)).unwrap().is_quiet());
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
