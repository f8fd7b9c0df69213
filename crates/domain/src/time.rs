use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the Unix epoch. Engines receive it as `now`; none of them reads a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The moment `millis` after the epoch.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment `seconds` after the epoch (saturating).
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// This moment plus `millis` (saturating).
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Midnight (UTC) before this moment.
    #[expect(clippy::arithmetic_side_effects, reason = "the remainder is no larger than the whole")]
    pub const fn day_start(self) -> Self {
        Self(self.0 - self.0 % 86_400_000)
    }

    /// The beginning of the month of the calendar (UTC) that this moment lies in.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "as many days of the month have passed as there are before"
    )]
    pub const fn month_start(self) -> Self {
        let (_, _, day) = civil_from_days(self.0 / 86_400_000);
        Self(self.day_start().0 - (day - 1) * 86_400_000)
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment less `millis`; not before the epoch.
    pub const fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// Its day of the month in UTC, 1 to 31.
    pub const fn day_of_month(self) -> u64 {
        let (_, _, day) = civil_from_days(self.0 / 86_400_000);
        day
    }
}

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC with milliseconds: `2026-11-21T12:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, of_day) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, millis) = (of_day / 1000 % 60, of_day % 1000);
        if year > 9_999 {
            return write!(f, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
        }
        // Every receipt says two moments: digits into their places are several times faster than seven padded numbers.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts =
            [(0..4, year), (5..7, month), (8..10, day), (11..13, hour), (14..16, minute), (17..19, second)];
        for (place, number) in parts.into_iter().chain([(20..23, millis)]) {
            write_digits(text.get_mut(place).unwrap_or_default(), number);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Writes the last digits of a number, as many as there is room for.
fn write_digits(room: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in room.iter_mut().rev() {
        *digit = b'0' | u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Days since 1970-01-01 as (year, month, day) of the proleptic Gregorian calendar; Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`, for days that are not negative.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "u64 days of any u64 millisecond count stay far below overflow"
)]
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_219_260_123, "2026-11-21T00:01:00.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(UnixMillis::new(millis).to_string(), text);
        }
    }
}
