use std::collections::BTreeMap;

use proptest::prelude::*;
use tollgate_domain::{ApprovalId, AssetId, Digest, Principal, ToolRef};

use super::*;
use crate::budget::{Calendar, Counted, Node, Stop};
use crate::memory::Memory;

impl Memory {
    /// Weighs, and keeps what is taken.
    fn take(&mut self, ask: &Ask, wanted: &Wanted, now: UnixMillis) -> Result<Reservation, Barrier> {
        match weigh(self, ask, wanted, call(), now).unwrap() {
            Weighed::Barred(barrier) => Err(barrier),
            Weighed::Within { reservation, usages, approval, .. } => {
                self.keep(usages, approval.map(|approval| *approval));
                Ok(reservation)
            }
        }
    }

    fn void(&mut self, reservation: &Reservation, wanted: &Wanted, now: UnixMillis) {
        let (usages, approval) = give_back(self, reservation, wanted, call(), now).unwrap();
        self.keep(usages, approval);
    }
}

fn call() -> CallId {
    CallId::from_bytes([9; 16])
}

fn asset() -> AssetId {
    "eip155:84532/erc20:0x1".parse().unwrap()
}

fn wanted(units: u128) -> Wanted {
    Wanted {
        caller: "anonymous".parse().unwrap(),
        tool: ToolRef { server: "up".parse().unwrap(), tool: "buy".parse().unwrap() },
        args: Digest::of(b"{}"),
        asset: asset(),
        amount: Amount::new(units),
    }
}

fn node(path: &str, limits: &[(Span, u128)]) -> Node {
    let counted =
        |&(span, units): &(Span, u128)| Counted { span, limit: Some(Amount::new(units)), warn: None };
    Node {
        key: NodeKey::new(path, None),
        per_call: None,
        approve_above: None,
        counted: limits.iter().map(counted).collect(),
    }
}

fn ask(nodes: Vec<Node>) -> Ask {
    Ask { calendar: Calendar::default(), nodes }
}

/// 2026-02-28T12:00:00Z.
const NOON: UnixMillis = UnixMillis::from_secs(1_772_280_000);

#[test]
fn a_call_takes_from_every_node_or_from_none() {
    let ask = ask(vec![
        node("acme", &[(Span::Day, 100)]),
        node("acme/research", &[(Span::Day, 10), (Span::Hour, 50)]),
    ]);
    let mut books = Memory::default();
    let barrier = books.take(&ask, &wanted(11), NOON).unwrap_err();
    let Barrier::Exceeded(exceeded) = barrier else { panic!("{barrier:?}") };
    assert_eq!((exceeded.node.as_str(), exceeded.kind), ("acme/research", LimitKind::Window(Span::Day)));
    assert_eq!(
        (exceeded.limit, exceeded.used, exceeded.asked),
        (Amount::new(10), Amount::ZERO, Amount::new(11))
    );
    assert_eq!(exceeded.resets.unwrap().to_string(), "2026-03-01T00:00:00.000Z");
    assert!(books.usages.is_empty());
    assert_eq!(books.take(&ask, &wanted(10), NOON).unwrap().taken.len(), 3, "control");
    assert!(books.usages.values().all(|usage| usage.used == Amount::new(10)));
}

#[test]
fn of_several_limits_that_are_reached_the_one_that_takes_longest_is_told() {
    let ask = ask(vec![
        node("a", &[(Span::Hour, 1)]),
        node("b", &[(Span::Month, 1)]),
        node("c", &[(Span::Day, 1)]),
    ]);
    let Err(Barrier::Exceeded(exceeded)) = Memory::default().take(&ask, &wanted(2), NOON) else { panic!() };
    assert_eq!(exceeded.node.as_str(), "b");
}

#[test]
fn f24_a_month_ends_once_and_a_clock_that_goes_back_opens_it_no_second_time() {
    let ask = ask(vec![node("acme", &[(Span::Month, 10)])]);
    let mut books = Memory::default();
    let end = UnixMillis::from_secs(1_772_323_200); // 2026-03-01T00:00:00Z
    books.take(&ask, &wanted(10), NOON).unwrap();
    assert!(books.take(&ask, &wanted(1), end.minus_millis(1)).is_err());
    books.take(&ask, &wanted(10), end).unwrap();
    assert!(books.take(&ask, &wanted(1), end).is_err());
    assert!(books.take(&ask, &wanted(1), end.minus_millis(1)).is_err(), "the clock went back over the edge");
    assert!(books.take(&ask, &wanted(1), end.plus_millis(1)).is_err(), "and forward again");
}

