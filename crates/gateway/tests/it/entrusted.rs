//! `settle: escrow`: the money moves, the tool runs, and what it delivers puts the money into an escrow, where it waits for whoever
//! called.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::anvil::PAYER;

use crate::escrow::{Party, until_state};
use crate::on_chain::{FUNDS, OnChain, transfer};
use crate::paid_calls::api_key;
use crate::world::{
    Demand, Gateway, PRICE, START, World, call, call_body, code, delivered, modern_headers, statement,
};

const ESCROW: &str = "{ price: [0.01USDC, 10sat], settle: escrow }";
const UNPINNED: &str = "    pins: { drift: off, findings: off }\n";
/// No stake: what is disputed here is about the price alone.
const NO_STAKE: &str = "escrow: { dispute_stake: \"0\" }\n";

async fn world(script: Script, failpoint: &str) -> World {
    let armed = [("TOLLGATE_FAILPOINT", failpoint)];
    let settings = format!("{UNPINNED}{NO_STAKE}");
    World::with(script, &[("echo", ESCROW)], &settings, &armed).await
}

async fn ask(gateway: &Gateway, party: &Party, arguments: &Value, meta: &Value) -> Answer {
    let bearer = party.bearer();
    call(&gateway.mcp(), "echo", arguments, meta, &[("authorization", &bearer)]).await
}

/// The `_meta` that pays for a call of this party.
async fn payment(world: &World, party: &Party, rail: &str, arguments: &Value) -> Value {
    let demand = || async { Demand::read(&ask(&world.gateway, party, arguments, &json!({})).await) };
    match rail {
        "credit" => json!({}),
        "x402" => json!({ "x402/payment": demand().await.sign(&world.payer()) }),
        _ => {
            let challenge = demand().await.l402;
            let preimage = world.pay_invoice(challenge["invoice"].as_str().unwrap()).await;
            json!({ "l402/authorization": format!("{}:{preimage}", challenge["macaroon"].as_str().unwrap()) })
        }
    }
}

fn escrow_of(result: &Value) -> String {
    let told = &result["_meta"]["tollgate/escrow"];
    assert_eq!(told["state"], "delivered", "{result}");
    assert_eq!(statement(result)["escrow_id"], told["escrow_id"], "the receipt names it");
    told["escrow_id"].as_str().unwrap().to_owned()
}

/// A receipt says that this moved in this escrow, and `tollgate receipt verify` finds that offline.
fn verified(world: &World, envelope: &Value, escrow: &str, movements: &[(&str, &str, u128)]) {
    let file = world.folder.path().join("receipt.json");
    std::fs::write(&file, envelope.to_string()).unwrap();
    let done = world.gateway.cli(&["receipt", "verify", "receipt.json", "--json"]);
    assert!(done.status.success(), "{} {envelope}", String::from_utf8_lossy(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&said["kind"], &said["escrow_id"]), (&json!("escrow"), &json!(escrow)), "{said}");
    let moved = |(from, to, units): &(&str, &str, u128)| json!({ "from": from, "to": to, "amount": units.to_string() });
    let expected: Vec<Value> = movements.iter().map(moved).collect();
    assert_eq!(said["movements"], json!(expected), "{said}");
    assert_eq!(said["mode"], "sandbox");
    // Another amount is another text: it does not verify.
    let payload =
        String::from_utf8(crate::world::base64_decode(envelope["payload"].as_str().unwrap())).unwrap();
    let (_, _, units) = movements[0];
    let mut edited = envelope.clone();
    let other = payload.replace(&format!("\"{units}\""), &format!("\"{}\"", units + 1));
    edited["payload"] = json!(crate::world::base64_encode(other.as_bytes()));
    std::fs::write(&file, edited.to_string()).unwrap();
    assert!(!world.gateway.cli(&["receipt", "verify", "receipt.json"]).status.success());
}

/// The receipt of the last event of an escrow, found by whoever has a part in it.
async fn last_receipt(world: &World, party: &Party, id: &str) -> Value {
    let seen = party.ask(Method::GET, &format!("/{id}"), &Value::Null, &[]).await.done();
    let last = seen["events"].as_array().unwrap().last().unwrap().clone();
    let receipt = last["receipt_id"].as_str().unwrap_or_else(|| panic!("{last}"));
    let url = format!("{}/api/v1/receipts/{receipt}", world.gateway.url);
    tollgate_testkit::http::get(&url, &[]).await.unwrap().json().unwrap()
}

