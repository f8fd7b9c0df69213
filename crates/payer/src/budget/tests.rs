use proptest::prelude::*;

use super::*;

const LIMITS: Limits =
    Limits { per_call: Amount::new(40), per_day: Amount::new(100), total: Amount::new(250) };

fn reserve(amount: u128, day: u64) -> Event {
    Event::Reserve { amount: Amount::new(amount), limits: LIMITS, today: Day::new(day) }
}

fn exceeded(outcome: Result<Counted, Refused>) -> Limit {
    match outcome {
        Err(Refused::Exceeded { limit, .. }) => limit,
        other => panic!("{other:?}"),
    }
}

fn after(events: &[Event]) -> Counted {
    events.iter().fold(Counted::default(), |counted, event| counted.apply(*event).unwrap())
}

#[test]
fn a_price_at_a_limit_fits_and_one_unit_more_does_not() {
    let none = Counted::default();
    assert_eq!(exceeded(none.apply(reserve(41, 1))), Limit::PerCall);
    let one = none.apply(reserve(40, 1)).expect("positive control: the limit itself");
    let day = after(&[reserve(40, 1), reserve(40, 1)]);
    assert_eq!(exceeded(day.apply(reserve(21, 1))), Limit::PerDay);
    day.apply(reserve(20, 1)).expect("positive control: the rest of the day");
    let total = after(&[1, 1, 2, 2, 3, 3].map(|day| reserve(40, day)));
    assert_eq!(exceeded(total.apply(reserve(11, 4))), Limit::Total);
    total.apply(reserve(10, 4)).expect("positive control: the rest of all");
    assert_eq!((one.total, one.open), (Amount::new(40), Amount::new(40)));
}

#[test]
fn zero_forbids_and_a_sum_past_all_numbers_is_no_way_around() {
    let forbidden = Limits { per_call: Amount::ZERO, ..LIMITS };
    let event = Event::Reserve { amount: Amount::new(1), limits: forbidden, today: Day::new(1) };
    assert_eq!(exceeded(Counted::default().apply(event)), Limit::PerCall);
    let boundless = Limits {
        per_call: Amount::new(u128::MAX),
        per_day: Amount::new(u128::MAX),
        total: Amount::new(u128::MAX),
    };
    let all = Event::Reserve { amount: Amount::new(u128::MAX), limits: boundless, today: Day::new(1) };
    let full = Counted::default().apply(all).expect("positive control: all there is");
    let one = Event::Reserve { amount: Amount::new(1), limits: boundless, today: Day::new(1) };
    assert_eq!(exceeded(full.apply(one)), Limit::Total);
}

#[test]
fn a_later_day_is_a_new_one_and_an_earlier_one_is_not() {
    let spent = after(&[reserve(40, 5), reserve(40, 5), reserve(20, 5)]);
    assert_eq!(exceeded(spent.apply(reserve(1, 5))), Limit::PerDay);
    assert_eq!(exceeded(spent.apply(reserve(1, 4))), Limit::PerDay, "the clock went back");
    spent.apply(reserve(1, 6)).expect("positive control: the next day");
    let midnight = UnixMillis::new(6 * DAY_MS);
    assert_eq!((Day::of(midnight), Day::of(UnixMillis::new(6 * DAY_MS - 1))), (Day::new(6), Day::new(5)));
}

#[test]
fn what_is_given_back_can_be_spent_again_on_the_day_it_was_counted_on() {
    let spent = after(&[reserve(40, 5), reserve(40, 5), reserve(20, 5)]);
    let back = Event::Release { amount: Amount::new(20), counted_on: Day::new(5) };
    let freed = spent.apply(back).unwrap();
    assert_eq!(freed.apply(reserve(20, 5)).unwrap(), spent);
    // A reservation of yesterday takes nothing off the sum of today.
    let today = after(&[reserve(20, 5), reserve(40, 6)]).apply(back).unwrap();
    assert_eq!((today.total, today.of_day), (Amount::new(40), Amount::new(40)));
}

#[test]
fn more_than_was_reserved_is_neither_settled_nor_given_back() {
    let spent = after(&[reserve(20, 5)]);
    for amount in [Amount::new(21), Amount::new(u128::MAX)] {
        assert_eq!(spent.apply(Event::Settle { amount }), Err(Refused::NotReserved));
        let release = Event::Release { amount, counted_on: Day::new(5) };
        assert_eq!(spent.apply(release), Err(Refused::NotReserved));
    }
    let settled = spent.apply(Event::Settle { amount: Amount::new(20) }).expect("positive control");
    assert_eq!((settled.total, settled.open), (Amount::new(20), Amount::ZERO));
    let release = Event::Release { amount: Amount::new(20), counted_on: Day::new(5) };
    assert_eq!(settled.apply(release), Err(Refused::NotReserved), "what is settled is not given back");
}

/// What one holder does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve(u128),
    Settle,
    Release,
    /// The holder dies: its reservation stands.
    Crash,
    /// Midnight passes.
    Tomorrow,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u128..60).prop_map(Step::Reserve),
        2 => Just(Step::Settle),
        2 => Just(Step::Release),
        1 => Just(Step::Crash),
        1 => Just(Step::Tomorrow),
    ]
}

proptest! {
    /// Whatever several holders do in whatever order, no limit is ever passed, and what is counted is exactly what they hold,
    /// spent, or left behind. The model keeps a list of payments and adds them up anew each time.
    #[test]
    fn no_interleaving_of_holders_passes_a_limit(steps in prop::collection::vec((0_usize..4, step()), 0..200)) {
        let mut counted = Counted::default();
        let mut held: [Option<(u128, u64)>; 4] = [None; 4];
        let mut spent: Vec<(u128, u64)> = Vec::new();
        let mut today = 10;
        for (holder, step) in steps {
            match step {
                Step::Reserve(amount) if held[holder].is_none() => {
                    let on_hand = spent.iter().chain(held.iter().flatten());
                    let total: u128 = on_hand.clone().map(|(amount, _)| amount).sum();
                    let of_day: u128 = on_hand.filter(|(_, day)| *day == today).map(|(amount, _)| amount).sum();
                    let fits = amount <= 40 && total + amount <= 250 && of_day + amount <= 100;
                    match counted.apply(reserve(amount, today)) {
                        Ok(after) => {
                            prop_assert!(fits, "{amount} was allowed with {of_day} of today and {total} in all");
                            counted = after;
                            held[holder] = Some((amount, today));
                        }
                        Err(refused) => {
                            prop_assert!(!fits, "{amount} was refused: {refused:?}");
                        }
                    }
                }
                Step::Settle => if let Some(payment) = held[holder].take() {
                    counted = counted.apply(Event::Settle { amount: Amount::new(payment.0) }).unwrap();
                    spent.push(payment);
                },
                Step::Release => if let Some((amount, day)) = held[holder].take() {
                    let event = Event::Release { amount: Amount::new(amount), counted_on: Day::new(day) };
                    counted = counted.apply(event).unwrap();
                },
                Step::Crash => spent.extend(held[holder].take()),
                Step::Tomorrow => today += 1,
                Step::Reserve(_) => {}
            }
            let total: u128 = spent.iter().chain(held.iter().flatten()).map(|(amount, _)| amount).sum();
            prop_assert_eq!(counted.total, Amount::new(total));
            prop_assert!(counted.total <= LIMITS.total && counted.of_day <= LIMITS.per_day);
        }
    }
}