#[test]
fn f24_another_time_zone_renews_a_day_at_most_once() {
    let limits = |zone: &str| Ask {
        calendar: Calendar { zone: zone.parse().unwrap(), ..Calendar::default() },
        nodes: vec![node("acme", &[(Span::Day, 10)])],
    };
    let mut books = Memory::default();
    let evening = UnixMillis::from_secs(1_772_312_400); // 2026-02-28T21:00:00Z, the next day at +05:00
    books.take(&limits("UTC"), &wanted(10), evening).unwrap();
    books.take(&limits("+05:00"), &wanted(10), evening).unwrap();
    for zone in ["UTC", "+05:00", "-03:00"] {
        assert!(books.take(&limits(zone), &wanted(1), evening).is_err(), "{zone}");
    }
}

#[test]
fn a_session_lasts_until_a_pause_and_is_not_kept_alive_by_refusals() {
    let ask = ask(vec![node("acme", &[(Span::Session, 10)])]);
    let idle = ask.calendar.session_idle_ms;
    let mut books = Memory::default();
    books.take(&ask, &wanted(6), NOON).unwrap();
    let later = NOON.plus_millis(idle);
    let Err(Barrier::Exceeded(exceeded)) = books.take(&ask, &wanted(5), later) else { panic!() };
    assert_eq!(exceeded.resets, Some(later.plus_millis(1)));
    books.take(&ask, &wanted(5), later.plus_millis(1)).unwrap();
}

#[test]
fn a_void_gives_back_to_the_window_from_which_it_was_taken() {
    let ask = ask(vec![node("acme", &[(Span::Day, 10)])]);
    let mut books = Memory::default();
    let tomorrow = NOON.plus_millis(86_400_000);
    let taken = books.take(&ask, &wanted(10), NOON).unwrap();
    assert!(books.take(&ask, &wanted(1), NOON).is_err());
    books.void(&taken, &wanted(10), NOON);
    let again = books.take(&ask, &wanted(10), NOON).expect("control: it was given back");
    books.take(&ask, &wanted(7), tomorrow).unwrap();
    books.void(&again, &wanted(10), tomorrow);
    assert!(books.take(&ask, &wanted(4), tomorrow).is_err(), "yesterday's money is not today's");
    books.take(&ask, &wanted(3), tomorrow).unwrap();
}

#[test]
fn what_is_stopped_spends_nothing_from_then_on() {
    let ask = ask(vec![node("acme", &[]), node("acme/research", &[])]);
    let stop = || Stop { reason: String::new(), by: String::new(), at: NOON };
    let caller: Principal = "anonymous".parse().unwrap();
    for (target, holds) in [
        (Target::Everything, true),
        (Target::Node("acme".into()), true),
        (Target::Node("acme/research".into()), true),
        (Target::Caller(caller), true),
        (Target::Node("acme/sales".into()), false),
        (Target::Node("acme/res".into()), false),
    ] {
        let stops = BTreeMap::from([(target.clone(), stop())]);
        let mut books = Memory { stops, ..Memory::default() };
        let taken = books.take(&ask, &wanted(1), NOON);
        assert_eq!(taken.is_err(), holds, "{target}");
        if holds {
            assert_eq!(taken, Err(Barrier::Stopped(target)));
        }
    }
}

#[test]
fn the_lowest_limit_of_one_call_counts_and_its_edge_is_within() {
    let of = |path: &str, per_call: u128| Node { per_call: Some(Amount::new(per_call)), ..node(path, &[]) };
    let ask = ask(vec![of("a", 20), of("b", 10)]);
    let mut books = Memory::default();
    assert!(books.take(&ask, &wanted(10), NOON).is_ok());
    let Err(Barrier::Exceeded(exceeded)) = books.take(&ask, &wanted(11), NOON) else { panic!() };
    assert_eq!((exceeded.node.as_str(), exceeded.kind, exceeded.resets), ("b", LimitKind::Call, None));
}

#[test]
fn p21_a_call_above_the_threshold_passes_once_for_each_approval() {
    let ask =
        ask(vec![Node { approve_above: Some(Amount::new(100)), ..node("acme", &[(Span::Day, 1_000)]) }]);
    let mut books = Memory::default();
    assert!(books.take(&ask, &wanted(100), NOON).is_ok(), "control: not above");
    let needed = books.take(&ask, &wanted(101), NOON);
    assert!(matches!(needed, Err(Barrier::NeedsApproval { .. })), "{needed:?}");
    let expires = NOON.plus_millis(1_000);
    let asked = Approval::asked(ApprovalId::from_bytes([1; 16]), wanted(101), NOON, expires);
    let approve = ApprovalEvent::Approve { by: "eve".to_owned(), expires };
    books.keep(Vec::new(), Some(asked.apply(&approve, NOON).unwrap()));
    assert!(
        matches!(books.take(&ask, &wanted(102), NOON), Err(Barrier::NeedsApproval { .. })),
        "another amount"
    );
    let taken = books.take(&ask, &wanted(101), NOON).unwrap();
    assert!(matches!(books.take(&ask, &wanted(101), NOON), Err(Barrier::NeedsApproval { .. })), "used");
    books.void(&taken, &wanted(101), NOON);
    books.take(&ask, &wanted(101), NOON).expect("nothing was spent: it may be made once more");
    assert!(matches!(books.take(&ask, &wanted(101), NOON), Err(Barrier::NeedsApproval { .. })));
}

