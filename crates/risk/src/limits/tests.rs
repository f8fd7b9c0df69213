use std::num::NonZeroU32;

use proptest::prelude::*;
use tollgate_domain::KeyId;

use super::*;
use crate::rate::Rate;

const START: UnixMillis = UnixMillis::from_secs(1_795_219_200);
const ALICE: Caller = Caller::ApiKey(KeyId::from_bytes([1; 16]));
const BOB: Caller = Caller::ApiKey(KeyId::from_bytes([2; 16]));

fn rule(name: &str, counts: Counts, scope: Scope, parts: &[Part], rate: &str) -> Rule {
    let per = Per::of(parts.iter().copied());
    let label = Label { name: name.to_owned(), rate: rate.to_owned(), per: per.to_string() };
    let rate = Rate::of(rate.parse().unwrap(), None);
    Rule { label: Arc::new(label), counts, scope, per, rate, shared: false }
}

fn calls(name: &str, scope: Scope, parts: &[Part], rate: &str) -> Rule {
    rule(name, Counts::Calls, scope, parts, rate)
}

fn limits_with(rules: Vec<Rule>, weights: Vec<Weights>) -> Limits {
    Limits::new(&Plan::new(rules, weights).unwrap(), NonZeroUsize::new(1_000).unwrap())
}

fn limits(rules: Vec<Rule>) -> Limits {
    limits_with(rules, vec![weights(&[], 1)])
}

fn weights(tools: &[(&str, u32)], others: u32) -> Weights {
    Weights {
        server: "up".parse().unwrap(),
        tools: tools.iter().map(|(tool, weight)| (tool.parse().unwrap(), heavy(*weight))).collect(),
        others: heavy(others),
    }
}

fn heavy(weight: u32) -> NonZeroU32 {
    NonZeroU32::new(weight).unwrap()
}

fn tool(name: &str) -> ToolRef {
    let (server, tool) = name.split_once('/').unwrap();
    ToolRef { server: server.parse().unwrap(), tool: tool.parse().unwrap() }
}

fn up() -> Scope {
    Scope::Server("up".parse().unwrap())
}

/// How many of 20 calls pass at once.
fn admitted(limits: &Limits, caller: Option<Caller>, origin: &str, name: &str) -> usize {
    let (origin, tool) = (Origin::named(origin), tool(name));
    let asking = Asking { caller: caller.as_ref(), origin: &origin, tool: &tool };
    (0..20).filter(|_| limits.take_call(asking, START).is_ok()).count()
}

#[test]
fn callers_are_told_apart_by_each_part_and_by_none() {
    let with = |parts: &[Part]| limits(vec![calls("it", Scope::Gateway, parts, "5/minute")]);
    let per_caller = with(&[Part::Caller]);
    assert_eq!(admitted(&per_caller, Some(ALICE), "192.0.2.1", "up/a"), 5);
    assert_eq!(admitted(&per_caller, Some(ALICE), "192.0.2.2", "up/b"), 0, "the same caller from elsewhere");
    assert_eq!(admitted(&per_caller, Some(BOB), "192.0.2.1", "up/a"), 5, "control");
    assert_eq!(admitted(&per_caller, None, "192.0.2.1", "up/a"), 5, "nobody: by address");
    assert_eq!(admitted(&per_caller, Some(Caller::Preimage([7; 32])), "192.0.2.1", "up/a"), 0);
    assert_eq!(admitted(&per_caller, None, "192.0.2.2", "up/a"), 5, "control");

    let per_both = with(&[Part::Caller, Part::Tool]);
    assert_eq!(admitted(&per_both, Some(ALICE), "192.0.2.1", "up/a"), 5);
    assert_eq!(admitted(&per_both, Some(ALICE), "192.0.2.1", "up/b"), 5);
    assert_eq!(admitted(&per_both, Some(BOB), "192.0.2.1", "up/a"), 5);
    assert_eq!(admitted(&per_both, Some(ALICE), "192.0.2.1", "up/a"), 0);

    let per_address = with(&[Part::Address]);
    assert_eq!(admitted(&per_address, Some(ALICE), "192.0.2.1", "up/a"), 5);
    assert_eq!(admitted(&per_address, Some(BOB), "192.0.2.1", "up/b"), 0);
    assert_eq!(admitted(&per_address, Some(ALICE), "192.0.2.2", "up/a"), 5);

    let per_server = with(&[Part::Server]);
    assert_eq!(admitted(&per_server, Some(ALICE), "192.0.2.1", "up/a"), 5);
    assert_eq!(admitted(&per_server, Some(BOB), "192.0.2.2", "up/b"), 0);
    assert_eq!(admitted(&per_server, Some(ALICE), "192.0.2.1", "down/a"), 5);

    let for_all = with(&[]);
    assert_eq!(admitted(&for_all, Some(ALICE), "192.0.2.1", "up/a"), 5);
    assert_eq!(admitted(&for_all, Some(BOB), "192.0.2.2", "down/b"), 0);
}

