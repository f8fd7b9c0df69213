//! Free calls and authorized calls of a tool that is paid before it runs: nothing is charged twice, counted twice or lost,
//! whenever the gateway dies.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{get, send};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::payments::{Agent, execution};
use crate::pricing::{called, caller};
use crate::world::{PRICE, World, call, call_body, code, delivered, modern_headers, statement};

/// The policy of a tool that is paid before it runs.
const BEFORE: &str = "{ price: [0.01USDC], settle: before }";
/// The same with one free call for each API key.
const ONE_FREE: &str =
    "{ settle: before, price: { type: free_tier, calls: 1, per: ever, then: [0.01USDC] } }";

/// What an ended call leaves of the money that was taken before its tool ran: nothing.
fn assert_nothing_unearned(world: &World) {
    let [debits, credits, debits_pending, credits_pending] = world.gateway.account("unearned:up");
    assert_eq!((debits, debits_pending, credits_pending), (credits, 0, 0));
    world.gateway.assert_books_in_order();
}

/// What a caller's credit comes to.
fn left(world: &World, id: &str) -> u128 {
    let [debits, credits, debits_pending, _] = world.gateway.account(&format!("credit:{id}"));
    credits - debits - debits_pending
}

#[tokio::test]
async fn a_free_call_of_a_tool_paid_before_is_counted_once_and_not_when_the_tool_fails() {
    let script = Script::echo().tool("fails", Behaviour::Fail("no".to_owned()));
    let world = World::new(script, &[("echo", ONE_FREE), ("fails", ONE_FREE)]).await;
    let (id, bearer) = caller(&world, None).await;
    for _ in 0..2 {
        let failed = called(&world, "fails", &json!({}), &bearer).await.json().unwrap();
        assert!(failed["result"]["content"].to_string().contains("no"), "not asked to pay: {failed}");
        let said = statement(&failed["result"]);
        assert_eq!((&said["charged"], &said["settlement"]), (&json!(false), &json!("refunded")), "{said}");
        assert!(
            failed["result"]["_meta"]["tollgate/refund"].is_null(),
            "there is nothing to refund: {failed}"
        );
    }
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "one")];
    let once = async || call(&world.gateway.mcp(), "echo", &json!({}), &json!({}), &headers).await;
    let first = delivered(&once().await);
    let said = statement(&first);
    assert_eq!((&said["charged"], &said["settlement"]), (&json!(false), &json!("delivered")), "{said}");
    assert_eq!(said["price"]["amount"], "0");
    let receipt = |result: &Value| result["_meta"]["tollgate/receipt"]["envelope"].clone();
    assert_eq!(receipt(&delivered(&once().await)), receipt(&first), "the kept answer, not a second call");
    assert_eq!(code(&called(&world, "echo", &json!({}), &bearer).await), "payment_required");
    assert_eq!(world.gateway.account("unearned:up"), [0; 4], "no money has moved");
    assert_eq!(world.gateway.account(&format!("credit:{id}")), [0; 4]);

    // Control: the next call is paid, before it runs.
    assert!(world.gateway.cli(&["credit", "add", &id, "0.01USDC"]).status.success());
    let paid = statement(&delivered(&called(&world, "echo", &json!({}), &bearer).await));
    assert_eq!((&paid["charged"], &paid["settlement"]), (&json!(true), &json!("delivered")));
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0]);
    assert_nothing_unearned(&world);
}

#[tokio::test]
async fn f1_f2_a_free_call_that_its_gateway_died_of_is_not_counted_and_never_run_again() {
    for (failpoint, executions) in [("after_claim", 0), ("after_result", 1)] {
        let armed = [("TOLLGATE_FAILPOINT", failpoint)];
        let mut world = World::with(Script::echo(), &[("echo", ONE_FREE)], "", &armed).await;
        let (_, bearer) = caller(&world, None).await;
        let own = [("authorization", bearer.as_str()), ("idempotency-key", "one")];
        let named = modern_headers("echo");
        let mut headers: Vec<(&str, &str)> = named.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        headers.extend(own);
        let body = Bytes::from(call_body("echo", &json!({}), &json!({})).to_string());
        let answered = send(Method::POST, &world.gateway.mcp(), &headers, body).await;
        assert!(answered.is_err(), "{failpoint}: the gateway should have died");
        world.gateway = world.gateway.killed_and_restarted().await;
        assert_eq!(world.journal.executions(), executions, "{failpoint}");
        assert_nothing_unearned(&world);

        let again = call(&world.gateway.mcp(), "echo", &json!({}), &json!({}), &own).await;
        if executions == 0 {
            delivered(&again); // it was never asked: the same request is the free call
        } else {
            assert_eq!(code(&again), "payment_replayed", "{failpoint}: it may have run");
            delivered(&called(&world, "echo", &json!({}), &bearer).await);
        }
        assert_eq!(world.journal.executions(), executions + 1, "{failpoint}");
        let next = called(&world, "echo", &json!({}), &bearer).await;
        assert_eq!(code(&next), "payment_required", "{failpoint}: one, and no more");
        assert_eq!(world.gateway.account("payable:up"), [0; 4], "{failpoint}");
        assert_nothing_unearned(&world);
    }
}

