use proptest::prelude::*;

use super::*;

fn usdc() -> Asset {
    Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6).unwrap()
}

fn money(units: u128) -> Price {
    Price::any_of([Money { amount: Amount::new(units), asset: usdc() }])
}

fn per_call(units: u128) -> Pricing {
    money(units).into()
}

/// Counts as many as it says, whatever is asked.
struct Counts(Result<u64, MeasureError>);

impl Reading for Counts {
    fn count(&self, _measure: &Measure) -> Result<u64, MeasureError> {
        self.0.clone()
    }
}

fn measure() -> Measure {
    Measure { pointer: "/text".to_owned(), of: Count::Characters, absent: None }
}

const NOON: UnixMillis = UnixMillis::new(1_795_737_600_000 + 43_200_000);

fn situation(counts: &Counts) -> Situation<'_> {
    Situation { now: NOON, usage: None, reputation: None, reading: counts }
}

fn unit(base: u128, each: u128, bounds: Bounds) -> UnitPrice {
    UnitPrice { asset: usdc(), base: Amount::new(base), each: Amount::new(each), bounds }
}

fn used(times: u64) -> Option<Usage> {
    Some(Usage { day: times, month: times, ever: times })
}

fn amount(pricing: &Pricing, situation: &Situation<'_>) -> u128 {
    pricing.due(situation).unwrap().price.options().first().map_or(0, |option| option.amount.get())
}

#[test]
fn the_first_calls_of_a_known_caller_are_free() {
    let tier = Pricing::FreeTier { calls: 2, per: Period::Day, then: Box::new(per_call(7)) };
    let none = Counts(Ok(0));
    let free = |usage| tier.due(&Situation { usage, ..situation(&none) }).unwrap().free.is_some();
    assert_eq!([used(0), used(1), used(2), None].map(free), [true, true, false, false]);
    assert_eq!(amount(&tier, &situation(&none)), 7, "the price after it is always named");
    assert!(free(Some(Usage { day: 0, month: 9, ever: 9 })), "only today counts");
}

#[test]
fn tiers_grades_and_windows_choose_their_price() {
    let none = Counts(Ok(0));
    let volume = Pricing::Volume { per: Period::Month, tiers: vec![(0, per_call(10)), (3, per_call(5))] };
    let volumes = [None, used(0), used(2), used(3)];
    assert_eq!(
        volumes.map(|usage| amount(&volume, &Situation { usage, ..situation(&none) })),
        [10, 10, 10, 5]
    );

    let grades = vec![(Bps::new(8_000), Pricing::FREE), (Bps::new(6_000), per_call(5))];
    let standing = Pricing::Standing { grades, otherwise: Box::new(per_call(10)) };
    let known = [None, Some(5_000), Some(6_000), Some(7_999), Some(8_000)];
    let reputations = known.map(|bps| bps.map(Bps::new));
    assert_eq!(
        reputations.map(|reputation| amount(&standing, &Situation { reputation, ..situation(&none) })),
        [10, 10, 5, 5, 0]
    );

    let morning = Window::new(Days::ALL, "06:00", "12:00").unwrap();
    let windows =
        Pricing::Windows { windows: vec![(morning, per_call(1))], otherwise: Box::new(per_call(2)) };
    let at =
        |minutes: u64| Situation { now: UnixMillis::new(NOON.get() - minutes * 60_000), ..situation(&none) };
    assert_eq!([amount(&windows, &at(1)), amount(&windows, &at(0))], [1, 2]);
}

fn by_result(bytes: u64, each: u128, most: u128) -> Pricing {
    let bounds = Bounds { minimum: Amount::new(1), maximum: Some(Amount::new(most)) };
    Pricing::PerResult(ResultPrice::new(bytes, vec![unit(0, each, bounds)]).unwrap())
}

#[test]
fn a_price_by_the_result_is_quoted_as_its_maximum_and_says_what_is_charged() {
    let none = Counts(Ok(0));
    let rule = by_result(1_024, 5, 100);
    let due = rule.due(&situation(&none)).unwrap();
    assert_eq!(due.price, money(100));
    assert_eq!(due.by_result.unwrap().of(usdc().id(), 1_025), Some(Amount::new(10)));
    assert_eq!(per_call(7).due(&situation(&none)).unwrap().by_result, None, "control: all of it");
    let tier = Pricing::FreeTier { calls: 1, per: Period::Day, then: Box::new(rule.clone()) };
    assert!(tier.due(&Situation { usage: used(1), ..situation(&none) }).unwrap().by_result.is_some());
    assert!(rule.reads_result() && tier.reads_result());
    assert!(!per_call(7).reads_result());
}