#[test]
fn a_scope_holds_for_its_own_calls_only() {
    let others = Scope::OtherTools("up".parse().unwrap());
    let limits = limits_with(
        vec![
            calls("server", up(), &[], "12/minute"),
            calls("tool", Scope::Tool(tool("up/named")), &[], "5/minute"),
            calls("others", others, &[Part::Tool], "3/minute"),
        ],
        vec![weights(&[("named", 1)], 1)],
    );
    assert_eq!(admitted(&limits, None, "192.0.2.1", "up/named"), 5);
    assert_eq!(admitted(&limits, None, "192.0.2.1", "up/a"), 3);
    assert_eq!(admitted(&limits, None, "192.0.2.1", "up/b"), 3, "each of the others has its own");
    assert_eq!(admitted(&limits, None, "192.0.2.1", "up/c"), 1, "twelve for the whole server");
    assert_eq!(admitted(&limits, None, "192.0.2.1", "down/named"), 20, "control: no limit of another server");
}

#[test]
fn a_refused_call_takes_nothing_from_any_other_limit() {
    let (wide, narrow) = (
        calls("wide", Scope::Gateway, &[], "6/minute"),
        calls("narrow", Scope::Gateway, &[Part::Caller], "2/minute"),
    );
    for rules in [vec![wide.clone(), narrow.clone()], vec![narrow, wide]] {
        let limits = limits(rules);
        assert_eq!(admitted(&limits, Some(ALICE), "192.0.2.1", "up/a"), 2, "18 more were refused");
        assert_eq!(
            admitted(&limits, Some(BOB), "192.0.2.1", "up/a"),
            2,
            "and took nothing of what all share"
        );
        assert_eq!(admitted(&limits, None, "192.0.2.1", "up/a"), 2);
        assert_eq!(admitted(&limits, None, "192.0.2.2", "up/a"), 0, "control: six were taken");
    }
}

#[test]
fn a_refusal_names_the_limit_that_takes_longest_and_says_when_all_have_room() {
    let limits = limits(vec![
        calls("quick", Scope::Gateway, &[], "1/second"),
        calls("slow", Scope::Gateway, &[], "1/minute"),
        calls("roomy", Scope::Gateway, &[], "100/second"),
    ]);
    let (origin, tool) = (Origin::named("192.0.2.1"), tool("up/a"));
    let asking = Asking { caller: None, origin: &origin, tool: &tool };
    assert!(limits.take_call(asking, START).is_ok());
    let limited = limits.take_call(asking, START).unwrap_err();
    assert_eq!((limited.limit.name.as_str(), limited.retry_after_ms), ("slow", 60_000));
    assert!(limits.take_call(asking, START.plus_millis(60_000)).is_ok(), "control: it keeps its word");
    let refused: Vec<u64> = limits.seen().map(|seen| seen.refused).collect();
    assert_eq!(refused, [0, 1, 0]);
}

