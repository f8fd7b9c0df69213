//! Prices by the size of the result: the most is quoted and held, and what came is charged, over every rail and whenever the money
//! moves.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::anvil::PAYER;

use crate::escrow::Party;
use crate::on_chain::{FUNDS, OnChain};
use crate::pricing::{called, caller};
use crate::world::{PRICE, START, World, code, delivered, post, statement};

/// 0.0002 USDC for the call and 0.0001 for each begun 100 bytes, at most 0.01.
const BY_RESULT: &str =
    "type: per_result, size: 100, each: [0.0001USDC, 1sat], base: [0.0002USDC], maximum: [0.01USDC, 60sat]";
/// The same where nothing comes over Lightning.
const ON_CHAIN: &str =
    "type: per_result, size: 100, each: [0.0001USDC], base: [0.0002USDC], maximum: [0.01USDC]";

fn policy(settle: &str) -> String {
    format!("{{ price: {{ {BY_RESULT} }}, settle: {settle} }}")
}

/// The bytes of a result as anybody may count them: without `_meta`, its members in order and no space between them.
fn size(result: &Value) -> u128 {
    let mut plain = result.clone();
    plain.as_object_mut().unwrap().remove("_meta");
    u128::try_from(plain.to_string().len()).unwrap()
}

fn in_usdc(result: &Value) -> u128 {
    (200 + 100 * size(result).div_ceil(100)).min(PRICE)
}

/// What is charged for a result, found three times: in the answer, in the receipt, and by counting.
fn charged(result: &Value, quoted: u128, expected: u128) -> u128 {
    let told = &result["_meta"]["tollgate/charge"];
    assert_eq!(
        (&told["charged"], &told["quoted"]),
        (&json!(expected.to_string()), &json!(quoted.to_string()))
    );
    let said = statement(result);
    assert_eq!(said["price"]["amount"], quoted.to_string(), "{said}");
    assert_eq!(said["amount_charged"], expected.to_string(), "{said}");
    assert_eq!(said["refunded"], (quoted - expected).to_string(), "{said}");
    assert_eq!(said["charged"], true);
    expected
}

fn text(length: usize) -> Value {
    json!({ "text": "x".repeat(length) })
}

async fn spent(world: &World, (id, bearer): &(String, String)) -> Value {
    let url = format!("{}/api/v1/payments/spending/{id}", world.gateway.url);
    get(&url, &[("authorization", bearer)]).await.unwrap().json().unwrap()
}

