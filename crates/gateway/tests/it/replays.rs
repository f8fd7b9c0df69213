//! One proof, many times: the tool runs once, one settlement, and whoever comes back gets the same answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get, send};
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use crate::paid_calls::api_key;
use crate::world::{
    Gateway, PRICE, PRICED, START, TOLLGATE, World, call, call_body, code, delivered, modern_headers,
    statement,
};

const COPIES: usize = 200;

/// Sends the same call `COPIES` times at once.
async fn copies(world: &World, arguments: &Value, meta: &Value) -> Vec<Answer> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..COPIES {
        let (url, arguments, meta) = (world.gateway.mcp(), arguments.clone(), meta.clone());
        tasks.spawn(async move { call(&url, "echo", &arguments, &meta, &[]).await });
    }
    tasks.join_all().await
}

/// Every copy got the one result or a 409; returns how many got which.
fn counted(answers: &[Answer]) -> (usize, usize) {
    let mut receipts = BTreeMap::new();
    let (mut answered, mut conflicts) = (0, 0);
    for answer in answers {
        let body = answer.json().unwrap();
        if body["result"]["isError"] != true && !body["result"].is_null() {
            answered += 1;
            *receipts.entry(statement(&body["result"])["receipt_id"].to_string()).or_insert(0) += 1;
        } else {
            assert_eq!(answer.status, 409, "{body}");
            assert_eq!(code(answer), "payment_in_flight");
            conflicts += 1;
        }
    }
    assert_eq!(receipts.len(), 1, "one receipt for all: {receipts:?}");
    (answered, conflicts)
}

#[tokio::test]
async fn p3_two_hundred_copies_of_one_x402_proof_run_the_tool_once() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let (answered, conflicts) = counted(&copies(&world, &arguments, &meta).await);
    assert!(answered >= 1 && answered + conflicts == COPIES);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0]);
    delivered(&world.paid_call("echo", &arguments).await);
    assert_eq!(world.journal.executions(), 2, "control: another proof runs it again");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p3_two_hundred_copies_of_one_l402_credential_run_the_tool_once() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "l402/authorization": world.l402_credential("echo", &arguments).await });
    let (answered, conflicts) = counted(&copies(&world, &arguments, &meta).await);
    assert!(answered >= 1 && answered + conflicts == COPIES);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, 10_000, 0, 0]);
    let credential = world.l402_credential("echo", &arguments).await;
    delivered(&world.call_with("echo", &arguments, &json!({ "l402/authorization": credential })).await);
    assert_eq!(world.journal.executions(), 2, "control");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn p3_an_invalid_proof_never_burns_the_nonce() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let payment = world.x402_payment("echo", &arguments).await;
    let mut forged = payment.clone();
    let signature = forged["payload"]["signature"].as_str().unwrap().to_owned();
    let flipped = if signature.ends_with("1b") { "1c" } else { "1b" };
    forged["payload"]["signature"] = json!(format!("{}{flipped}", &signature[..signature.len() - 2]));
    for _ in 0..3 {
        let refused = world.call_with("echo", &arguments, &json!({ "x402/payment": forged })).await;
        assert_eq!(code(&refused), "payment_invalid");
    }
    world.assert_untouched("a forged signature").await;
    delivered(&world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await);
}

#[tokio::test]
async fn f56_an_agent_that_retries_fifty_times_is_charged_once() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let first = delivered(&world.call_with("echo", &arguments, &meta).await);
    for _ in 1..50 {
        let again = delivered(&world.call_with("echo", &arguments, &meta).await);
        assert_eq!(again["structuredContent"], first["structuredContent"]);
        assert_eq!(
            again["_meta"]["tollgate/receipt"]["envelope"],
            first["_meta"]["tollgate/receipt"]["envelope"]
        );
    }
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
    delivered(&world.paid_call("echo", &json!({ "n": 2 })).await);
    assert_eq!(
        world.payer_balance().await,
        100_000_000 - 2 * PRICE,
        "control: another call is another charge"
    );
    // What the alert on agents that loop looks at.
    let repeated = "tollgate_calls_total{server=\"up\",tool=\"echo\",outcome=\"repeated\"} 49";
    let metrics = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    assert!(metrics.contains(repeated), "{metrics}");
}