/// Whether a call was charged, how much of its price is kept, and what went back.
async fn charged(world: &World, call: &str) -> (Value, Value, Value) {
    let url = format!("{}/api/v1/calls/{call}", world.gateway.url);
    let mut told: Value = tollgate_testkit::http::get(&url, &[]).await.unwrap().json().unwrap();
    (told["charged"].take(), told["amount_charged"].take(), told["refund"].take())
}

/// What a key has spent today, and how much of its budget for the day is used.
async fn spent(party: &Party) -> [Value; 2] {
    let place = format!("/api/v1/payments/spending/{}", party.id);
    let told = party.send(Method::GET, &place, &Value::Null, &[]).await.done();
    let usdc = told["spending"].as_array().unwrap().iter().find(|of| of["symbol"] == "USDC").unwrap();
    let windows = usdc["limits"]["windows"].as_array().unwrap();
    let day = windows.iter().find(|window| window["window"] == "day").unwrap();
    [usdc["today"].clone(), day["used"].clone()]
}

/// Nothing is left on the way, and the books are in order.
fn assert_nothing_unearned(gateway: &Gateway) {
    let [debits, credits, debits_pending, credits_pending] = gateway.account("unearned:up");
    assert_eq!((debits, debits_pending, credits_pending), (credits, 0, 0));
    gateway.assert_books_in_order();
}

#[tokio::test]
async fn what_is_delivered_waits_in_an_escrow_over_every_rail_until_its_payer_accepts() {
    let world = world(Script::echo(), "nowhere").await;
    let arguments = json!({ "n": 1 });
    // Nobody without an API key: an escrow takes days, and nobody else is known again.
    let refused = world.call("echo", &arguments).await;
    assert_eq!(code(&refused), "trust_insufficient", "{}", refused.text());
    let party = Party::new(&world.gateway, None).await;
    let demand = Demand::read(&ask(&world.gateway, &party, &arguments, &json!({})).await);
    assert_eq!(demand.entry()["extra"]["paymentFlow"], "upfront", "a payer sees it before paying");

    let mut earned = 0;
    for (rail, price, account) in
        [("x402", PRICE, "USDC"), ("l402", 10_000, "sat"), ("credit", PRICE, "USDC")]
    {
        if rail == "credit" {
            party.give("0.01USDC");
        }
        let meta = payment(&world, &party, rail, &arguments).await;
        let result = delivered(&ask(&world.gateway, &party, &arguments, &meta).await);
        let said = statement(&result);
        assert_eq!((&said["charged"], &said["settlement"]), (&json!(true), &json!("escrowed")), "{rail}");
        let id = escrow_of(&result);
        assert_eq!(world.gateway.account(&format!("escrow:{id}")), [0, price, 0, 0], "{rail}");
        assert_nothing_unearned(&world.gateway);

        let seen = party.ask(Method::GET, &format!("/{id}"), &Value::Null, &[]).await.done();
        assert_eq!((&seen["state"], &seen["your_role"]), (&json!("delivered"), &json!("payer")), "{seen}");
        assert_eq!((&seen["provider"], &seen["amount"]), (&json!("server:up"), &json!(price.to_string())));
        let call_id = seen["call_id"].as_str().unwrap();
        let url = format!("{}/api/v1/calls/{call_id}", world.gateway.url);
        let status = tollgate_testkit::http::get(&url, &[]).await.unwrap().json().unwrap();
        assert_eq!((&status["state"], &status["escrow_id"]), (&json!("delivered"), &json!(id)), "{status}");

        // A stranger has no part in it, and an operator gives nothing back while it is decided there.
        let stranger = Party::new(&world.gateway, None).await;
        stranger.step(&id, "accept", &json!({})).await.refused(404, "escrow_not_found");
        let url = world.gateway.url.clone();
        let refund = world.gateway.cli(&["refund", call_id, "--reason", "no", "--url", &url]);
        assert!(!refund.status.success(), "{rail}");
        let accepted = party.step(&id, "accept", &json!({})).await.done();
        assert_eq!(accepted["state"], "released", "{accepted}");
        verified(&world, &accepted["receipt"], &id, &[("escrow", "provider", price)]);
        party.step(&id, "dispute", &json!({ "reason": "late" })).await.refused(409, "escrow_wrong_state");
        if account == "USDC" {
            earned += price;
        }
        assert_eq!(world.gateway.account(&format!("escrow:{id}")), [price, price, 0, 0], "{rail}");
        assert_nothing_unearned(&world.gateway);
    }
    assert_eq!(world.gateway.account("payable:up")[1], earned, "the first asset of the report");
    assert_eq!(world.journal.executions(), 3);
    assert_eq!(world.payer_balance().await, START - PRICE);
}

