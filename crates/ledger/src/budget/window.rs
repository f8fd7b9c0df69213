//! Windows in which spending is counted: where each begins and ends.

use std::fmt;
use std::str::FromStr;

use tollgate_domain::UnixMillis;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A stretch of time over which spending is counted. Written `hour`, `day`, `month`, `session`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Span {
    /// From full hour to full hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
    /// From the first call to a pause that is longer than [`Calendar::session_idle_ms`]. Not a session of a protocol, which a
    /// caller could simply open again.
    Session,
}

/// Why a word is no [`Span`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not hour, day, month or session")]
pub struct SpanError(String);

/// A fixed distance from UTC, in which days and months begin. Written `UTC`, `+05:30`, `-08:00`. It knows no summer time: a day
/// always has 24 hours, and every window ends exactly once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Zone {
    minutes_east: i16,
}

/// Why a text is no [`Zone`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not UTC or a distance from it such as +01:00, at most 14 hours")]
pub struct ZoneError(String);

/// By what windows begin and end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Calendar {
    /// Where midnight is.
    pub zone: Zone,
    /// How long a pause ends a session.
    pub session_idle_ms: u64,
}

impl Default for Calendar {
    /// UTC; half an hour without spending ends a session.
    fn default() -> Self {
        Self { zone: Zone::default(), session_idle_ms: 30 * MINUTE_MS }
    }
}

impl Span {
    /// Every span, the shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Month, Self::Session];

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Session => "session",
        }
    }

    /// When the window that holds this moment began. A session that begins now begins now.
    pub fn start(self, now: UnixMillis, zone: Zone) -> UnixMillis {
        let local = zone.local(now);
        let past = |length_ms: u64| local.get().checked_rem(length_ms).unwrap_or_default();
        match self {
            Self::Hour => zone.utc(local.minus_millis(past(HOUR_MS))),
            Self::Day => zone.utc(local.minus_millis(past(DAY_MS))),
            Self::Month => {
                let days = local.day_of_month().saturating_sub(1);
                zone.utc(local.minus_millis(past(DAY_MS)).minus_millis(days.saturating_mul(DAY_MS)))
            }
            Self::Session => now,
        }
    }

    /// When the window that began then is over; `None` for a session, which does not know yet.
    pub fn end(self, start: UnixMillis, zone: Zone) -> Option<UnixMillis> {
        match self {
            Self::Hour => Some(start.plus_millis(HOUR_MS)),
            Self::Day => Some(start.plus_millis(DAY_MS)),
            // 31 days and half a day after the first of any month are early in the next one.
            Self::Month => Some(self.start(start.plus_millis(31 * DAY_MS + DAY_MS / 2), zone)),
            Self::Session => None,
        }
    }
}

impl Zone {
    /// So many minutes east of UTC; at most 14 hours either way.
    pub fn east(minutes: i16) -> Option<Self> {
        (-840..=840).contains(&minutes).then_some(Self { minutes_east: minutes })
    }

    fn distance_ms(self) -> u64 {
        u64::from(self.minutes_east.unsigned_abs()).saturating_mul(MINUTE_MS)
    }

    fn local(self, utc: UnixMillis) -> UnixMillis {
        match self.minutes_east < 0 {
            true => utc.minus_millis(self.distance_ms()),
            false => utc.plus_millis(self.distance_ms()),
        }
    }

    fn utc(self, local: UnixMillis) -> UnixMillis {
        match self.minutes_east < 0 {
            true => local.plus_millis(self.distance_ms()),
            false => local.minus_millis(self.distance_ms()),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.minutes_east.unsigned_abs();
        let sign = match self.minutes_east {
            0 => return f.write_str("UTC"),
            east if east > 0 => '+',
            _ => '-',
        };
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(text: &str) -> Result<Self, ZoneError> {
        let refused = || ZoneError(text.chars().take(32).collect());
        if text == "UTC" || text == "Z" {
            return Ok(Self::default());
        }
        let (is_west, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (false, rest),
            Some(("-", rest)) => (true, rest),
            _ => return Err(refused()),
        };
        let (hours, minutes) = rest.split_once(':').ok_or_else(refused)?;
        let number = |digits: &str| {
            let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<i16>().ok()).flatten().ok_or_else(refused)
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let all = hours.saturating_mul(60).saturating_add(minutes);
        let zone = Self::east(if is_west { all.saturating_neg() } else { all });
        zone.filter(|_| minutes < 60).ok_or_else(refused)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let known = Self::ALL.into_iter().find(|span| span.word() == text);
        known.ok_or_else(|| SpanError(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests;
