//! Clocks that jump, are wrong, or go back: the gateway's, and its payers'.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tollgate_rails::x402::sign_payment;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::escrow::{Party, until_state};
use crate::world::{
    Demand, PRICE, PRICED, START, World, call, code, delivered, now, rand_32, soon, statement,
};

const HOUR_MS: u64 = 3_600_000;
/// A clock that is put back empties the buckets of those that it knows: here they have a call again at once.
const LIMITS: &str = "limits: { calls_per_minute: 1000000, offers_per_minute: 1000000 }\n";

/// A world whose gateway's clock can be set: how many milliseconds it is ahead stands in the file.
async fn with_clock(script: Script, policies: &[(&str, &str)]) -> (World, impl Fn(u64)) {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let set = {
        let clock = clock.clone();
        move |ahead_ms: u64| write(&clock, ahead_ms)
    };
    set(2 * HOUR_MS);
    let environment = [("TOLLGATE_CLOCK_AHEAD", clock.to_str().unwrap())];
    let world = World::in_folder(folder, script, policies, LIMITS, &environment).await;
    (world, set)
}

/// Whole or not at all: the gateway may read at any moment.
fn write(clock: &Path, ahead_ms: u64) {
    let draft = clock.with_extension("draft");
    std::fs::write(&draft, ahead_ms.to_string()).unwrap();
    std::fs::rename(&draft, clock).unwrap();
}

/// A payment of the world's payer, whose clock is so far ahead of the machine's.
fn payment_at(world: &World, demand: &Demand, ahead_ms: u64) -> Value {
    let (entry, resource) = (demand.entry().to_string(), demand.required["resource"].to_string());
    let at = now().plus_millis(ahead_ms);
    let signed = sign_payment(&entry, Some(&resource), &world.payer(), rand_32(), at);
    json!({ "x402/payment": serde_json::from_str::<Value>(&signed.unwrap()).unwrap() })
}