#[test]
fn heavy_calls_count_several_times() {
    let limits = limits_with(
        vec![calls("it", Scope::Gateway, &[Part::Caller], "10/minute")],
        vec![weights(&[("heavy", 5), ("light", 1)], 2)],
    );
    assert_eq!(admitted(&limits, Some(ALICE), "192.0.2.1", "up/heavy"), 2);
    assert_eq!(admitted(&limits, Some(BOB), "192.0.2.1", "up/light"), 10);
    assert_eq!(admitted(&limits, None, "192.0.2.1", "up/other"), 5);
    assert_eq!(admitted(&limits, None, "192.0.2.2", "down/heavy"), 10, "control: another server's tool");
}

#[test]
fn a_call_that_could_never_pass_is_no_plan() {
    let rules = || {
        vec![
            calls("narrow", up(), &[], "4/minute"),
            calls("elsewhere", Scope::Server("down".parse().unwrap()), &[], "1/minute"),
            rule("offers", Counts::Offers, up(), &[], "1/minute"),
        ]
    };
    assert!(Plan::new(rules(), vec![weights(&[("a", 4)], 1)]).is_ok(), "control");
    let heavy = Plan::new(rules(), vec![weights(&[("a", 5)], 6)]).unwrap_err();
    let named: Vec<_> =
        heavy.iter().map(|heavy| (heavy.tool.as_ref().map(ToolName::as_str), heavy.weight)).collect();
    assert_eq!(named, [(Some("a"), 5), (None, 6)]);
    assert!(heavy.iter().all(|heavy| heavy.limit == "narrow" && heavy.burst == 4));
}

#[test]
fn what_is_foreseen_takes_nothing_and_needs_no_caller() {
    let limits = limits(vec![
        calls("address", Scope::Gateway, &[Part::Address], "2/minute"),
        calls("caller", Scope::Gateway, &[Part::Caller], "1/minute"),
    ]);
    let (origin, tool) = (Origin::named("192.0.2.1"), tool("up/a"));
    let asking = |caller| Asking { caller, origin: &origin, tool: &tool };
    for _ in 0..10 {
        assert_eq!(limits.foresee_call(asking(None), START), Ok(()));
    }
    assert!(limits.take_call(asking(Some(&ALICE)), START).is_ok());
    assert_eq!(limits.foresee_call(asking(None), START), Ok(()), "who calls is not known yet");
    assert_eq!(limits.take_call(asking(Some(&ALICE)), START).unwrap_err().limit.name, "caller");
    assert!(limits.take_call(asking(Some(&BOB)), START).is_ok());
    assert_eq!(limits.foresee_call(asking(None), START).unwrap_err().limit.name, "address");
}

#[test]
fn calls_demands_and_requests_are_counted_apart() {
    let limits = limits(vec![
        calls("calls", Scope::Gateway, &[], "1/minute"),
        rule("offers", Counts::Offers, Scope::Gateway, &[], "2/minute"),
        rule("requests", Counts::Requests, Scope::Gateway, &[Part::Address], "3/minute"),
        rule("door", Counts::Requests, up(), &[], "2/minute"),
    ]);
    let (origin, tool, server) = (Origin::named("192.0.2.1"), tool("up/a"), "up".parse().unwrap());
    let asking = Asking { caller: None, origin: &origin, tool: &tool };
    let passed = |one: &dyn Fn() -> Result<(), Limited>| (0..9).filter(|_| one().is_ok()).count();
    assert_eq!(passed(&|| limits.take_call(asking, START).map(drop)), 1);
    assert_eq!(passed(&|| limits.take_offer(asking, START)), 2);
    assert_eq!(
        passed(&|| limits.take_request(Entrance::Own(&server), &origin, START)),
        2,
        "the server's own door"
    );
    assert_eq!(
        passed(&|| limits.take_request(Entrance::Shared, &origin, START)),
        1,
        "which took from the address as well"
    );
    assert_eq!(
        passed(&|| limits.take_request(Entrance::Shared, &Origin::named("192.0.2.2"), START)),
        3,
        "control"
    );
    let behind = |now| limits.take_request(Entrance::Behind(&server), &origin, now);
    assert_eq!(behind(START).unwrap_err().limit.name, "door", "the server's own limit counts there too");
    let later = START.plus_millis(30_000);
    assert_eq!(behind(later), Ok(()), "control");
    assert!(limits.counts_requests(Entrance::Shared) && limits.counts_requests(Entrance::Behind(&server)));
    let other = "down".parse().unwrap();
    assert!(
        !limits.counts_requests(Entrance::Behind(&other)) && limits.counts_requests(Entrance::Own(&other))
    );
}