#[tokio::test]
async fn p13_what_a_result_comes_to_is_charged_over_every_rail_and_the_rest_is_never_taken() {
    let script = Script::echo().tool("fails", Behaviour::Fail("no".to_owned()));
    let after = policy("after");
    let world = World::new(script, &[("echo", &after), ("fails", &after)]).await;
    let demand = world.demand("echo", &text(1)).await;
    assert_eq!(demand.entry()["amount"], PRICE.to_string(), "the most is quoted");
    assert!(demand.result.to_string().contains("costs at most 0.01 USDC"), "{}", demand.result);
    assert_eq!(demand.result["_meta"]["tollgate/denial"]["pricing"]["type"], "per_result");

    // Sandbox money of a wallet.
    let mut owed = 0;
    for length in [1, 150, 500] {
        let result = delivered(&world.paid_call("echo", &text(length)).await);
        owed += charged(&result, PRICE, in_usdc(&result));
        assert_eq!(result["_meta"]["tollgate/charge"]["rest"], Value::Null, "it was never taken");
        assert_eq!(world.payer_balance().await, START - owed, "{length}");
    }
    // A result that comes to the maximum, or past it, costs the maximum.
    let result = delivered(&world.paid_call("echo", &text(20_000)).await);
    assert_eq!((in_usdc(&result), &result["_meta"]["tollgate/charge"]), (PRICE, &Value::Null));
    assert_eq!(statement(&result)["amount_charged"], Value::Null, "all of the price");
    owed += PRICE;
    assert_eq!(world.payer_balance().await, START - owed);

    // Lightning: the rest is credit of whoever holds the preimage.
    let credential = world.l402_credential("echo", &text(7)).await;
    let meta = json!({ "l402/authorization": credential });
    let result = delivered(&world.call_with("echo", &text(7), &meta).await);
    let sats = (1_000 * size(&result).div_ceil(100)).min(60_000);
    charged(&result, 60_000, sats);
    assert_eq!(world.gateway.account("clearing:l402"), [60_000, 0, 0, 0]);
    // The same proof brings the same answer, and no second charge.
    let again = delivered(&world.call_with("echo", &text(7), &meta).await);
    assert_eq!(statement(&again)["receipt_id"], statement(&result)["receipt_id"]);

    // Prepaid credit: the most has to be there, and what came is spent.
    let poor = caller(&world, Some("0.009USDC")).await;
    let refused = called(&world, "echo", &text(1), &poor.1).await;
    assert_eq!(code(&refused), "payment_required", "{}", refused.text());
    let party = caller(&world, Some("0.01USDC")).await;
    let failed = called(&world, "fails", &text(1), &party.1).await.json().unwrap();
    assert!(failed.to_string().contains("Not charged"), "{failed}");
    let url = format!("{}/api/v1/execute", world.gateway.url);
    let body = json!({ "tool_name": "echo", "arguments": text(40), "auto_pay": true, "max_price": PRICE.to_string() });
    let headers = [("authorization", party.1.as_str())];
    let answer = post(&url, &body, &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json().unwrap();
    let due = in_usdc(&told["result"]);
    assert_eq!(told["charge"]["charged"], due.to_string(), "{told}");
    assert_eq!(world.gateway.account(&format!("credit:{}", party.0)), [due, PRICE, 0, 0]);
    let said = spent(&world, &party).await;
    assert!(said.to_string().contains(&format!("\"{due}\"")), "{said}");
    owed += due;
    // Below the maximum nobody is surprised: what a caller would not pay at most is refused.
    let less = json!({ "tool_name": "echo", "arguments": text(1), "auto_pay": true, "max_price": (PRICE - 1).to_string() });
    assert_eq!(code(&post(&url, &less, &headers).await), "price_above_maximum");

    let id = told["call_id"].as_str().unwrap();
    let status = get(&format!("{}/api/v1/calls/{id}", world.gateway.url), &[]).await.unwrap().json().unwrap();
    assert_eq!(
        (&status["amount"], &status["amount_charged"]),
        (&json!(PRICE.to_string()), &json!(due.to_string()))
    );
    assert_eq!(world.gateway.account("payable:up"), [0, owed, 0, 0], "the first asset of the report");

    // By hand at most what was charged goes back, once.
    let gateway = world.gateway.url.clone();
    let refund = |more: &[&str]| {
        let base = ["refund", id, "--reason", "it was empty", "--url", &gateway];
        world.gateway.cli(&[&base[..], more].concat()).status.success()
    };
    assert!(!refund(&["--amount", &(due + 1).to_string()]));
    assert!(refund(&[]) && refund(&[]), "asked for again, booked once");
    assert_eq!(world.gateway.account(&format!("credit:{}", party.0)), [due, PRICE + due, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn what_was_taken_before_the_tool_or_goes_into_an_escrow_is_what_the_result_comes_to() {
    let (before, escrow) = (policy("before"), policy("escrow"));
    let script = Script::new().tool("early", Behaviour::Echo).tool("held", Behaviour::Echo);
    let settings = "escrow: { dispute_stake: \"0\" }\n";
    let world = World::with(script, &[("early", &before), ("held", &escrow)], settings, &[]).await;
    let party = Party::new(&world.gateway, Some("0.02USDC")).await;
    let bearer = party.bearer();
    let result = delivered(&called(&world, "early", &text(3), &bearer).await);
    let early = charged(&result, PRICE, in_usdc(&result));
    let rest = json!({ "amount": (PRICE - early).to_string(), "as": "credit", "to": party.id });
    assert_eq!(result["_meta"]["tollgate/charge"]["rest"], rest, "it had been taken");
    assert_eq!((party.credit(), world.gateway.account("payable:up")), (2 * PRICE - early, [0, early, 0, 0]));

    let result = delivered(&called(&world, "held", &text(300), &bearer).await);
    let held = charged(&result, PRICE, in_usdc(&result));
    assert!(held > early, "control: more came");
    let id = result["_meta"]["tollgate/escrow"]["escrow_id"].as_str().unwrap();
    let seen = party.ask(Method::GET, &format!("/{id}"), &Value::Null, &[]).await.done();
    assert_eq!(seen["amount"], held.to_string(), "{seen}");
    assert_eq!(party.credit(), 2 * PRICE - early - held);
    assert_eq!(party.step(id, "accept", &json!({})).await.done()["state"], "released");
    assert_eq!(world.gateway.account("payable:up"), [0, early + held, 0, 0]);
    let [debits, credits, ..] = world.gateway.account("unearned:up");
    assert_eq!(debits, credits, "nothing is left on the way");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f4_killed_between_the_chain_and_the_books_the_rest_is_still_credit_of_whoever_paid() {
    for failpoint in ["nowhere", "after_rail"] {
        let script = Script::new().tool("counted", Behaviour::Echo);
        let unpinned = "    pins: { drift: off, findings: off }\n";
        let armed = [("TOLLGATE_FAILPOINT", failpoint)];
        let priced = format!("{{ price: {{ {ON_CHAIN} }} }}");
        let Some(mut world) = OnChain::selling(script, &priced, unpinned, &armed).await else { return };
        world.chain.mint(PAYER.address, FUNDS).await.unwrap();
        let arguments = text(5);
        let meta = world.payment(&arguments).await;
        if failpoint != "nowhere" {
            let died = world.begin(&arguments, &meta).join_next().await.unwrap().unwrap();
            assert!(died.is_err(), "the gateway should have died");
            world.gateway = world.gateway.killed_and_restarted().await;
            world.until_state("settled").await;
        }
        let result = delivered(&world.call(&arguments, &meta).await);
        let due = in_usdc(&result);
        assert_eq!(statement(&result)["amount_charged"], due.to_string(), "{failpoint}");
        assert_eq!(
            world.chain.balance_of(PAYER.address).await.unwrap(),
            FUNDS - PRICE,
            "all that was signed"
        );
        let wallet = format!("credit:eip155:{}", PAYER.address.to_ascii_lowercase());
        assert_eq!(world.gateway.account(&wallet), [0, PRICE - due, 0, 0], "{failpoint}");
        let [debits, credits, ..] = world.gateway.account("payable:journal");
        assert_eq!(credits - debits, due, "{failpoint}");
        assert_eq!(world.journal.executions(), 1);
        world.gateway.assert_books_in_order();
    }
}
