//! The gate API: a program outside asks before it runs a tool and says how it ended; the money behaves as at every door.

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::Script;

use crate::paid_calls::api_key;
use crate::world::{Demand, PRICE, PRICED, World, base64_decode, code, post, soon};

const KEY: &str = "gate-key-of-a-test-0123456789abcdef";
const SERVER: &str = "  app:
    gate: true
    tools:
      render: { price: [0.01USDC, 10sat] }
      other: { price: [0.01USDC, 10sat] }
      slow: { price: [0.01USDC], deadline_ms: 3000 }
      free: {}
      tiered: { price: { type: free_tier, calls: 1, per: ever, then: [0.01USDC] } }
gate_api: { key: gate-key-of-a-test-0123456789abcdef }
";
const COPIES: usize = 60;

/// A gateway in front of one proxied server, and of tools that run elsewhere.
async fn world() -> World {
    World::with(Script::echo(), &[("echo", PRICED)], SERVER, &[]).await
}

async fn with_key(url: &str, path: &str, body: &Value, key: &str) -> Answer {
    post(&format!("{url}{path}"), body, &[("authorization", &format!("Bearer {key}"))]).await
}

async fn authorize(world: &World, body: &Value) -> Value {
    let answer = with_key(&world.gateway.url, "/gate/v1/authorize", body, KEY).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()
}

async fn complete(world: &World, body: &Value) -> Value {
    let answer = with_key(&world.gateway.url, "/gate/v1/complete", body, KEY).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().unwrap()
}

/// The values of a header in a decision's answer.
fn header<'a>(answer: &'a Value, name: &str) -> Vec<&'a str> {
    let pairs = answer["headers"].as_array().unwrap();
    pairs.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

/// The demand in a decision to pay.
fn demanded(decision: &Value) -> Demand {
    assert_eq!(decision["decision"], "pay", "{decision}");
    let challenge = &decision["challenge"];
    assert_eq!(challenge["status"], 402);
    let required = header(challenge, "payment-required");
    Demand {
        required: serde_json::from_slice(&base64_decode(required[0])).unwrap(),
        l402: challenge["body"]["error"]["data"]["l402"].clone(),
        result: Value::Null,
    }
}

/// A request to authorize with a signed x402 payment for it.
async fn paid(world: &World, tool: &str, arguments: &Value) -> Value {
    let unpaid = json!({ "tool": format!("app/{tool}"), "arguments": arguments });
    let payment = demanded(&authorize(world, &unpaid).await).sign(&world.payer());
    json!({ "tool": format!("app/{tool}"), "arguments": arguments, "payment": payment })
}

fn lease(decision: &Value) -> &str {
    assert_eq!(decision["decision"], "allow", "{decision}");
    decision["lease"].as_str().unwrap()
}

