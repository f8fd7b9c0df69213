use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};

use tollgate_domain::{Caller, KeyId, Origin, ToolRef};

use super::*;
use crate::limits::{Asking, Limits};
use crate::plan::Plan;
use crate::rate::{Rate, millis_ceil, nanos};
use crate::rule::{Counts, Label, Per, Scope};

const START: UnixMillis = UnixMillis::from_secs(1_795_219_200);
const ALICE: Caller = Caller::ApiKey(KeyId::from_bytes([1; 16]));
const BOB: Caller = Caller::ApiKey(KeyId::from_bytes([2; 16]));

/// What counts for all gateways.
#[derive(Default)]
struct All {
    full_at: HashMap<Digest, u128>,
    asked: usize,
}

impl All {
    fn take(&mut self, asks: &[Ask], now: UnixMillis) -> Result<(), Crowded> {
        self.asked += 1;
        let now = nanos(now.get());
        let after = |all: &Self, ask: &Ask| {
            all.full_at.get(&ask.key).map_or(now, |at| *at.max(&now)) + ask.cost_nanos
        };
        for (place, ask) in asks.iter().enumerate() {
            if after(self, ask) > now + ask.full_nanos {
                return Err(Crowded { place, wait_ms: millis_ceil(after(self, ask) - now - ask.full_nanos) });
            }
        }
        for ask in asks {
            let after = after(self, ask);
            self.full_at.insert(ask.key, after);
        }
        Ok(())
    }
}

fn rule(name: &str, parts: &[Part], rate: &str, shared: bool) -> Rule {
    let per = Per::of(parts.iter().copied());
    let label = Label { name: name.to_owned(), rate: rate.to_owned(), per: per.to_string() };
    let rate = Rate::of(rate.parse().unwrap(), NonZeroU32::new(4));
    Rule { label: Arc::new(label), counts: Counts::Calls, scope: Scope::Gateway, per, rate, shared }
}

fn gateway(rules: &[Rule]) -> Limits {
    Limits::new(&Plan::new(rules.to_vec(), Vec::new()).unwrap(), NonZeroUsize::new(1_000).unwrap())
}

fn call(gateway: &Limits, all: &mut All, caller: &Caller, now: UnixMillis) -> Result<(), Limited> {
    let (origin, tool) = (Origin::named("192.0.2.1"), tool());
    let asking = Asking { caller: Some(caller), origin: &origin, tool: &tool };
    let Some(shared) = gateway.take_call(asking, now)? else { return Ok(()) };
    all.take(shared.asks(), now).map_err(|crowded| shared.refused(crowded, now))
}

fn tool() -> ToolRef {
    ToolRef { server: "up".parse().unwrap(), tool: "echo".parse().unwrap() }
}

#[test]
fn two_gateways_admit_what_one_would_and_remember_a_refusal() {
    let rules = [rule("all of them", &[], "1/second", true)];
    let (one, other, mut all) = (gateway(&rules), gateway(&rules), All::default());
    for gateway in [&one, &other, &other, &one] {
        assert_eq!(call(gateway, &mut all, &ALICE, START), Ok(()));
    }
    let refused = call(&one, &mut all, &BOB, START).unwrap_err();
    assert_eq!((refused.retry_after_ms, refused.limit.name.as_str()), (1_000, "all of them"));
    let asked = all.asked;
    assert_eq!(call(&one, &mut all, &ALICE, START).unwrap_err().retry_after_ms, 1_000);
    assert_eq!(all.asked, asked, "who was told that there is no room does not ask again");
    assert!(call(&other, &mut all, &ALICE, START).is_err());
    let later = START.plus_millis(1_000);
    assert_eq!(call(&one, &mut all, &BOB, later), Ok(()), "it keeps its word");
    assert!(call(&other, &mut all, &BOB, later).is_err(), "and it was one");
}

#[test]
fn a_call_that_all_together_refuse_takes_nothing_here_either() {
    let rules = [rule("own", &[Part::Caller], "1/hour", false), rule("shared", &[], "1/second", true)];
    let (one, other, mut all) = (gateway(&rules), gateway(&rules), All::default());
    (0..4).for_each(|_| assert_eq!(call(&other, &mut all, &BOB, START), Ok(())));
    for _ in 0..8 {
        assert_eq!(call(&one, &mut all, &ALICE, START).unwrap_err().limit.name, "shared");
    }
    let later = START.plus_millis(4_000);
    (0..4).for_each(|_| assert_eq!(call(&one, &mut all, &ALICE, later), Ok(())));
    let again = later.plus_millis(4_000);
    assert_eq!(call(&one, &mut all, &ALICE, again).unwrap_err().limit.name, "own", "control: it counts");
}

#[test]
fn a_bucket_is_named_alike_everywhere_and_by_all_that_tells_callers_apart() {
    let named = |name: &str, parts: &[Part], caller: &Caller, origin: &str, tool: &str| {
        let gateway = gateway(&[rule(name, parts, "1/second", true)]);
        let (server, tool) = tool.split_once('/').unwrap();
        let tool = ToolRef { server: server.parse().unwrap(), tool: tool.parse().unwrap() };
        let asking = Asking { caller: Some(caller), origin: &Origin::named(origin), tool: &tool };
        gateway.take_call(asking, START).unwrap().unwrap().asks()[0].key
    };
    let every = [Part::Caller, Part::Address, Part::Tool, Part::Server];
    let first = named("a", &every, &ALICE, "192.0.2.1", "s/t");
    assert_eq!(named("a", &every, &ALICE, "192.0.2.1", "s/t"), first);
    let others = [
        named("b", &every, &ALICE, "192.0.2.1", "s/t"),
        named("a", &every[1..], &ALICE, "192.0.2.1", "s/t"),
        named("a", &every, &BOB, "192.0.2.1", "s/t"),
        named("a", &every, &ALICE, "192.0.2.2", "s/t"),
        named("a", &every, &ALICE, "192.0.2.1", "s/u"),
        named("a", &every, &ALICE, "192.0.2.1", "r/t"),
    ];
    assert!(others.iter().all(|other| *other != first));
    assert_eq!(
        named("a", &[], &ALICE, "192.0.2.1", "s/t"),
        named("a", &[], &BOB, "192.0.2.2", "r/u"),
        "per all"
    );
}
