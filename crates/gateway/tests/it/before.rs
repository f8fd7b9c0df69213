//! `settle: before`: the money moves, then the tool is asked; what was taken for a tool that fails is refunded.

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::anvil::PAYER;

use crate::on_chain::{FUNDS, OnChain, transfer, until};
use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Demand, Gateway, PRICE, START, World, call, call_body, code, delivered, modern_headers, statement,
};

/// The policy of a tool that is paid before it runs.
const BEFORE: &str = "{ price: [0.01USDC, 10sat], settle: before }";
/// The price over Lightning, in msat.
const MSAT: u128 = 10_000;
/// No pins: a new tool's pin is a commit too, and whoever counts commits counts those of the call.
const UNPINNED: &str = "    pins: { drift: off, findings: off }\n";

/// What an ended call leaves of the money that was taken before its tool ran: nothing.
fn assert_nothing_unearned(gateway: &Gateway) {
    let [debits, credits, debits_pending, credits_pending] = gateway.account("unearned:up");
    assert_eq!((debits, debits_pending, credits_pending), (credits, 0, 0));
    gateway.assert_books_in_order();
}

/// Pays for a call of `tool`; what goes into its `_meta`, and whose credit a refund becomes.
async fn payment(world: &World, rail: &str, tool: &str, arguments: &Value) -> (Value, String) {
    if rail == "x402" {
        let meta = json!({ "x402/payment": world.x402_payment(tool, arguments).await });
        return (meta, format!("eip155:{}", world.payer_address().to_lowercase()));
    }
    let credential = world.l402_credential(tool, arguments).await;
    let hash = {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(hex::decode(credential.rsplit(':').next().unwrap()).unwrap()))
    };
    (json!({ "l402/authorization": credential }), format!("lightning:{hash}"))
}

#[tokio::test]
async fn a_tool_that_delivers_was_paid_before_over_every_rail() {
    let world = World::new(Script::echo(), &[("echo", BEFORE)]).await;
    let arguments = json!({ "n": 1 });
    let demand = world.demand("echo", &arguments).await;
    assert_eq!(demand.entry()["extra"]["paymentFlow"], "upfront", "a payer sees it before paying");
    for rail in ["x402", "l402"] {
        let (meta, _) = payment(&world, rail, "echo", &arguments).await;
        let result = delivered(&world.call_with("echo", &arguments, &meta).await);
        assert_eq!(result["structuredContent"]["echo"], arguments, "{rail}");
        let said = statement(&result);
        assert_eq!((&said["charged"], &said["settlement"]), (&json!(true), &json!("delivered")), "{rail}");
        assert!(said["payment_ref"].is_string(), "{rail}: {said}");
        let again = delivered(&world.call_with("echo", &arguments, &meta).await);
        assert_eq!(again["structuredContent"]["echo"], arguments, "{rail}: the kept result");
        assert_nothing_unearned(&world.gateway);
    }
    let (id, secret) = api_key(&world.gateway);
    assert!(world.gateway.cli(&["credit", "add", &id, "0.01USDC"]).status.success());
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str())];
    let by_credit =
        until_known(async || call(&world.gateway.mcp(), "echo", &arguments, &json!({}), &headers).await)
            .await;
    assert_eq!(statement(&delivered(&by_credit))["charged"], true);
    assert_eq!(world.journal.executions(), 3);
    assert_eq!(world.payer_balance().await, START - PRICE);
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [PRICE, PRICE, 0, 0]);
    assert_nothing_unearned(&world.gateway);
}