fn statement(completed: &Value) -> Value {
    let payload = completed["receipt"]["envelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&base64_decode(payload)).unwrap()
}

#[tokio::test]
async fn a_call_that_runs_elsewhere_is_paid_once_and_has_a_receipt() {
    let world = world().await;
    let arguments = json!({ "n": 1 });
    let unpaid = authorize(&world, &json!({ "tool": "app/render", "arguments": arguments })).await;
    assert_eq!(unpaid["code"], "payment_required");
    let challenges = header(&unpaid["challenge"], "www-authenticate");
    assert!(challenges.iter().any(|line| line.starts_with("L402 ")), "{challenges:?}");

    let request = paid(&world, "render", &arguments).await;
    let allowed = authorize(&world, &request).await;
    assert_eq!(allowed["paid"]["amount"], PRICE.to_string());
    assert_eq!(allowed["fence"], 1);
    let end = json!({ "lease": lease(&allowed), "outcome": "delivered", "result": { "image": "x" } });
    let completed = complete(&world, &end).await;
    assert_eq!(completed["ending"], "delivered");
    assert_eq!((&completed["deliver"], &completed["charged"]), (&json!(true), &json!(true)));
    assert_eq!(header(&completed, "payment-response").len(), 1);
    assert_eq!(statement(&completed)["outcome"], "delivered");

    let contradicted = json!({ "lease": lease(&allowed), "outcome": "failed" });
    assert_eq!(complete(&world, &end).await, completed, "a second word gets the same answer");
    assert_eq!(complete(&world, &contradicted).await, completed, "whatever it says");
    let repeated = authorize(&world, &request).await;
    assert_eq!(repeated["decision"], "repeated", "{repeated}");
    assert_eq!(repeated["answer"]["body"]["result"]["image"], "x");
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE, "I2: one charge");
    assert_eq!(world.gateway.account("payable:app"), [0, PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn an_l402_credential_and_digests_alone_pay_for_a_call_too() {
    let world = world().await;
    let arguments = json!({ "b": 2, "a": 1 });
    let digest = tollgate_mcp::canonical::digest(arguments.to_string().as_bytes()).unwrap();
    let unpaid = json!({ "tool": "render", "server": "app", "args_digest": hex::encode(digest) });
    let challenge = demanded(&authorize(&world, &unpaid).await).l402;
    let preimage = world.pay_invoice(challenge["invoice"].as_str().unwrap()).await;
    let credential = format!("L402 {}:{preimage}", challenge["macaroon"].as_str().unwrap());
    let other = json!({ "tool": "app/render", "args_digest": "0".repeat(64), "headers": { "Authorization": credential } });
    assert_eq!(authorize(&world, &other).await["code"], "payment_other_call");
    // The digest is that of the canonical form: the arguments themselves are the same request.
    let request =
        json!({ "tool": "app/render", "arguments": arguments, "headers": { "Authorization": [credential] } });
    let allowed = authorize(&world, &request).await;
    let end = json!({ "lease": lease(&allowed), "outcome": "delivered", "result_digest": "ab".repeat(32) });
    let completed = complete(&world, &end).await;
    assert_eq!(completed["charged"], true, "{completed}");
    assert_eq!(world.gateway.account("payable:app"), [0, 10_000, 0, 0]);
    let repeated = authorize(&world, &request).await;
    assert_eq!(repeated["answer"]["body"]["result"]["result_digest"], "ab".repeat(32));
}

#[tokio::test]
async fn p3_copies_of_one_payment_get_one_lease() {
    let world = world().await;
    let request = paid(&world, "render", &json!({ "n": 1 })).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..COPIES {
        let (url, request) = (world.gateway.url.clone(), request.clone());
        tasks.spawn(async move { with_key(&url, "/gate/v1/authorize", &request, KEY).await });
    }
    let decisions: Vec<Value> = tasks.join_all().await.iter().map(|answer| answer.json().unwrap()).collect();
    let allowed: Vec<&Value> = decisions.iter().filter(|one| one["decision"] == "allow").collect();
    let in_flight = decisions.iter().filter(|one| one["code"] == "payment_in_flight").count();
    assert_eq!((allowed.len(), in_flight), (1, COPIES - 1), "I8: one execution");
    let end = json!({ "lease": lease(allowed[0]), "outcome": "delivered", "result": {} });
    complete(&world, &end).await;
    assert_eq!(authorize(&world, &request).await["decision"], "repeated");
    lease(&authorize(&world, &paid(&world, "render", &json!({ "n": 1 })).await).await); // control: another payment
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
}

#[tokio::test]
async fn p2_a_payment_for_another_call_is_refused_and_stays_usable_for_its_own() {
    let world = world().await;
    let request = paid(&world, "render", &json!({ "n": 1 })).await;
    for (member, value) in [("arguments", json!({ "n": 2 })), ("tool", json!("app/other"))] {
        let mut changed = request.clone();
        changed[member] = value;
        let refused = authorize(&world, &changed).await;
        assert_eq!((&refused["decision"], &refused["code"]), (&json!("pay"), &json!("payment_other_call")));
    }
    assert_eq!(world.gateway.account("payable:app"), [0; 4], "claim untouched");
    lease(&authorize(&world, &request).await);
}

#[tokio::test]
async fn a_failed_tool_costs_nothing_and_its_payment_can_be_used_again() {
    let world = world().await;
    let request = paid(&world, "render", &json!({ "n": 1 })).await;
    for (attempt, word) in ["failed", "abandoned", "broken"].iter().enumerate() {
        let allowed = authorize(&world, &request).await;
        assert_eq!(allowed["fence"], attempt + 1, "a later lease has a higher number");
        let completed = complete(&world, &json!({ "lease": lease(&allowed), "outcome": word })).await;
        assert_eq!((&completed["charged"], &completed["deliver"]), (&json!(false), &json!(false)), "{word}");
    }
    assert_eq!(world.payer_balance().await, 100_000_000);
    let allowed = authorize(&world, &request).await;
    let end = json!({ "lease": lease(&allowed), "outcome": "delivered", "result": {} });
    assert_eq!(complete(&world, &end).await["charged"], true, "control");
}

#[tokio::test]
async fn a_lease_that_ran_out_is_voided_and_its_payment_not_leased_while_the_tool_may_run() {
    let world = world().await;
    let request = paid(&world, "slow", &json!({ "n": 1 })).await;
    let allowed = authorize(&world, &request).await;
    let call = format!("{}/api/v1/calls/{}", world.gateway.url, allowed["call_id"].as_str().unwrap());
    soon(async {
        while get(&call, &[]).await.unwrap().json().unwrap()["state"] != "voided" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = authorize(&world, &request).await;
    assert_eq!((&refused["decision"], &refused["code"]), (&json!("deny"), &json!("payment_in_flight")));
    let late = json!({ "lease": lease(&allowed), "outcome": "delivered", "result": {} });
    let completed = complete(&world, &late).await;
    assert_eq!(completed["ending"], "timed_out", "{completed}");
    assert_eq!((&completed["deliver"], &completed["charged"]), (&json!(false), &json!(false)));
    assert_eq!(world.payer_balance().await, 100_000_000);
    let again = authorize(&world, &request).await; // control: the tool has ended
    let end = json!({ "lease": lease(&again), "outcome": "delivered", "result": {} });
    assert_eq!(complete(&world, &end).await["charged"], true);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_lease_over_a_crash_is_in_doubt_and_charges_nobody() {
    let mut world = world().await;
    let request = paid(&world, "render", &json!({ "n": 1 })).await;
    let allowed = authorize(&world, &request).await;
    world.gateway = world.gateway.killed_and_restarted().await;
    let end = json!({ "lease": lease(&allowed), "outcome": "delivered", "result": {} });
    let unknown = with_key(&world.gateway.url, "/gate/v1/complete", &end, KEY).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let call = format!("{}/api/v1/calls/{}", world.gateway.url, allowed["call_id"].as_str().unwrap());
    assert_eq!(get(&call, &[]).await.unwrap().json().unwrap()["state"], "in_doubt");
    assert_eq!(authorize(&world, &request).await["code"], "payment_replayed", "the tool is not run again");
    assert_eq!(world.payer_balance().await, 100_000_000);
    let other = authorize(&world, &paid(&world, "render", &json!({ "n": 1 })).await).await;
    lease(&other); // control
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn only_the_operators_key_opens_the_gate_api() {
    let world = world().await;
    let request = paid(&world, "render", &json!({ "n": 1 })).await;
    let wrong = "gate-key-of-a-test-0123456789abcdeX";
    for path in ["/gate/v1/authorize", "/gate/v1/complete"] {
        let refused = with_key(&world.gateway.url, path, &request, wrong).await;
        assert_eq!((refused.status.as_u16(), code(&refused)), (401, "unauthenticated".to_owned()));
        let refused = post(&format!("{}{path}", world.gateway.url), &request, &[]).await;
        assert_eq!((refused.status.as_u16(), code(&refused)), (401, "unauthenticated".to_owned()));
    }
    assert_eq!(world.gateway.account("payable:app"), [0; 4]);
    let allowed = authorize(&world, &request).await; // control
    let forged = format!("{}.{}", allowed["call_id"].as_str().unwrap(), "0".repeat(64));
    assert_ne!(forged, lease(&allowed));
    let end = json!({ "lease": forged, "outcome": "delivered", "result": {} });
    assert_eq!(with_key(&world.gateway.url, "/gate/v1/complete", &end, KEY).await.status, 404);
    let plain = World::paid_echo().await;
    let closed = with_key(&plain.gateway.url, "/gate/v1/authorize", &request, KEY).await;
    assert_eq!(closed.status, 404, "it is closed unless a key is set");
}

#[tokio::test]
async fn a_free_call_that_runs_elsewhere_is_counted_and_charges_nobody() {
    let world = world().await;
    let (id, secret) = api_key(&world.gateway);
    let asked = |n: u32| json!({ "tool": "app/tiered", "arguments": { "n": n }, "api_key": secret });
    let first = soon(async {
        loop {
            let decision = authorize(&world, &asked(1)).await;
            if decision["code"] != "unauthenticated" {
                return decision; // the gateway knows the new key by now
            }
        }
    });
    let first = first.await;
    let end = json!({ "lease": lease(&first), "outcome": "delivered", "result": {} });
    let completed = complete(&world, &end).await;
    assert_eq!((&completed["deliver"], &completed["charged"]), (&json!(true), &json!(false)));
    assert_eq!(statement(&completed)["charged"], false);
    assert_eq!(authorize(&world, &asked(2)).await["code"], "payment_required", "one, and no more");
    assert_eq!(world.gateway.account("payable:app"), [0; 4]);
    // Control: with credit the next one is charged.
    assert!(world.gateway.cli(&["credit", "add", &id, "0.01USDC"]).status.success());
    let mut next = asked(2);
    next["auto_pay"] = json!(true);
    next["meta"] = json!({ "tollgate/max-price": "0.009USDC" });
    assert_eq!(authorize(&world, &next).await["code"], "price_above_maximum");
    next["meta"] = json!({ "tollgate/max-price": "0.01USDC" });
    let next = authorize(&world, &next).await;
    let end = json!({ "lease": lease(&next), "outcome": "delivered", "result": {} });
    assert_eq!(complete(&world, &end).await["charged"], true);
    assert_eq!(world.gateway.account("payable:app"), [0, PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn tools_that_run_elsewhere_are_known_to_the_gate_api_alone() {
    let world = world().await;
    let free = authorize(&world, &json!({ "tool": "app/free" })).await;
    assert_eq!((&free["paid"], &free["fence"]), (&Value::Null, &json!(0)));
    let end = json!({ "lease": lease(&free), "outcome": "delivered", "result": {} });
    assert_eq!(complete(&world, &end).await["charged"], false);
    for tool in ["app/unknown", "up/echo"] {
        assert_eq!(authorize(&world, &json!({ "tool": tool })).await["code"], "unknown_tool", "{tool}");
    }
    let url = &world.gateway.url;
    let execute = post(&format!("{url}/api/v1/execute"), &json!({ "tool_name": "app/free" }), &[]).await;
    assert_eq!(code(&execute), "unknown_tool");
    let mcp = post(&format!("{url}/servers/app/mcp"), &json!({}), &[]).await;
    assert_eq!(code(&mcp), "unknown_server");
    let listed = get(&format!("{url}/api/v1/tools"), &[]).await.unwrap().text();
    assert!(!listed.contains("\"app\"") && listed.contains("\"up\""), "{listed}");
    for body in [
        json!({ "tool": "free" }),
        json!({ "tool": "app/free", "arguments": [] }),
        json!({ "tol": "app/free" }),
    ] {
        let refused = with_key(url, "/gate/v1/authorize", &body, KEY).await;
        assert_eq!((refused.status.as_u16(), code(&refused)), (400, "malformed_frame".to_owned()));
    }
}