#[tokio::test]
async fn f56_a_limit_stops_an_agent_that_loops_and_its_next_call_waits_and_is_not_lost() {
    let limit = "limits: { rates: [{ rate: 60/hour, burst: 10, per: [caller, tool], name: loops }] }\n";
    let policies = [("echo", PRICED), ("other", PRICED)];
    let world = World::with(Script::echo().tool("other", Behaviour::Echo), &policies, limit, &[]).await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let mut stopped = 0;
    for _ in 0..50 {
        let answer = world.call_with("echo", &arguments, &meta).await;
        if answer.status == 429 {
            assert_eq!(answer.json().unwrap()["error"]["data"]["limit"], "loops");
            assert!(answer.header("retry-after").is_some());
            stopped += 1;
        } else {
            delivered(&answer);
        }
    }
    assert_eq!((stopped, world.journal.executions()), (40, 1));
    assert_eq!(world.payer_balance().await, START - PRICE, "one charge");
    delivered(&world.paid_call("other", &arguments).await);
    assert_eq!(world.payer_balance().await, START - 2 * PRICE, "control: another tool is not in its loop");
    world.gateway.assert_books_in_order();
}

/// The next round of a call to `asks`: what the client answers to the server's question, and the server's own state.
async fn round(world: &World, state: &str, meta: &Value) -> Answer {
    round_of(world, &round_body(state, meta), None).await
}

fn round_body(state: &str, meta: &Value) -> Value {
    let mut body = call_body("asks", &json!({ "n": 1 }), meta);
    body["params"]["inputResponses"] =
        json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    body["params"]["requestState"] = json!(state);
    body
}

async fn round_of(world: &World, body: &Value, key: Option<&str>) -> Answer {
    let headers = modern_headers("asks");
    let mut headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    headers.extend(key.map(|key| ("x-api-key", key)));
    send(Method::POST, &world.gateway.mcp(), &headers, Bytes::from(body.to_string())).await.unwrap()
}