#[test]
fn calls_are_counted_in_their_own_period() {
    let usage = Usage { day: 1, month: 2, ever: 3 };
    for (period, expected) in [
        (Period::Day, Usage { day: 9, month: 2, ever: 3 }),
        (Period::Month, Usage { day: 1, month: 9, ever: 3 }),
        (Period::Ever, Usage { day: 1, month: 2, ever: 9 }),
    ] {
        assert_eq!(usage.with(period, 9), expected);
        assert_eq!(expected.within(period), 9);
    }
}

#[test]
fn free_calls_have_one_text_form() {
    for (text, calls, per) in
        [("3/day", 3, Period::Day), ("10/month", 10, Period::Month), ("0/ever", 0, Period::Ever)]
    {
        let free = FreeCall { calls, per };
        assert_eq!((free.to_string().as_str(), text.parse()), (text, Ok(free)));
    }
    for text in ["03/day", "+3/day", "3", "3/week", "/day", "3/day/day", "-1/day"] {
        assert!(text.parse::<FreeCall>().is_err(), "{text}");
    }
}

#[test]
fn p13_a_begun_unit_counts_whole_and_bounds_hold() {
    let bounds = Bounds { minimum: Amount::new(20), maximum: Some(Amount::new(50)) };
    let pricing = Pricing::PerUnit { measure: measure(), size: 1_000, options: vec![unit(10, 5, bounds)] };
    for (characters, expected) in [(0, 20), (1, 20), (1_001, 20), (2_001, 25), (8_000, 50), (u64::MAX, 50)] {
        assert_eq!(amount(&pricing, &situation(&Counts(Ok(characters)))), expected, "{characters}");
    }
    let unbounded = unit(0, u128::MAX, Bounds::PLAIN);
    let endless = Pricing::PerUnit { measure: measure(), size: 1, options: vec![unbounded] };
    assert_eq!(endless.due(&situation(&Counts(Ok(2)))), Err(PriceUnknown::TooLarge));
    assert_eq!(amount(&endless, &situation(&Counts(Ok(1)))), u128::MAX, "control");
    assert_eq!(
        amount(&endless, &situation(&Counts(Ok(0)))),
        1,
        "nothing is free unless the operator says so"
    );
}

#[test]
fn what_cannot_be_counted_has_no_price() {
    let absent = MeasureError::Absent("/text".to_owned());
    let pricing = Pricing::PerUnit { measure: measure(), size: 1, options: vec![unit(0, 1, Bounds::PLAIN)] };
    assert_eq!(pricing.due(&situation(&Counts(Err(absent.clone())))), Err(absent.into()));
}

#[test]
fn a_minimum_of_zero_lets_a_call_be_free() {
    let bounds = Bounds { minimum: Amount::ZERO, maximum: None };
    let pricing = Pricing::PerUnit { measure: measure(), size: 1, options: vec![unit(0, 3, bounds)] };
    assert!(pricing.due(&situation(&Counts(Ok(0)))).unwrap().price.is_free());
    assert_eq!(amount(&pricing, &situation(&Counts(Ok(1)))), 3);
    assert!(!pricing.is_free(), "it may cost something");
}

#[test]
fn the_version_follows_every_number_of_the_rules() {
    let tier = |calls, per, units| Pricing::FreeTier { calls, per, then: Box::new(per_call(units)) };
    let formula = |text: &str| Pricing::Formula {
        measures: vec![("n".to_owned(), measure())],
        options: vec![Computed { asset: usdc(), formula: text.parse().unwrap(), bounds: Bounds::PLAIN }],
    };
    let rules = [
        per_call(1),
        per_call(2),
        tier(1, Period::Day, 1),
        tier(2, Period::Day, 1),
        tier(1, Period::Month, 1),
        tier(1, Period::Day, 2),
        Pricing::Volume { per: Period::Day, tiers: vec![(0, per_call(1))] },
        formula("n"),
        formula("n + 1"),
        Pricing::PerUnit { measure: measure(), size: 1, options: vec![unit(0, 1, Bounds::PLAIN)] },
        Pricing::PerUnit { measure: measure(), size: 2, options: vec![unit(0, 1, Bounds::PLAIN)] },
        Pricing::PerUnit { measure: measure(), size: 2, options: vec![unit(0, 2, Bounds::PLAIN)] },
        Pricing::PerUnit {
            measure: measure(),
            size: 2,
            options: vec![unit(0, 2, Bounds { minimum: Amount::new(2), maximum: None })],
        },
        Pricing::PerUnit {
            measure: measure(),
            size: 2,
            options: vec![unit(0, 2, Bounds { maximum: Some(Amount::new(9)), ..Bounds::PLAIN })],
        },
        by_result(1, 5, 100),
        by_result(2, 5, 100),
        by_result(1, 6, 100),
        by_result(1, 5, 101),
    ];
    for (index, one) in rules.iter().enumerate() {
        assert_eq!(one.version(), one.clone().version());
        for other in &rules[..index] {
            assert_ne!(one.version(), other.version(), "{one:?} {other:?}");
        }
    }
    assert_eq!(
        per_call(1).version(),
        money(1).version(),
        "what was quoted before there were rules stays good"
    );
}

