//! Periods in which calls are counted, and the counts.

use std::fmt;
use std::str::FromStr;

use crate::UnixMillis;

/// A span of time in which calls are counted; it begins at midnight UTC. Written `day`, `month`, `ever`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Period {
    /// A day.
    Day,
    /// A month of the calendar.
    Month,
    /// All time.
    Ever,
}

/// A text that names no [`Period`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of day, month, ever")]
pub struct PeriodError(String);

impl Period {
    /// When the period that a moment lies in began.
    pub const fn start(self, at: UnixMillis) -> UnixMillis {
        match self {
            Self::Day => at.day_start(),
            Self::Month => at.month_start(),
            Self::Ever => UnixMillis::new(0),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Ever => "ever",
        })
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        match text {
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            "ever" => Ok(Self::Ever),
            other => Err(PeriodError(other.chars().take(32).collect())),
        }
    }
}

/// How many calls of one tool one caller has made in the periods that now lies in: those that were claimed and did not come to
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Usage {
    /// Today.
    pub day: u64,
    /// This month.
    pub month: u64,
    /// In all.
    pub ever: u64,
}

impl Usage {
    /// How many in this period.
    pub const fn within(&self, period: Period) -> u64 {
        match period {
            Period::Day => self.day,
            Period::Month => self.month,
            Period::Ever => self.ever,
        }
    }

    /// The same with this many in a period.
    #[must_use]
    pub const fn with(self, period: Period, calls: u64) -> Self {
        match period {
            Period::Day => Self { day: calls, ..self },
            Period::Month => Self { month: calls, ..self },
            Period::Ever => Self { ever: calls, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_at_midnight_and_with_the_month() {
        // 2026-11-30T23:59:59.999Z.
        let last = UnixMillis::new(1_796_083_199_999);
        assert_eq!(last.to_string(), "2026-11-30T23:59:59.999Z");
        let starts =
            |at| [Period::Day, Period::Month, Period::Ever].map(|period| period.start(at).to_string());
        let ever = "1970-01-01T00:00:00.000Z";
        assert_eq!(starts(last), ["2026-11-30T00:00:00.000Z", "2026-11-01T00:00:00.000Z", ever]);
        let next = last.plus_millis(1);
        assert_eq!(starts(next), ["2026-12-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z", ever]);
    }
}