#[tokio::test]
async fn m8_one_payment_pays_for_one_continuation_of_a_call() {
    let question = json!({ "resultType": "input_required", "inputRequests": {}, "requestState": "first" });
    let world =
        World::new(Script::new().tool("asks", Behaviour::Result(question)), &[("asks", PRICED)]).await;
    let meta = json!({ "x402/payment": world.x402_payment("asks", &json!({ "n": 1 })).await });
    let asked = world.call_with("asks", &json!({ "n": 1 }), &meta).await.json().unwrap()["result"].clone();
    let state = asked["requestState"].as_str().unwrap();
    assert!(state.starts_with("first.") && statement(&asked)["charged"] == false, "{asked}");
    assert_eq!(world.payer_balance().await, START, "a question is not paid for");
    let question = json!({ "resultType": "input_required", "inputRequests": {}, "requestState": "second" });
    world.journal.replace_tools(vec![Tool::new("asks", Behaviour::Result(question))]);
    let other = json!({ "x402/payment": world.x402_payment("asks", &json!({ "n": 1 })).await });
    let asked = world.call_with("asks", &json!({ "n": 1 }), &other).await.json().unwrap()["result"].clone();
    let second = asked["requestState"].as_str().unwrap();

    world.journal.replace_tools(vec![Tool::new("asks", Behaviour::Echo)]);
    let answered = delivered(&round(&world, state, &meta).await);
    assert_eq!(statement(&answered)["charged"], true, "what the question left unspent");
    assert_eq!((world.journal.executions(), world.payer_balance().await), (3, START - PRICE));
    // Another continuation, with the same payment: it neither runs nor moves money.
    let again = delivered(&round(&world, second, &meta).await);
    assert_eq!(statement(&again)["receipt_id"], statement(&answered)["receipt_id"]);
    assert_eq!((world.journal.executions(), world.payer_balance().await), (3, START - PRICE));

    delivered(&round(&world, second, &other).await);
    assert_eq!(world.journal.executions(), 4, "control: a payment of its own pays for it");
    assert_eq!(world.payer_balance().await, START - 2 * PRICE);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn m8_a_state_goes_on_unchanged_for_its_own_caller_and_call_alone() {
    let question = json!({ "resultType": "input_required", "inputRequests": {}, "requestState": "s.\u{e9}" });
    let world =
        World::new(Script::new().tool("asks", Behaviour::Result(question)), &[("asks", PRICED)]).await;
    let meta = json!({ "x402/payment": world.x402_payment("asks", &json!({ "n": 1 })).await });
    let asked = world.call_with("asks", &json!({ "n": 1 }), &meta).await.json().unwrap()["result"].clone();
    let state = asked["requestState"].as_str().unwrap().to_owned();
    world.journal.replace_tools(vec![Tool::new("asks", Behaviour::Echo)]);

    let (own, tag) = state.rsplit_once('.').unwrap();
    let tampered =
        [own.to_owned(), format!("x{state}"), format!("{own}x.{tag}"), format!("{state}x"), String::new()];
    for tampered in tampered {
        let refused = round(&world, &tampered, &meta).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "handle_unknown"), "{tampered}");
        assert_eq!(refused.json().unwrap()["error"]["code"], -32_602);
    }
    // Another call, and another caller.
    let elsewhere = json!({ "x402/payment": world.x402_payment("asks", &json!({ "n": 2 })).await });
    let mut body = round_body(&state, &elsewhere);
    body["params"]["arguments"]["n"] = json!(2);
    assert_eq!(code(&round_of(&world, &body, None).await), "handle_unknown");
    let (_, key) = api_key(&world.gateway);
    assert_eq!(code(&round_of(&world, &round_body(&state, &meta), Some(&key)).await), "handle_unknown");
    assert_eq!(world.journal.executions(), 1, "the server was asked for the question alone");
    assert_eq!(world.payer_balance().await, START);

    delivered(&round(&world, &state, &meta).await);
    let arrived: Value = serde_json::from_slice(&world.journal.calls()[1].body).unwrap();
    assert_eq!(arrived["params"]["requestState"], "s.\u{e9}", "control: the server gets back what it gave");
    assert_eq!((world.journal.executions(), world.payer_balance().await), (2, START - PRICE));
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_credential_in_use_is_refused_with_409_until_the_call_has_ended() {
    let script = Script::new().tool("slow", Behaviour::Hang);
    let world = World::new(script, &[("slow", PRICED)]).await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("slow", &arguments).await });
    let running = tokio::spawn({
        let (url, arguments, meta) = (world.gateway.mcp(), arguments.clone(), meta.clone());
        async move { call(&url, "slow", &arguments, &meta, &[]).await }
    });
    world.journal.wait_for_executions(1).await;
    let meanwhile = world.call_with("slow", &arguments, &meta).await;
    assert_eq!((meanwhile.status.as_u16(), code(&meanwhile).as_str()), (409, "payment_in_flight"));
    let facts = &meanwhile.json().unwrap()["error"]["data"];
    let status = get(
        &format!("{}/api/v1/calls/{}", world.gateway.url, facts["holding_call_id"].as_str().unwrap()),
        &[],
    )
    .await;
    let status = status.unwrap().json().unwrap();
    assert_eq!((&status["state"], &status["final"]), (&json!("executing"), &json!(false)));
    world.journal.release();
    let first = delivered(&running.await.unwrap());
    let again = delivered(&world.call_with("slow", &arguments, &meta).await);
    assert_eq!(first["structuredContent"], again["structuredContent"]);
    assert_eq!(world.journal.executions(), 1);
}

#[tokio::test]
async fn f13_a_second_gateway_on_the_same_data_is_refused_and_the_first_goes_on() {
    let world = World::paid_echo().await;
    let second = std::process::Command::new(TOLLGATE)
        .args(["dev", "--data", "data", "--config", "tollgate.yaml", "--listen", "127.0.0.1:0"])
        .current_dir(&world.gateway.folder)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use by another gateway"), "{said}");
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    counted(&copies(&world, &arguments, &meta).await);
    assert_eq!(world.journal.executions(), 1, "P3 holds beside the refused start");
    let folder = tempfile::tempdir().unwrap();
    Gateway::dev(folder.path()).await; // control: another data directory is no conflict
}