#[tokio::test]
async fn a_failed_tool_is_refunded_and_the_answer_says_where_the_money_is() {
    let failures = [Behaviour::Fail("no".into()), Behaviour::ResetMidBody];
    for (failure, has_result) in failures.into_iter().zip([true, false]) {
        let script = Script::new().tool("echo", failure);
        let world = World::new(script, &[("echo", BEFORE)]).await;
        let arguments = json!({ "n": 1 });
        for (rail, price) in [("x402", PRICE), ("l402", MSAT)] {
            let (meta, holder) = payment(&world, rail, "echo", &arguments).await;
            for executions in 1..=2 {
                let before = world.journal.executions();
                let answer = world.call_with("echo", &arguments, &meta).await;
                let body = answer.json().unwrap();
                let refund = match has_result {
                    true => body["result"]["_meta"]["tollgate/refund"].clone(),
                    false => body["error"]["data"]["refund"].clone(),
                };
                assert_eq!(refund["to"], holder, "{rail}: {body}");
                assert_eq!((&refund["as"], &refund["amount"]), (&json!("credit"), &json!(price.to_string())));
                if has_result {
                    assert_eq!(statement(&body["result"])["settlement"], "refunded", "{rail}");
                    assert_eq!(statement(&body["result"])["charged"], false, "{rail}");
                } else {
                    assert_eq!(code(&answer), "upstream_broken", "{rail}");
                }
                // The same payment may run the tool again: what went back pays for it.
                assert_eq!(world.journal.executions(), before + 1, "{rail} {executions}");
                assert_nothing_unearned(&world.gateway);
            }
            let [debits, credits, ..] = world.gateway.account(&format!("credit:{holder}"));
            let had = if rail == "x402" { START } else { MSAT };
            assert_eq!(credits - debits, had, "{rail}: nobody has less than before");
        }
        assert_eq!(world.gateway.account("payable:up"), [0; 4], "nothing was earned");
    }
}

/// Makes a call that the gateway dies of, and starts it again.
async fn die(mut world: World, arguments: &Value, meta: &Value) -> World {
    let headers = modern_headers("echo");
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let body = bytes::Bytes::from(call_body("echo", arguments, meta).to_string());
    let answered =
        tollgate_testkit::http::send(http::Method::POST, &world.gateway.mcp(), &headers, body).await;
    assert!(answered.is_err(), "the gateway should have died: {:?}", answered.map(|answer| answer.text()));
    world.gateway = world.gateway.killed_and_restarted().await;
    world
}

/// Where the settlement of the only paid call of `world` stands.
async fn only_status(gateway: &Gateway) -> Value {
    let listed = gateway.cli(&["calls", "list", "--json"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    let calls: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    let id = calls[0]["call_id"].as_str().unwrap();
    get(&format!("{}/api/v1/calls/{id}", gateway.url), &[]).await.unwrap().json().unwrap()
}

/// A paid call that its gateway dies of at `failpoint`, and whose credit a refund becomes.
async fn doomed(rail: &str, failpoint: &str) -> (World, Value, Value, String) {
    let armed = [("TOLLGATE_FAILPOINT", failpoint)];
    let world = World::with(Script::echo(), &[("echo", BEFORE)], UNPINNED, &armed).await;
    let arguments = json!({ "n": 1 });
    let (meta, holder) = payment(&world, rail, "echo", &arguments).await;
    let world = die(world, &arguments, &meta).await;
    (world, arguments, meta, holder)
}

#[tokio::test]
async fn f1_killed_after_the_claim_the_money_is_back_and_pays_for_the_same_request() {
    for rail in ["x402", "l402"] {
        let (world, arguments, meta, holder) = doomed(rail, "after_claim").await;
        let status = only_status(&world.gateway).await;
        assert_eq!((&status["state"], &status["refund"]["cause"]), (&json!("refunded"), &json!("not_asked")));
        assert_eq!(status["refund"]["to"], holder, "{rail}");
        assert_nothing_unearned(&world.gateway);
        delivered(&world.call_with("echo", &arguments, &meta).await);
        assert_eq!(world.journal.executions(), 1, "{rail}");
        let [debits, credits, ..] = world.gateway.account(&format!("credit:{holder}"));
        let left = if rail == "x402" { START - PRICE } else { 0 };
        assert_eq!(credits - debits, left, "{rail}: charged once");
        assert_nothing_unearned(&world.gateway);
    }
}

#[tokio::test]
async fn f2_killed_while_a_paid_tool_runs_the_money_is_back_and_the_tool_never_runs_again() {
    for rail in ["x402", "l402"] {
        let (world, arguments, meta, holder) = doomed(rail, "after_result").await;
        assert_eq!(world.journal.executions(), 1, "{rail}");
        let status = only_status(&world.gateway).await;
        assert_eq!((&status["state"], &status["refund"]["cause"]), (&json!("refunded"), &json!("in_doubt")));
        let again = world.call_with("echo", &arguments, &meta).await;
        assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "payment_replayed"), "{rail}");
        assert!(again.text().contains(&holder), "the answer says whose credit it is: {}", again.text());
        assert_eq!(world.journal.executions(), 1, "{rail}: no second execution");
        let [debits, credits, ..] = world.gateway.account(&format!("credit:{holder}"));
        assert_eq!(credits - debits, if rail == "x402" { START } else { MSAT }, "{rail}: not charged");
        assert_nothing_unearned(&world.gateway);
    }
}