#[tokio::test]
async fn a_disputed_call_is_judged_and_an_undisputed_one_is_paid_when_its_window_has_passed() {
    let settings = "escrow: { dispute_stake: \"0\", dispute_window_seconds: 3600 }\n";
    let mut world = World::with(Script::echo(), &[("echo", ESCROW)], settings, &[]).await;
    let party = Party::new(&world.gateway, Some("0.03USDC")).await;
    let id = escrow_of(&delivered(&ask(&world.gateway, &party, &json!({ "n": 1 }), &json!({})).await));
    let disputed = party.step(&id, "dispute", &json!({ "reason": "it is empty" })).await.done();
    assert_eq!(disputed["state"], "disputed", "{disputed}");
    let heard = party.step(&id, "evidence", &json!({ "statement": "see the result" })).await.done();
    assert_eq!(heard["dispute"]["phase"], "operator", "the receipt speaks for the server: {heard}");
    let url = world.gateway.url.clone();
    let ruled = world.gateway.cli(&["escrow", "resolve", &id, "--split", "0.25", "--url", &url]);
    assert!(ruled.status.success(), "{ruled:?}");
    let split = [("escrow", "provider", 2_500), ("escrow", "payer", 7_500)];
    verified(&world, &last_receipt(&world, &party, &id).await, &id, &split);
    assert_eq!(party.credit(), 2 * PRICE + 7_500, "three quarters are back");
    assert_eq!(world.gateway.account("payable:up"), [0, 2_500, 0, 0]);
    let call = id.replacen("esc_", "call_", 1);
    let back = json!({ "amount": "7500", "as": "credit", "to": party.id, "cause": null });
    assert_eq!(charged(&world, &call).await, (json!(true), json!("2500"), back));
    assert_eq!(spent(&party).await, [json!("2500"), json!("2500")], "and there is room for the rest again");

    // A window of a second is over at once; control: the one of an hour is not.
    let long = escrow_of(&delivered(&ask(&world.gateway, &party, &json!({ "n": 2 }), &json!({})).await));
    let file = world.folder.path().join("tollgate.yaml");
    let yaml = std::fs::read_to_string(&file).unwrap().replace("seconds: 3600", "seconds: 1");
    std::fs::write(&file, yaml).unwrap();
    world.gateway = world.gateway.killed_and_restarted().await;
    let short = escrow_of(&delivered(&ask(&world.gateway, &party, &json!({ "n": 3 }), &json!({})).await));
    until_state(&party, &short, "released").await;
    verified(&world, &last_receipt(&world, &party, &short).await, &short, &[("escrow", "provider", PRICE)]);
    let stands = party.ask(Method::GET, &format!("/{long}"), &Value::Null, &[]).await.done();
    assert_eq!(stands["state"], "delivered");
    assert_eq!(world.gateway.account("payable:up"), [0, 2_500 + PRICE, 0, 0]);
    let metrics =
        tollgate_testkit::http::get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    for (state, count) in [("delivered", 1), ("released", 1)] {
        let sample = metrics.lines().find(|line| {
            line.starts_with("tollgate_escrows_total{") && line.contains(&format!("state=\"{state}\""))
        });
        let counted = sample.and_then(|line| line.rsplit(' ').next());
        assert_eq!(counted, Some(count.to_string().as_str()), "since its start: {state}");
    }
    // All that an operator can give back afterwards is what was released; then nothing of the price is kept.
    let url = world.gateway.url.clone();
    let (before, [spent_before, used_before]) = (party.credit(), spent(&party).await);
    assert_eq!((&spent_before, &used_before), (&json!("22500"), &json!("22500")));
    let refund = world.gateway.cli(&["refund", &call, "--reason", "empty", "--json", "--url", &url]);
    let given: Value = serde_json::from_slice(&refund.stdout).unwrap();
    assert_eq!((&given["again"], &given["refunded"]["amount"]), (&json!(false), &json!("10000")), "{given}");
    let sealed = crate::world::base64_decode(given["receipt"]["payload"].as_str().unwrap());
    let sealed: Value = serde_json::from_slice(&sealed).unwrap();
    let said = (&sealed["settlement"], &sealed["refunded"], &sealed["charged"]);
    assert_eq!(said, (&json!("refunded"), &json!("10000"), &json!(false)), "{sealed}");
    assert_eq!(party.credit(), before + 2_500);
    assert_eq!(world.gateway.account("payable:up"), [2_500, 2_500 + PRICE, 0, 0]);
    let (is_charged, kept, back) = charged(&world, &call).await;
    assert_eq!((is_charged, kept, &back["amount"]), (json!(false), json!("0"), &json!("10000")));
    assert_eq!(spent(&party).await, [json!("20000"), json!("20000")]);
    // Control: a part of what is kept of a call is a part.
    let other = short.replacen("esc_", "call_", 1);
    let part = ["refund", &other, "--reason", "late", "--amount", "4000", "--json", "--url", &url];
    let given: Value = serde_json::from_slice(&world.gateway.cli(&part).stdout).unwrap();
    let sealed = crate::world::base64_decode(given["receipt"]["payload"].as_str().unwrap());
    let sealed: Value = serde_json::from_slice(&sealed).unwrap();
    let said = (&sealed["settlement"], &sealed["refunded"], &sealed["amount_charged"]);
    assert_eq!(said, (&json!("refunded_in_part"), &json!("4000"), &json!("6000")), "{sealed}");
    let listed = world.gateway.cli(&["escrow", "list", "--config", "tollgate.yaml"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("0.01 USDC"), "{listed:?}");
    assert_nothing_unearned(&world.gateway);
}

#[tokio::test]
async fn a_failed_tool_begins_no_escrow_and_its_money_is_credit_of_the_key_that_called() {
    let script = Script::new().tool("echo", Behaviour::Fail("no".into()));
    let world = world(script, "nowhere").await;
    let party = Party::new(&world.gateway, None).await;
    let arguments = json!({ "n": 1 });
    let meta = payment(&world, &party, "x402", &arguments).await;
    for executions in 1..=2 {
        let answer = ask(&world.gateway, &party, &arguments, &meta).await;
        let body = answer.json().unwrap();
        assert_eq!(body["result"]["_meta"]["tollgate/refund"]["to"], party.id, "{body}");
        assert_eq!(statement(&body["result"])["settlement"], "refunded", "{body}");
        assert_eq!(body["result"]["_meta"]["tollgate/escrow"], Value::Null);
        // The same payment may run the tool again: what went back pays for it.
        assert_eq!(world.journal.executions(), executions);
        assert_eq!((party.credit(), world.payer_balance().await), (PRICE, START - PRICE));
    }
    let listed = party.ask(Method::GET, "", &Value::Null, &[]).await.done();
    assert_eq!(listed["escrows"], json!([]), "{listed}");
    assert_nothing_unearned(&world.gateway);
}

/// Makes a call that the gateway dies of, and starts it again.
async fn die(mut world: World, party: &Party, arguments: &Value, meta: &Value) -> World {
    let bearer = party.bearer();
    let mut headers = modern_headers("echo");
    headers.push(("authorization".to_owned(), bearer));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let body = bytes::Bytes::from(call_body("echo", arguments, meta).to_string());
    let answered = tollgate_testkit::http::send(Method::POST, &world.gateway.mcp(), &headers, body).await;
    assert!(answered.is_err(), "the gateway should have died: {:?}", answered.map(|answer| answer.text()));
    world.gateway = world.gateway.killed_and_restarted().await;
    world
}

#[tokio::test]
async fn f1_f2_f5_f6_killed_at_any_step_the_money_is_in_one_place() {
    // The commits of a call: the claim, which takes the money, and its end. Dev mode's first commit gives the payer its money.
    for (behaviour, failpoint, executions, is_kept) in [
        (Behaviour::Echo, "before_commit:2", 0, false),
        (Behaviour::Echo, "after_commit:2", 0, false),
        (Behaviour::Echo, "after_claim", 0, false),
        (Behaviour::Echo, "after_result", 1, false),
        (Behaviour::Echo, "before_commit:3", 1, false),
        (Behaviour::Echo, "after_commit:3", 1, true),
        (Behaviour::Echo, "after_settled", 1, true),
        (Behaviour::Fail("no".into()), "before_commit:3", 1, false),
        (Behaviour::Fail("no".into()), "after_refunded", 1, false),
    ] {
        let world = world(Script::new().tool("echo", behaviour), failpoint).await;
        let party = Party::new(&world.gateway, Some("0.01USDC")).await;
        let arguments = json!({ "n": 1 });
        // A key of its own, so that the same call can be asked for again.
        let meta = json!({ "tollgate/idempotency-key": "once" });
        let world = die(world, &party, &arguments, &meta).await;
        assert_eq!(world.journal.executions(), executions, "{failpoint}");
        assert_nothing_unearned(&world.gateway);
        let listed = party.ask(Method::GET, "", &Value::Null, &[]).await.done();
        let escrows = listed["escrows"].as_array().unwrap();
        assert_eq!(escrows.len(), usize::from(is_kept), "{failpoint}: {listed}");
        if !is_kept {
            assert_eq!(party.credit(), PRICE, "{failpoint}: not charged");
            continue;
        }
        assert_eq!(party.credit(), 0, "{failpoint}");
        let id = escrows[0]["escrow_id"].as_str().unwrap();
        assert_eq!(world.gateway.account(&format!("escrow:{id}")), [0, PRICE, 0, 0], "{failpoint}");
        delivered(&ask(&world.gateway, &party, &arguments, &meta).await);
        assert_eq!(world.journal.executions(), 1, "{failpoint}: the kept answer");
        party.step(id, "accept", &json!({})).await.done();
        assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0], "{failpoint}: earned once");
        assert_nothing_unearned(&world.gateway);
    }
}

