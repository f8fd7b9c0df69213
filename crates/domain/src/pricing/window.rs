//! Windows of time, in UTC.

use std::fmt;

use crate::UnixMillis;

const DAY_MINUTES: u16 = 1_440;
const DAY_MS: u64 = 86_400_000;
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Days of the week, Monday first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Days([bool; 7]);

/// A span of the day on some days of the week: from its first minute up to, and without, its last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Window {
    days: Days,
    from: u16,
    to: u16,
}

/// Why there is no such window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// No such day.
    #[error("{0:?} is none of mon, tue, wed, thu, fri, sat, sun")]
    Day(String),
    /// No such time of day.
    #[error("{0:?} is no time of day such as 08:30, up to 24:00")]
    Time(String),
    /// The span ends where it begins.
    #[error("a window ends after it begins; write 00:00 to 24:00 for the whole day")]
    Empty,
}

impl Days {
    /// The whole week.
    pub const ALL: Self = Self([true; 7]);

    /// The days with these names; none: the whole week.
    ///
    /// # Errors
    /// [`WindowError::Day`] for another word.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, WindowError> {
        let mut days = [false; 7];
        for name in names {
            let place = NAMES.iter().position(|known| *known == name);
            let day = place.and_then(|place| days.get_mut(place));
            *day.ok_or_else(|| WindowError::Day(name.chars().take(16).collect()))? = true;
        }
        Ok(if days.contains(&true) { Self(days) } else { Self::ALL })
    }

    fn has(self, day: u64) -> bool {
        usize::try_from(day).ok().and_then(|day| self.0.get(day)).copied().unwrap_or_default()
    }
}

impl Window {
    /// The window on these days from one time of day to another; `22:00` to `06:00` goes past midnight, and belongs to the day
    /// on which it begins.
    ///
    /// # Errors
    /// [`WindowError`] when a time is none, or the window is empty.
    pub fn new(days: Days, from: &str, to: &str) -> Result<Self, WindowError> {
        let (from, to) = (minute(from)?, minute(to)?);
        if from == to || from == DAY_MINUTES {
            return Err(WindowError::Empty);
        }
        Ok(Self { days, from, to })
    }

    /// Whether a moment lies in it.
    pub fn contains(&self, at: UnixMillis) -> bool {
        let (day, minute) = (at.get() / DAY_MS, at.get() % DAY_MS / 60_000);
        // The first of January 1970 was a Thursday.
        let weekday = day.wrapping_add(3) % 7;
        let (from, to) = (u64::from(self.from), u64::from(self.to));
        if from < to {
            return self.days.has(weekday) && (from..to).contains(&minute);
        }
        (self.days.has(weekday) && minute >= from)
            || (self.days.has(weekday.wrapping_add(6) % 7) && minute < to)
    }

    /// The days by name.
    pub fn days(&self) -> Vec<&'static str> {
        NAMES.iter().zip(self.days.0).filter(|(_, has)| *has).map(|(name, _)| *name).collect()
    }

    /// The times of day.
    pub fn times(&self) -> [String; 2] {
        [self.from, self.to].map(|minute| format!("{:02}:{:02}", minute / 60, minute % 60))
    }
}

impl fmt::Display for Window {
    /// `mon,tue 08:00-18:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = self.times();
        write!(f, "{} {from}-{to}", self.days().join(","))
    }
}

/// The minute of the day that `08:30` means, up to 24:00.
fn minute(text: &str) -> Result<u16, WindowError> {
    let refused = || WindowError::Time(text.chars().take(16).collect());
    let (hours, minutes) = text.split_once(':').ok_or_else(refused)?;
    let number = |part: &str| {
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())
            .flatten()
    };
    let (hours, minutes) = (number(hours).ok_or_else(refused)?, number(minutes).ok_or_else(refused)?);
    let all = hours.checked_mul(60).and_then(|whole| whole.checked_add(minutes)).ok_or_else(refused)?;
    if minutes > 59 || all > DAY_MINUTES { Err(refused()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27 is a Friday.
    fn friday(hour: u64, minute: u64) -> UnixMillis {
        let at = UnixMillis::new(1_795_737_600_000).plus_millis(hour * 3_600_000 + minute * 60_000);
        assert!(at.to_string().starts_with("2026-11-27T"), "{at}");
        at
    }

    #[test]
    fn a_window_has_its_first_minute_and_not_its_last() {
        let office = Window::new(Days::named(["mon", "fri"]).unwrap(), "08:00", "18:00").unwrap();
        for (hour, minute, inside) in [(7, 59, false), (8, 0, true), (17, 59, true), (18, 0, false)] {
            assert_eq!(office.contains(friday(hour, minute)), inside, "{hour}:{minute}");
        }
        assert!(!office.contains(friday(9, 0).plus_millis(86_400_000)), "not on Saturday");
        assert_eq!(office.to_string(), "mon,fri 08:00-18:00");
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = Window::new(Days::named(["thu"]).unwrap(), "22:00", "06:00").unwrap();
        assert!(
            night.contains(friday(5, 59)) && !night.contains(friday(6, 0)) && !night.contains(friday(23, 0))
        );
        let of_friday = Window::new(Days::named(["fri"]).unwrap(), "22:00", "06:00").unwrap();
        for (hour, minute, inside) in [(5, 59, false), (21, 59, false), (22, 0, true), (23, 59, true)] {
            assert_eq!(of_friday.contains(friday(hour, minute)), inside, "{hour}:{minute}");
        }
        assert!(of_friday.contains(friday(5, 0).plus_millis(86_400_000)), "until Saturday's morning");
        let whole = Window::new(Days::ALL, "00:00", "24:00").unwrap();
        assert!(whole.contains(friday(0, 0)) && whole.contains(friday(23, 59)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["8:00", "24:01", "12:60", "-1:00", "noon", "", "12", "+1:00"] {
            assert!(Window::new(Days::ALL, text, "18:00").is_err(), "{text}");
        }
        assert!(Window::new(Days::ALL, "08:59", "23:59").is_ok(), "control");
        assert_eq!(Window::new(Days::ALL, "08:00", "08:00"), Err(WindowError::Empty));
        assert!(Days::named(["monday"]).is_err());
    }
}