#[tokio::test]
async fn f5_f6_killed_in_or_after_the_commit_of_a_delivery_or_a_refund_the_money_is_in_one_place() {
    // The commits of a call: the claim, which takes the money, and its end. Dev mode's first commit gives the payer its money.
    for (behaviour, failpoint) in [
        (Behaviour::Echo, "before_commit:3"),
        (Behaviour::Echo, "after_commit:3"),
        (Behaviour::Echo, "after_settled"),
        (Behaviour::Fail("no".into()), "before_commit:3"),
        (Behaviour::Fail("no".into()), "after_commit:3"),
        (Behaviour::Fail("no".into()), "after_refunded"),
    ] {
        let delivers = matches!(behaviour, Behaviour::Echo);
        let armed = [("TOLLGATE_FAILPOINT", failpoint)];
        let script = Script::new().tool("echo", behaviour);
        let world = World::with(script, &[("echo", BEFORE)], UNPINNED, &armed).await;
        let arguments = json!({ "n": 1 });
        let (meta, _) = payment(&world, "x402", "echo", &arguments).await;
        let world = die(world, &arguments, &meta).await;
        assert_nothing_unearned(&world.gateway);
        let is_kept = delivers && !failpoint.starts_with("before");
        let status = only_status(&world.gateway).await;
        let state = if is_kept { "delivered" } else { "refunded" };
        assert_eq!((&status["state"], &status["charged"]), (&json!(state), &json!(is_kept)), "{failpoint}");
        let left = if is_kept { START - PRICE } else { START };
        assert_eq!(world.payer_balance().await, left, "{failpoint}");
        if is_kept {
            delivered(&world.call_with("echo", &arguments, &meta).await);
            assert_eq!(world.journal.executions(), 1, "{failpoint}: the kept answer");
        }
    }
}

/// A gateway on a chain of its own, whose tool is paid before it runs, with a payment for it.
async fn on_chain(failpoint: &str) -> Option<(OnChain, Value, Value)> {
    let script = Script::new().tool("counted", Behaviour::Echo);
    let policy = "{ price: [0.01USDC], settle: before }";
    let armed = [("TOLLGATE_FAILPOINT", failpoint)];
    let world = OnChain::selling(script, policy, UNPINNED, &armed).await?;
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    let arguments = json!({ "n": 1 });
    let meta = world.payment(&arguments).await;
    Some((world, arguments, meta))
}

async fn die_on_chain(mut world: OnChain, arguments: &Value, meta: &Value) -> OnChain {
    let answered = world.begin(arguments, meta).join_next().await.unwrap().unwrap();
    assert!(answered.is_err(), "the gateway should have died: {answered:?}");
    world.gateway = world.gateway.killed_and_restarted().await;
    world
}

fn credit_of_payer(world: &OnChain) -> u128 {
    let account = format!("credit:eip155:{}", PAYER.address.to_lowercase());
    let [debits, credits, ..] = world.gateway.account(&account);
    credits - debits
}

