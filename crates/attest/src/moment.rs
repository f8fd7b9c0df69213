//! Reading back the one form in which a receipt writes moments.

use tollgate_domain::UnixMillis;

/// A text is not a moment of the form `2026-11-21T12:00:00.000Z`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a moment of the form 2026-11-21T12:00:00.000Z")]
pub(crate) struct MomentError(String);

/// Reads exactly what [`UnixMillis`] prints (RFC 3339, UTC, milliseconds, years from 1970 on).
pub(crate) fn parse(text: &str) -> Result<UnixMillis, MomentError> {
    // Printing what was read and comparing leaves one spelling and no impossible day, whatever `read` lets through.
    let moment = read(text).filter(|moment| moment.to_string() == text);
    moment.ok_or_else(|| MomentError(text.chars().take(40).collect()))
}

fn read(text: &str) -> Option<UnixMillis> {
    // Behind the year everything has a fixed place; five digits reach past what the milliseconds of an id can hold.
    let year_digits = text.len().checked_sub(20).filter(|digits| (4..=5).contains(digits))?;
    let year = text.get(..year_digits)?.parse::<u64>().ok()?;
    let rest = text.get(year_digits..)?;
    let number = |from: usize, to: usize| rest.get(from..to)?.parse::<u64>().ok();
    let (month, day) = (number(1, 3)?, number(4, 6)?);
    let (hour, minute, second, millis) = (number(7, 9)?, number(10, 12)?, number(13, 15)?, number(16, 19)?);
    let days = days_from_civil(year, month, day)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UnixMillis::new(seconds * 1_000 + millis))
}

/// Days since 1970-01-01; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`, for years that
/// are not negative. `None` before the epoch and for months that do not exist.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_shifted = (month + 9) % 12;
    let day_of_year = (153 * month_shifted + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_spellings_are_refused() {
        assert_eq!(parse("2026-11-21T00:01:00.123Z"), Ok(UnixMillis::new(1_795_219_260_123)), "control");
        for text in [
            "2026-11-21T00:01:00Z",
            "2026-11-21t00:01:00.123z",
            "2026-11-21 00:01:00.123Z",
            "2026-11-21T00:01:00.123+",
            "2026-13-21T00:01:00.123Z",
            "2026-02-29T00:01:00.123Z",
            "2026-11-00T00:01:00.123Z",
            "2026-11-21T24:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "+026-11-21T00:01:00.123Z",
            "",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(millis in 0u64..(1 << 48)) {
            let moment = UnixMillis::new(millis);
            prop_assert_eq!(parse(&moment.to_string()), Ok(moment));
        }

        #[test]
        fn reading_never_panics(text in "[-0-9T:.Z+é]{0,30}") {
            if let Ok(moment) = parse(&text) {
                prop_assert_eq!(moment.to_string(), text);
            }
        }
    }
}