/// The first answer that is not put off by a limit: see [`LIMITS`].
async fn admitted(call: impl AsyncFn() -> Answer) -> Answer {
    soon(async {
        loop {
            let answer = call().await;
            if !answer.text().contains("rate_limited") {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn clock_steps(world: &World) -> u64 {
    let page = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    let count = page.lines().find_map(|line| line.strip_prefix("tollgate_clock_steps_total "));
    count.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_a_clock_that_jumps_by_an_hour_ends_no_call_and_no_escrow_early_and_burns_no_payment() {
    let script = Script::echo().tool("slow", Behaviour::Hang);
    let policies = [("echo", PRICED), ("slow", "{ price: [0.01USDC], deadline_ms: 600000 }")];
    let (world, set) = with_clock(script, &policies).await;
    let [payer, provider] =
        [Party::new(&world.gateway, Some("5USDC")).await, Party::new(&world.gateway, None).await];
    let [locked, done] = [payer.open(&provider, &json!({})).await, payer.open(&provider, &json!({})).await];
    for id in [&locked, &done] {
        payer.step(id, "fund", &json!({})).await.done();
        payer.step(id, "lock", &json!({})).await.done();
    }
    let demand = world.demand("slow", &json!({})).await;
    let running = {
        let (url, meta) = (world.gateway.mcp(), payment_at(&world, &demand, 2 * HOUR_MS));
        tokio::spawn(async move { call(&url, "slow", &json!({}), &meta, &[]).await })
    };
    soon(world.journal.wait_for_executions(1)).await;
    let unused = payment_at(&world, &world.demand("echo", &json!({ "n": 1 })).await, 2 * HOUR_MS);
    assert_eq!(clock_steps(&world).await, 0);

    set(3 * HOUR_MS);
    assert_eq!(clock_steps(&world).await, 1, "operators see it");
    // What was promised until a moment is judged by the clock, and not burned.
    let late = world.call_with("echo", &json!({ "n": 1 }), &unused).await;
    assert_eq!(code(&late), "payment_expired", "{}", late.text());
    let fresh = payment_at(&world, &world.demand("echo", &json!({ "n": 2 })).await, 3 * HOUR_MS);
    delivered(&world.call_with("echo", &json!({ "n": 2 }), &fresh).await);
    // Who works has its whole time: it delivers in spite of the clock, and is paid.
    provider.step(&done, "complete", &json!({})).await.done();
    payer.step(&done, "accept", &json!({})).await.done();
    // A later escrow whose time really passes ends by itself; the one that was jumped over does not.
    let brief = payer.open(&provider, &json!({ "timeout_seconds": 1 })).await;
    payer.step(&brief, "fund", &json!({})).await.done();
    payer.step(&brief, "lock", &json!({})).await.done();
    until_state(&payer, &brief, "refunded").await;
    until_state(&payer, &locked, "locked").await;

    set(2 * HOUR_MS);
    assert_eq!(clock_steps(&world).await, 2);
    delivered(&admitted(async || world.call_with("echo", &json!({ "n": 1 }), &unused).await).await);
    world.journal.release();
    delivered(&soon(running).await.unwrap());
    assert_eq!(world.payer_balance().await, START - 3 * PRICE);
    for (party, step) in [(&provider, "complete"), (&payer, "accept")] {
        soon(async {
            // Put off by a limit: nothing was done.
            while party.step(&locked, step, &json!({})).await.status == 429 {}
        })
        .await;
    }
    until_state(&payer, &locked, "released").await;
    world.gateway.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_a_restart_after_the_clock_was_set_ahead_ends_no_escrow_early() {
    let (mut world, set) = with_clock(Script::echo(), &[("echo", PRICED)]).await;
    let [payer, provider] =
        [Party::new(&world.gateway, Some("5USDC")).await, Party::new(&world.gateway, None).await];
    let locked = payer.open(&provider, &json!({})).await;
    payer.step(&locked, "fund", &json!({})).await.done();
    payer.step(&locked, "lock", &json!({})).await.done();
    set(3 * HOUR_MS);
    assert_eq!(clock_steps(&world).await, 1);
    let clock = world.folder.path().join("clock");
    let environment = [("TOLLGATE_CLOCK_AHEAD", clock.to_str().unwrap())];
    world.gateway.kill();
    world.gateway = world.gateway.started_with(&environment).await;
    // Whoever works has its whole time, and those whose time really passes have not.
    let brief = payer.open(&provider, &json!({ "timeout_seconds": 1 })).await;
    payer.step(&brief, "fund", &json!({})).await.done();
    payer.step(&brief, "lock", &json!({})).await.done();
    until_state(&payer, &brief, "refunded").await;
    provider.step(&locked, "complete", &json!({})).await.done();
    payer.step(&locked, "accept", &json!({})).await.done();
    until_state(&payer, &locked, "released").await;
    world.gateway.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_however_many_deadlines_are_held_those_that_have_passed_pass() {
    /// More than are told at once.
    const HELD: usize = 130;
    let (world, set) = with_clock(Script::echo(), &[("echo", PRICED)]).await;
    let [payer, provider] =
        [Party::new(&world.gateway, Some("200USDC")).await, Party::new(&world.gateway, None).await];
    let locked = async |timeout: u64| {
        let id = payer.open(&provider, &json!({ "timeout_seconds": timeout })).await;
        payer.step(&id, "fund", &json!({})).await.done();
        payer.step(&id, "lock", &json!({})).await.done();
        id
    };
    let mut held = Vec::new();
    for _ in 0..HELD {
        held.push(locked(600).await);
    }
    set(3 * HOUR_MS);
    assert_eq!(clock_steps(&world).await, 1);
    let brief = locked(1).await;
    until_state(&payer, &brief, "refunded").await;
    for id in [&held[0], &held[HELD - 1]] {
        until_state(&payer, id, "locked").await;
    }
    world.gateway.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_whose_time_is_over_brings_its_answer_and_while_it_is_open_no_new_demand() {
    let script = Script::echo().tool("slow", Behaviour::Hang);
    let policies = [("echo", PRICED), ("slow", "{ price: [0.01USDC], deadline_ms: 600000 }")];
    let (world, set) = with_clock(script, &policies).await;
    let (arguments, nothing) = (json!({ "n": 1 }), json!({}));
    let paid = payment_at(&world, &world.demand("echo", &arguments).await, 2 * HOUR_MS);
    let first = delivered(&world.call_with("echo", &arguments, &paid).await);
    let open = payment_at(&world, &world.demand("slow", &nothing).await, 2 * HOUR_MS);
    let running = {
        let (url, meta) = (world.gateway.mcp(), open.clone());
        tokio::spawn(async move { call(&url, "slow", &json!({}), &meta, &[]).await })
    };
    soon(world.journal.wait_for_executions(2)).await;

    set(3 * HOUR_MS);
    // Whoever lost the answer has it again, and does not pay twice for it.
    let again = delivered(&world.call_with("echo", &arguments, &paid).await);
    assert_eq!(statement(&again)["receipt_id"], statement(&first)["receipt_id"]);
    let meanwhile = world.call_with("slow", &nothing, &open).await;
    assert_eq!((meanwhile.status.as_u16(), code(&meanwhile).as_str()), (409, "payment_in_flight"));
    assert!(!meanwhile.text().contains("accepts"), "no demand to pay anew: {}", meanwhile.text());
    // Control: for another request, and once it has come to nothing, it is too old.
    let other = world.call_with("echo", &json!({ "n": 2 }), &paid).await;
    assert_eq!(code(&other), "payment_expired", "{}", other.text());
    world.journal.release();
    let ended = soon(running).await.unwrap();
    assert_eq!(
        code(&ended),
        "payment_failed",
        "a signature that has run out moves nothing: {}",
        ended.text()
    );
    let again = world.call_with("slow", &nothing, &open).await;
    assert_eq!(code(&again), "payment_expired", "{}", again.text());
    Demand::read(&again);
    assert_eq!((world.journal.executions(), world.payer_balance().await), (2, START - PRICE));
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f23_a_payer_whose_clock_is_five_minutes_off_pays_or_is_told_why_not() {
    let world = World::paid_echo().await;
    let ahead = payment_at(&world, &world.demand("echo", &json!({ "n": 1 })).await, 300_000);
    delivered(&world.call_with("echo", &json!({ "n": 1 }), &ahead).await);

    let (arguments, behind_ms) = (json!({ "n": 2 }), 300_000);
    let demand = world.demand("echo", &arguments).await;
    let (entry, resource) = (demand.entry().to_string(), demand.required["resource"].to_string());
    let at = tollgate_domain::UnixMillis::new(now().get() - behind_ms);
    let signed = sign_payment(&entry, Some(&resource), &world.payer(), rand_32(), at).unwrap();
    let behind = json!({ "x402/payment": serde_json::from_str::<Value>(&signed).unwrap() });
    let refused = world.call_with("echo", &arguments, &behind).await;
    assert_eq!(code(&refused), "payment_expired", "{}", refused.text());
    // It says until when the payment was good: whoever compares it with the own clock finds the fault.
    let good_until: u64 =
        behind["x402/payment"]["payload"]["authorization"]["validBefore"].as_str().unwrap().parse().unwrap();
    let moment = tollgate_domain::UnixMillis::from_secs(good_until).to_string();
    assert!(refused.text().contains(&moment), "{moment}: {}", refused.text());
    assert_eq!(world.payer_balance().await, START - PRICE, "nothing is charged");

    let right = payment_at(&world, &demand, 0);
    delivered(&world.call_with("echo", &arguments, &right).await);
    assert_eq!(world.payer_balance().await, START - 2 * PRICE, "control: the right time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f25_a_clock_that_goes_back_gives_no_id_twice_and_the_books_keep_their_order() {
    let (world, set) = with_clock(Script::echo(), &[("echo", PRICED)]).await;
    let (mut receipts, mut places) = (BTreeSet::new(), Vec::new());
    for n in 0..24_u64 {
        // Back by a second before every other call.
        set(2 * HOUR_MS - n / 2 * 1_000);
        let arguments = json!({ "n": n });
        let demand = Demand::read(&admitted(async || world.call("echo", &arguments).await).await);
        let meta = payment_at(&world, &demand, 2 * HOUR_MS - n / 2 * 1_000);
        let paid = admitted(async || world.call_with("echo", &arguments, &meta).await).await;
        let receipt = statement(&delivered(&paid));
        places.push(receipt["seq"].as_u64().unwrap_or_else(|| panic!("{receipt}")));
        for id in ["receipt_id", "call_id"] {
            assert!(receipts.insert(receipt[id].as_str().unwrap().to_owned()), "{id} is there twice");
        }
    }
    assert!(
        places.windows(2).all(|pair| pair[0] < pair[1]),
        "the chain's order is that of the calls: {places:?}"
    );
    assert_eq!(world.journal.executions(), 24);
    world.gateway.assert_books_in_order();
}
