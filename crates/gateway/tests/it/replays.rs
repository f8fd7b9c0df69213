//! One proof, many times: the tool runs once, one settlement, and whoever comes back gets the same answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::world::{Gateway, PRICE, PRICED, TOLLGATE, World, call, code, delivered, statement};

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