#[tokio::test]
async fn f1_killed_between_authorize_and_execute_what_was_taken_comes_back_once() {
    let mut world = World::new(Script::echo(), &[("echo", BEFORE)]).await;
    let agent = Agent::new(&world, "0.01USDC").await;
    let arguments = json!({ "n": 1 });
    let lost = agent.authorized(&arguments).await;
    assert_eq!(world.gateway.account("unearned:up"), [0, PRICE, 0, 0], "taken, not earned");
    assert_eq!(left(&world, &agent.id), 0);
    // However often it dies: what went back does not go back again.
    for _ in 0..2 {
        world.gateway = world.gateway.killed_and_restarted().await;
        assert_eq!(left(&world, &agent.id), PRICE, "all of it is back, once");
        assert_nothing_unearned(&world);
    }
    let status = get(&format!("{}/api/v1/calls/{lost}", agent.url), &[]).await.unwrap().json().unwrap();
    assert_eq!((&status["state"], &status["refund"]["cause"]), (&json!("refunded"), &json!("not_asked")));
    let late = agent.post("execute", &execution(&arguments, &lost)).await;
    assert_eq!((late.status.as_u16(), code(&late).as_str()), (404, "authorization_unknown"));
    let told = agent.spending(&agent.id).await.json().unwrap();
    let usdc = told["spending"].as_array().unwrap().iter().find(|of| of["symbol"] == "USDC").unwrap();
    assert_eq!((&usdc["ever"], &usdc["reserved"]), (&json!("0"), &json!("0")), "nothing was spent");
    assert_eq!(world.journal.executions(), 0);

    // Control: the credit that came back pays for the same call, once.
    let next = agent.authorized(&arguments).await;
    assert_eq!(agent.post("execute", &execution(&arguments, &next)).await.status, 200);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0]);
    assert_eq!(left(&world, &agent.id), 0);
    assert_nothing_unearned(&world);
}

#[tokio::test]
async fn f1_f2_f6_killed_while_it_authorizes_or_executes_a_call_is_charged_once_or_not_at_all() {
    for (failpoint, executions, is_charged) in
        [("after_claim", 0, false), ("after_result", 1, false), ("after_settled", 1, true)]
    {
        let armed = [("TOLLGATE_FAILPOINT", failpoint)];
        let mut world = World::with(Script::echo(), &[("echo", BEFORE)], "", &armed).await;
        let agent = Agent::new(&world, "0.01USDC").await;
        let arguments = json!({ "n": 1 });
        let (path, body) = if failpoint == "after_claim" {
            ("payments/authorize", json!({ "tool_name": "echo", "arguments": arguments }))
        } else {
            ("execute", execution(&arguments, &agent.authorized(&arguments).await))
        };
        let headers = [("authorization", agent.bearer.as_str()), ("content-type", "application/json")];
        let url = format!("{}/api/v1/{path}", agent.url);
        let answered = send(Method::POST, &url, &headers, Bytes::from(body.to_string())).await;
        assert!(answered.is_err(), "{failpoint}: the gateway should have died");
        world.gateway = world.gateway.killed_and_restarted().await;
        assert_eq!(world.journal.executions(), executions, "{failpoint}");
        let charged = if is_charged { PRICE } else { 0 };
        assert_eq!(left(&world, &agent.id), PRICE - charged, "{failpoint}");
        assert_eq!(world.gateway.account("payable:up")[1], charged, "{failpoint}");
        assert_nothing_unearned(&world);
        if path == "execute" {
            let again = agent.post("execute", &body).await;
            assert_eq!(code(&again), "authorization_unknown", "{failpoint}: it is good once");
            let id = body["authorization"].as_str().unwrap();
            let url = format!("{}/api/v1/calls/{id}", agent.url);
            let status = get(&url, &[]).await.unwrap().json().unwrap();
            let state = if is_charged { "delivered" } else { "refunded" };
            assert_eq!((&status["state"], &status["charged"]), (&json!(state), &json!(is_charged)));
        }
        assert_eq!(world.journal.executions(), executions, "{failpoint}: not run again");
    }
}