#[tokio::test]
async fn f3_f4_killed_on_the_way_to_the_chain_or_back_the_money_is_credit_of_the_key_and_pays_for_the_request()
 {
    for failpoint in ["after_rail", "after_taken"] {
        let policy = "{ price: [0.01USDC], settle: escrow }";
        let script = Script::new().tool("counted", Behaviour::Echo);
        let armed = [("TOLLGATE_FAILPOINT", failpoint)];
        let Some(mut world) = OnChain::selling(script, policy, UNPINNED, &armed).await else { return };
        world.chain.mint(PAYER.address, FUNDS).await.unwrap();
        let (id, secret) = api_key(&world.gateway);
        let bearer = format!("Bearer {secret}");
        let headers = [("authorization", bearer.as_str())];
        let arguments = json!({ "n": 1 });
        let asked = crate::paid_calls::until_known(async || {
            call(&world.url(), "counted", &arguments, &json!({}), &headers).await
        })
        .await;
        let wallet = crate::on_chain::wallet(PAYER);
        let meta = json!({ "x402/payment": Demand::read(&asked).sign(&wallet) });
        let mut all = modern_headers("counted");
        all.push(("authorization".to_owned(), bearer.clone()));
        let all: Vec<(&str, &str)> = all.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let body = bytes::Bytes::from(call_body("counted", &arguments, &meta).to_string());
        let died = tollgate_testkit::http::send(Method::POST, &world.url(), &all, body).await;
        assert!(died.is_err(), "{failpoint}: the gateway should have died");
        world.gateway = world.gateway.killed_and_restarted().await;
        world.until_state("refunded").await;
        assert_eq!(world.chain.transfers().await.unwrap(), [transfer()], "{failpoint}");
        assert_eq!(world.gateway.account(&format!("credit:{id}")), [0, PRICE, 0, 0], "{failpoint}");
        let again = call(&world.url(), "counted", &arguments, &meta, &headers).await;
        escrow_of(&delivered(&again));
        assert_eq!(world.journal.executions(), 1, "{failpoint}");
        assert_eq!(world.chain.transfers().await.unwrap(), [transfer()], "{failpoint}: paid once");
        world.gateway.assert_books_in_order();
    }
}