#[test]
fn p20_a_flood_of_addresses_is_bounded_in_every_limit_it_meets_and_spares_known_callers() {
    let limits = limits(vec![
        calls("caller", Scope::Gateway, &[Part::Caller], "5/minute"),
        calls("both", Scope::Gateway, &[Part::Address, Part::Tool], "5/minute"),
    ]);
    let tool = tool("up/a");
    let mut served = 0;
    for stranger in 0..30_000u32 {
        let origin = Origin::of(std::net::Ipv4Addr::from_bits(stranger).into());
        served += usize::from(
            limits.take_call(Asking { caller: None, origin: &origin, tool: &tool }, START).is_ok(),
        );
    }
    assert!(served >= 1_000, "control: strangers are served while there is room");
    for seen in limits.seen() {
        assert!(seen.keys_max < 1_100 && seen.keys <= seen.keys_max, "{}", seen.label.name);
        assert!(seen.keys > 900, "control: the flood did fill {}", seen.label.name);
    }
    let later = START.plus_millis(60_000);
    let origin = Origin::named("198.51.100.1");
    assert_eq!(
        limits.take_call(Asking { caller: Some(&ALICE), origin: &origin, tool: &tool }, later).map(drop),
        Ok(())
    );
}

#[test]
fn calls_held_by_several_limits_never_wait_for_each_other_for_good() {
    let rules = |names: [&str; 3]| {
        let parts: [&[Part]; 3] = [&[], &[Part::Caller], &[Part::Address]];
        names
            .into_iter()
            .zip(parts)
            .map(|(name, parts)| calls(name, Scope::Gateway, parts, "900/hour"))
            .collect()
    };
    let limits = limits(rules(["all", "caller", "address"]));
    let tool = tool("up/a");
    let admitted: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8u8)
            .map(|worker| {
                let (limits, tool) = (&limits, &tool);
                scope.spawn(move || {
                    let caller = Caller::Wallet([worker % 3; 20]);
                    let origin = Origin::of([192, 0, 2, worker % 2].into());
                    let asking = Asking { caller: Some(&caller), origin: &origin, tool };
                    (0..500).filter(|_| limits.take_call(asking, START).is_ok()).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(admitted, 900, "exactly what all may have together");
}

#[test]
fn a_rule_that_stays_keeps_its_buckets_and_a_changed_one_starts_afresh() {
    let (kept, gone) = (
        calls("kept", Scope::Gateway, &[Part::Caller], "6/minute"),
        calls("gone", Scope::Gateway, &[Part::Address], "5/minute"),
    );
    let before = limits(vec![kept.clone(), gone.clone()]);
    assert_eq!(admitted(&before, Some(ALICE), "192.0.2.1", "up/a"), 5);
    let follow = |rules: Vec<Rule>| {
        before
            .followed_by(&Plan::new(rules, vec![weights(&[], 1)]).unwrap(), NonZeroUsize::new(1_000).unwrap())
    };
    let same = follow(vec![gone, kept.clone()]);
    assert_eq!(admitted(&same, Some(ALICE), "192.0.2.1", "up/a"), 0, "in whatever order");
    let wider = follow(vec![calls("gone", Scope::Gateway, &[Part::Address], "7/minute"), kept]);
    assert_eq!(admitted(&wider, Some(ALICE), "192.0.2.1", "up/a"), 1, "the sixth of the limit that stays");
    assert_eq!(admitted(&before, Some(ALICE), "192.0.2.2", "up/a"), 0, "which the old limits see as well");
    assert_eq!(admitted(&wider, Some(BOB), "192.0.2.1", "up/a"), 6, "control: seven by the new rate");
}

#[test]
fn calls_under_old_and_new_limits_never_wait_for_each_other_for_good() {
    let rule = |name: &str| calls(name, Scope::Gateway, &[], "900/hour");
    let old = limits(vec![rule("a"), rule("b")]);
    let new = old.followed_by(
        &Plan::new(vec![rule("c"), rule("b"), rule("a")], vec![]).unwrap(),
        NonZeroUsize::new(1_000).unwrap(),
    );
    let admitted: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = [&old, &new, &old, &new]
            .map(|limits| {
                scope.spawn(move || {
                    (0..50).map(|_| admitted(limits, Some(ALICE), "192.0.2.1", "up/a")).sum::<usize>()
                })
            })
            .into_iter()
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(admitted, 900, "together as many as one of them admits");
}

proptest! {
    /// Against a naive model that counts units in exact parts and looks at every limit before it takes from any.
    #[test]
    fn several_limits_agree_with_a_naive_model(
        first in 1u32..12,
        second in 1u32..12,
        steps in proptest::collection::vec((0u64..20_000, 0usize..3, 0usize..2), 1..120),
    ) {
        let names = [format!("{first}/minute"), format!("{second}/hour")];
        let limits = limits(vec![
            calls("address", Scope::Gateway, &[Part::Address], &names[0]),
            calls("tool", Scope::Gateway, &[Part::Tool], &names[1]),
        ]);
        // One unit is as many parts as the period has milliseconds; a millisecond brings `refill` parts.
        let model = [(60_000u64, u64::from(first)), (3_600_000, u64::from(second))];
        let full = |limit: usize| model[limit].0 * model[limit].1;
        let mut levels = [[full(0); 3], [full(1); 3]];
        let (mut now, mut passed) = (START, [0u64; 2]);
        for (pause, address, name) in steps {
            now = now.plus_millis(pause);
            for (limit, of_keys) in levels.iter_mut().enumerate() {
                for level in of_keys.iter_mut() {
                    *level = full(limit).min(*level + pause * model[limit].1);
                }
            }
            let origin = Origin::named(["192.0.2.1", "192.0.2.2", "192.0.2.3"][address]);
            let tool = tool(["up/a", "up/b"][name]);
            let mine = levels[0][address] >= model[0].0 && levels[1][name] >= model[1].0;
            let theirs = limits.take_call(Asking { caller: None, origin: &origin, tool: &tool }, now).is_ok();
            // A unit's time is rounded up to whole nanoseconds: at the very edge the limit may be later by less than one
            // millisecond, never earlier.
            let edge = [0, 1].map(|limit| levels[limit][[address, name][limit]].abs_diff(model[limit].0));
            let is_close = edge.iter().zip(&model).any(|(edge, (_, refill))| *edge < *refill);
            prop_assert!(theirs == mine || (mine && is_close), "{theirs} is not {mine}");
            if theirs {
                levels[0][address] -= model[0].0;
                levels[1][name] -= model[1].0;
                passed[name] += 1;
            }
        }
        let span = now.millis_since(START);
        for passed in passed {
            prop_assert!(passed <= u64::from(second) + span * u64::from(second) / 3_600_000);
        }
    }
}
