use proptest::prelude::*;

use super::*;

#[test]
fn a_refill_has_one_text_form() {
    for text in ["1/second", "60/minute", "4294967295/hour", "5/day"] {
        assert_eq!(text.parse::<Refill>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "60",
        "60/",
        "/minute",
        "0/minute",
        "060/minute",
        "+6/minute",
        "-6/minute",
        "6.5/minute",
        "60/min",
    ]
    .into_iter()
    .chain(["60 / minute", "60/Minute", "4294967296/hour", "60/minute/minute"])
    {
        assert!(text.parse::<Refill>().is_err(), "{text:?}");
    }
}

#[test]
fn without_a_burst_a_whole_period_may_be_taken_at_once() {
    let refill: Refill = "60/minute".parse().unwrap();
    let rate = Rate::of(refill, None);
    assert_eq!((rate.burst().get(), rate.nanos_of(1)), (60, 1_000_000_000));
    assert_eq!(Rate::of(refill, NonZeroU32::new(5)).burst().get(), 5);
}

proptest! {
    #[test]
    fn reading_a_refill_never_panics_and_agrees_with_printing(text in "[0-9]{0,12}/?(second|minute|hour|day|.{0,8})") {
        if let Ok(refill) = text.parse::<Refill>() {
            prop_assert_eq!(refill.to_string(), text);
        }
    }
}
