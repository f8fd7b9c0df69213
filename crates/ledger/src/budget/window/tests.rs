use proptest::prelude::*;

use super::*;

fn zone(text: &str) -> Zone {
    text.parse().unwrap()
}

/// 2026-02-28T23:59:59.999Z.
const LAST_OF_FEBRUARY: UnixMillis = UnixMillis::new(1_772_323_199_999);

#[test]
fn f24_each_window_ends_at_its_edge_and_the_next_begins_there() {
    let first_of_march = LAST_OF_FEBRUARY.plus_millis(1);
    for (span, before, length) in [
        (Span::Hour, "2026-02-28T23:00:00.000Z", 3_600_000),
        (Span::Day, "2026-02-28T00:00:00.000Z", 86_400_000),
        (Span::Month, "2026-02-01T00:00:00.000Z", 28 * 86_400_000),
    ] {
        let start = span.start(LAST_OF_FEBRUARY, Zone::default());
        assert_eq!(start.to_string(), before, "{span}");
        assert_eq!(span.end(start, Zone::default()), Some(first_of_march), "{span}");
        assert_eq!(first_of_march.millis_since(start), length, "{span}");
        assert_eq!(span.start(first_of_march, Zone::default()), first_of_march, "{span}");
    }
}

#[test]
fn f24_a_leap_day_belongs_to_its_month() {
    let leap_day = UnixMillis::from_secs(1_835_395_200); // 2028-02-29
    assert_eq!(leap_day.to_string(), "2028-02-29T00:00:00.000Z");
    let start = Span::Month.start(leap_day, Zone::default());
    assert_eq!(start.to_string(), "2028-02-01T00:00:00.000Z");
    assert_eq!(Span::Month.end(start, Zone::default()).unwrap().to_string(), "2028-03-01T00:00:00.000Z");
}

#[test]
fn days_and_months_begin_in_the_configured_zone() {
    for (text, day, month) in [
        ("+05:30", "2026-02-28T18:30:00.000Z", "2026-02-28T18:30:00.000Z"),
        ("-08:00", "2026-02-28T08:00:00.000Z", "2026-02-01T08:00:00.000Z"),
        ("UTC", "2026-02-28T00:00:00.000Z", "2026-02-01T00:00:00.000Z"),
    ] {
        assert_eq!(Span::Day.start(LAST_OF_FEBRUARY, zone(text)).to_string(), day, "{text}");
        assert_eq!(Span::Month.start(LAST_OF_FEBRUARY, zone(text)).to_string(), month, "{text}");
    }
}

#[test]
fn zones_have_one_text_form() {
    for text in ["UTC", "+05:30", "-08:00", "+14:00", "-00:30"] {
        assert_eq!(zone(text).to_string(), text);
    }
    assert_eq!(zone("+00:00").to_string(), "UTC");
    for text in ["", "CET", "Europe/Berlin", "+1:00", "+0100", "+15:00", "+01:60", "+01:00:00", "+-1:00", "é"]
    {
        assert!(text.parse::<Zone>().is_err(), "{text:?}");
    }
}

fn zones() -> impl Strategy<Value = Zone> {
    (-840_i16..=840).prop_map(|minutes| Zone::east(minutes).unwrap())
}

proptest! {
    /// Windows cover all of time, each moment once: a moment lies in the window that it starts, and the next one begins
    /// exactly where this one ends.
    #[test]
    fn windows_neither_overlap_nor_leave_a_gap(
        secs in 86_400_u64..8_000_000_000,
        zone in zones(),
        span in prop_oneof![Just(Span::Hour), Just(Span::Day), Just(Span::Month)],
    ) {
        let now = UnixMillis::from_secs(secs);
        let start = span.start(now, zone);
        let end = span.end(start, zone).unwrap();
        prop_assert!(start <= now && now < end, "{start} {now} {end}");
        prop_assert_eq!(span.start(start, zone), start);
        prop_assert_eq!(span.start(end, zone), end);
        prop_assert_eq!(span.start(end.minus_millis(1), zone), start);
    }
}