#[tokio::test]
async fn a_chain_moves_the_money_before_the_tool_is_asked() {
    let Some((world, arguments, meta)) = on_chain("nowhere").await else { return };
    let result = delivered(&world.call(&arguments, &meta).await);
    assert_eq!(statement(&result)["settlement"], "delivered");
    world.assert_charged_once().await;

    // A payer without money: the tool is not asked, and the demand is repeated.
    let demand = Demand::read(&world.call(&json!({ "n": 2 }), &json!({})).await);
    let poor = tollgate_rails::evm::SigningKey::from_bytes(&[7; 32]).unwrap();
    let meta = json!({ "x402/payment": demand.sign(&poor) });
    let refused = world.call(&json!({ "n": 2 }), &meta).await;
    assert_eq!(code(&refused), "payment_failed", "{}", refused.text());
    assert!(refused.text().contains(r#""x402/payment-response":{"success":false"#), "{}", refused.text());
    assert_eq!(world.journal.executions(), 1, "only the control has run");
    world.assert_charged_once().await;
}

#[tokio::test]
async fn f1_f3_f4_killed_on_the_way_to_the_chain_or_back_the_money_pays_for_the_request_or_stays() {
    for (failpoint, moved) in
        [("after_claim", false), ("after_submitted", false), ("after_rail", true), ("after_taken", true)]
    {
        let Some((world, arguments, meta)) = on_chain(failpoint).await else { return };
        let world = die_on_chain(world, &arguments, &meta).await;
        assert_eq!(world.journal.executions(), 0, "{failpoint}: the tool was not asked");
        if moved {
            world.until_state("refunded").await;
            assert_eq!(world.chain.transfers().await.unwrap(), [transfer()], "{failpoint}");
            assert_eq!(credit_of_payer(&world), PRICE, "{failpoint}: what was taken is the payer's credit");
        } else {
            let state = if failpoint == "after_claim" { "voided" } else { "unknown" };
            world.until_state(state).await;
            assert_eq!(world.chain.transfers().await.unwrap(), [], "{failpoint}: nobody sends it any more");
        }
        world.gateway.assert_books_in_order();
        let again = world.call(&arguments, &meta).await;
        if failpoint == "after_submitted" {
            // Whether it was sent cannot be known before the authorization has run out.
            assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "payment_in_flight"));
            continue;
        }
        delivered(&again);
        assert_eq!(world.journal.executions(), 1, "{failpoint}");
        assert_eq!(
            world.chain.transfers().await.unwrap(),
            [transfer()],
            "{failpoint}: paid once on the chain"
        );
        assert_eq!(world.gateway.account("payable:journal"), [0, PRICE, 0, 0], "{failpoint}: earned once");
        assert_eq!(credit_of_payer(&world), 0, "{failpoint}");
        world.gateway.assert_books_in_order();
    }
}

#[tokio::test]
async fn f2_killed_while_a_tool_paid_on_chain_runs_the_money_is_credit_and_the_tool_never_runs_again() {
    let Some((world, arguments, meta)) = on_chain("after_result").await else { return };
    let world = die_on_chain(world, &arguments, &meta).await;
    world.until_state("refunded").await;
    assert_eq!(credit_of_payer(&world), PRICE);
    assert_eq!(code(&world.call(&arguments, &meta).await), "payment_replayed");
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:journal"), [0; 4]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn f29_a_payment_that_lands_after_its_caller_was_told_pending_becomes_credit_and_pays_for_the_request()
{
    let Some((world, arguments, meta)) = on_chain("nowhere").await else { return };
    world.chain.set_automine(false).await.unwrap();
    let pending: Answer = world.call(&arguments, &meta).await;
    assert_eq!((pending.status.as_u16(), code(&pending).as_str()), (503, "settlement_pending"));
    assert!(!pending.text().contains("accepts"), "no demand to pay anew: {}", pending.text());
    assert_eq!(world.journal.executions(), 0, "not paid, not asked");
    assert_eq!(world.status().await["state"], "unknown");
    assert_eq!(code(&world.call(&arguments, &meta).await), "payment_in_flight", "unknown is not failed");
    world.chain.mine().await.unwrap();
    until("the refund", async || world.status().await["state"] == "refunded").await;
    assert_eq!(credit_of_payer(&world), PRICE);
    delivered(&world.call(&arguments, &meta).await);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.chain.transfers().await.unwrap(), [transfer()], "one charge");
    assert_eq!(world.gateway.account("payable:journal"), [0, PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}