#[test]
fn nobody_is_asked_to_approve_what_would_be_refused_all_the_same() {
    let ask = ask(vec![Node { approve_above: Some(Amount::new(5)), ..node("acme", &[(Span::Day, 10)]) }]);
    let barrier = Memory::default().take(&ask, &wanted(11), NOON);
    assert!(matches!(barrier, Err(Barrier::Exceeded(_))), "{barrier:?}");
}

#[test]
fn a_soft_limit_warns_once_when_it_is_passed() {
    let counted = Counted { span: Span::Day, limit: None, warn: Some(Amount::new(10)) };
    let ask = ask(vec![Node { counted: vec![counted], ..node("acme", &[]) }]);
    let mut books = Memory::default();
    let mut warned = |units| match weigh(&mut books, &ask, &wanted(units), call(), NOON).unwrap() {
        Weighed::Within { usages, warnings, .. } => {
            books.usages.extend(usages);
            warnings.len()
        }
        Weighed::Barred(barrier) => panic!("{barrier:?}"),
    };
    assert_eq!([warned(9), warned(1), warned(50)], [0, 1, 0]);
}

#[test]
fn sums_that_do_not_fit_are_refused_not_wrapped() {
    let counted = Counted { span: Span::Day, limit: None, warn: Some(Amount::new(10)) };
    let ask = ask(vec![Node { counted: vec![counted], ..node("acme", &[]) }]);
    let mut books = Memory::default();
    books.take(&ask, &wanted(u128::MAX), NOON).unwrap();
    assert!(matches!(books.take(&ask, &wanted(1), NOON), Err(Barrier::Exceeded(_))));
}

/// The reference: every reservation with its moment, added up anew for each question.
#[derive(Default)]
struct Model {
    taken: Vec<(u64, u128, bool)>,
}

impl Model {
    fn used(&self, from: u64, to: u64) -> u128 {
        let counts = |(at, _, is_kept): &&(u64, u128, bool)| *is_kept && (from..to).contains(at);
        self.taken.iter().filter(counts).map(|(_, units, _)| units).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Spend(u128),
    Void(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u128..30).prop_map(Step::Spend),
        2 => any::<usize>().prop_map(Step::Void),
        2 => prop_oneof![0_u64..4_000_000, 0_u64..90_000_000, 0_u64..3_000_000_000].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// Over spends, voids and moving time, the decisions are those of a list that is added up from nothing each time.
    #[test]
    fn budgets_agree_with_a_list_that_is_added_up(steps in steps(), hour in 1_u128..60, day in 1_u128..100, month in 1_u128..300) {
        let ask = ask(vec![node("acme", &[(Span::Month, month)]), node("acme/research", &[(Span::Hour, hour), (Span::Day, day)])]);
        let (mut books, mut model, mut open) = (Memory::default(), Model::default(), Vec::new());
        let mut now = NOON;
        for step in steps {
            match step {
                Step::Wait(millis) => now = now.plus_millis(millis),
                Step::Spend(units) => {
                    let fits = [(Span::Hour, hour), (Span::Day, day), (Span::Month, month)].into_iter().all(|(span, limit)| {
                        let start = span.start(now, ask.calendar.zone);
                        let end = span.end(start, ask.calendar.zone).unwrap();
                        model.used(start.get(), end.get()) + units <= limit
                    });
                    let taken = books.take(&ask, &wanted(units), now);
                    prop_assert_eq!(taken.is_ok(), fits, "{} at {}", units, now);
                    if let Ok(reservation) = taken {
                        open.push((model.taken.len(), reservation, units));
                        model.taken.push((now.get(), units, true));
                    }
                }
                Step::Void(index) => {
                    if open.is_empty() { continue; }
                    let (place, reservation, units) = open.swap_remove(index % open.len());
                    model.taken[place].2 = false;
                    books.void(&reservation, &wanted(units), now);
                }
            }
        }
    }
}