#[test]
fn rules_know_what_they_need() {
    let unit = Pricing::PerUnit { measure: measure(), size: 1, options: vec![unit(0, 1, Bounds::PLAIN)] };
    let tier = Pricing::FreeTier { calls: 1, per: Period::Day, then: Box::new(unit.clone()) };
    assert_eq!(tier.meters(), [(Period::Day, 1)]);
    assert!(tier.reads_arguments() && !tier.is_free());
    assert!(unit.meters().is_empty() && unit.reads_arguments());
    assert!(per_call(1).meters().is_empty() && !per_call(1).reads_arguments());
    let twice = Pricing::Volume { per: Period::Day, tiers: vec![(0, tier.clone()), (5, tier.clone())] };
    assert_eq!(twice.meters(), [(Period::Day, 5)], "as far as the furthest");
    assert_eq!(tier.extent(), (2, 2));
    assert_eq!(tier.first_asset(), Some(&usdc()));
    let free = Pricing::FreeTier { calls: 1, per: Period::Day, then: Box::new(Pricing::FREE) };
    assert!(free.is_free());
    assert_eq!((per_call(7).per_call(), tier.per_call()), (Some(&money(7)), None));
    assert_eq!([Pricing::FREE, per_call(7)].map(|pricing| pricing.to_string()), ["free", "0.000007 USDC"]);
}

proptest! {
    #[test]
    fn p13_a_price_per_unit_never_falls_and_stays_within_its_bounds(
        base in any::<u64>(),
        each in any::<u64>(),
        size in 1_u64..,
        least in any::<u64>(),
        most in any::<Option<u64>>(),
        fewer in any::<u64>(),
        more in any::<u64>(),
    ) {
        let (fewer, more) = (fewer.min(more), fewer.max(more));
        let maximum = most.map(|most| Amount::new(u128::from(most.max(least))));
        let bounds = Bounds { minimum: Amount::new(u128::from(least)), maximum };
        let options = vec![unit(u128::from(base), u128::from(each), bounds)];
        let pricing = Pricing::PerUnit { measure: measure(), size, options };
        let low = amount(&pricing, &situation(&Counts(Ok(fewer))));
        let high = amount(&pricing, &situation(&Counts(Ok(more))));
        prop_assert!(low <= high, "monotone");
        for amount in [low, high] {
            prop_assert!(amount >= u128::from(least));
            prop_assert!(maximum.is_none_or(|maximum| amount <= maximum.get()));
        }
        // Never under the exact price: units in full, each charged.
        let exact = u128::from(base) + u128::from(each) * u128::from(more) / u128::from(size);
        prop_assert!(maximum.is_some_and(|maximum| high == maximum.get()) || high >= exact);
    }

    #[test]
    fn a_price_by_formula_stays_within_its_bounds_or_is_refused(
        a in any::<u64>(), b in 1_u64.., n in any::<u64>(), least in any::<u64>(), over in any::<u64>(),
    ) {
        let maximum = u128::from(least) + u128::from(over);
        let bounds = Bounds { minimum: Amount::new(u128::from(least)), maximum: Some(Amount::new(maximum)) };
        let formula = format!("{a} + n * {a} / {b}").parse().unwrap();
        let options = vec![Computed { asset: usdc(), formula, bounds }];
        let pricing = Pricing::Formula { measures: vec![("n".to_owned(), measure())], options };
        match pricing.due(&situation(&Counts(Ok(n)))) {
            Ok(due) => {
                let amount = due.price.options().first().map_or(0, |option| option.amount.get());
                prop_assert!((u128::from(least)..=maximum).contains(&amount));
            }
            Err(PriceUnknown::Formula(FormulaError::Overflow)) => {
                prop_assert!(u128::from(n).checked_mul(u128::from(a)).is_none_or(|product| product > i128::MAX.unsigned_abs()));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
