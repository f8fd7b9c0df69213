//! An operator gives back what was kept of a call: a new transfer and a new receipt, at most once and at most the amount.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{get, send};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::paid_calls::until_known;
use crate::world::{Demand, PRICE, PRICED, START, World, call, delivered, statement};

async fn call_state(world: &World, call: &str) -> Value {
    get(&format!("{}/api/v1/calls/{call}", world.gateway.url), &[]).await.unwrap().json().unwrap()
}

#[tokio::test]
async fn an_operator_refunds_a_call_in_parts_and_never_more_than_was_paid() {
    let script = Script::echo().tool("fails", Behaviour::Fail("no".into()));
    let world = World::new(script, &[("echo", PRICED), ("fails", PRICED)]).await;
    let paid = delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let call = statement(&paid)["call_id"].as_str().unwrap().to_owned();
    assert_eq!(world.payer_balance().await, START - PRICE);

    let refund = |more: &[&str]| {
        let mut arguments = vec!["refund", call.as_str(), "--reason", "a wrong answer", "--json"];
        arguments.extend(["--url", world.gateway.url.as_str()]);
        arguments.extend(more);
        let done = world.gateway.cli(&arguments);
        let answer: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
        (done.status.success(), answer)
    };
    let (done, part) = refund(&["--amount", "4000", "--id", "first"]);
    assert!(done, "{part}");
    assert_eq!((&part["again"], &part["refunded"]["amount"]), (&json!(false), &json!("4000")));
    let sealed: Value =
        serde_json::from_slice(&crate::world::base64_decode(part["receipt"]["payload"].as_str().unwrap()))
            .unwrap();
    assert_eq!((&sealed["settlement"], &sealed["refunded"]), (&json!("refunded_in_part"), &json!("4000")));
    assert_eq!(sealed["charged"], true);
    let (done, again) = refund(&["--amount", "4000", "--id", "first"]);
    assert!(done && again["again"] == true, "{again}");
    assert_eq!(world.payer_balance().await, START - PRICE + 4_000, "booked once");

    let (done, more) = refund(&["--amount", "6001"]);
    assert!(!done && more["error"]["code"] == "refund_exceeds", "{more}");
    let (done, other) = refund(&["--amount", "1", "--id", "first"]);
    assert!(!done && other["error"]["code"] == "refund_id_reused", "{other}");
    let (done, rest) = refund(&[]);
    assert!(done && rest["refunded"]["amount"] == "10000", "{rest}");
    assert_eq!(world.payer_balance().await, START, "whoever paid has it back");
    assert_eq!(world.gateway.account("payable:up"), [PRICE, PRICE, 0, 0]);
    let state = call_state(&world, &call).await;
    assert_eq!((&state["state"], &state["charged"]), (&json!("settled"), &json!(false)), "{state}");
    world.gateway.assert_books_in_order();

    // What was never charged cannot go back.
    let failed = world.paid_call("fails", &json!({})).await.json().unwrap();
    let failed = statement(&failed["result"])["call_id"].as_str().unwrap().to_owned();
    let url = world.gateway.url.clone();
    let nothing = world.gateway.cli(&["refund", &failed, "--reason", "x", "--json", "--url", &url]);
    let answer: Value = serde_json::from_slice(&nothing.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "nothing_to_refund", "{answer}");
    assert_eq!(nothing.status.code(), Some(1));
    let keys = String::from_utf8(world.gateway.cli(&["keys", "list", "--json"]).stdout).unwrap();
    assert!(!keys.contains("\"valid\""), "no key is left behind: {keys}");
}

#[tokio::test]
async fn only_an_admin_key_refunds() {
    let world = World::paid_echo().await;
    let paid = delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let url = format!("{}/admin/v1/refunds", world.gateway.url);
    let body = json!({ "call_id": statement(&paid)["call_id"], "reason": "x" }).to_string();
    let refused = send(Method::POST, &url, &[], body.clone()).await.unwrap();
    assert_eq!(refused.status, 404, "without any admin key there is nothing here");
    let made = world.gateway.cli(&["keys", "create", "--admin", "--name", "op", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(send(Method::POST, &url, &[], body.clone()).await.unwrap().status, 401);
    assert_eq!(world.payer_balance().await, START - PRICE, "nothing went back");
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let silent = send(Method::POST, &url, &headers, body.replace("\"x\"", "\" \"")).await.unwrap();
    assert_eq!(silent.status, 400, "a refund has a reason");
    let done = send(Method::POST, &url, &headers, body).await.unwrap();
    assert_eq!(done.status, 200, "control: {}", done.text());
    assert_eq!(world.payer_balance().await, START);
}

#[tokio::test]
async fn what_is_exported_of_a_call_says_who_paid_it_and_what_went_back() {
    let world = World::paid_echo().await;
    let made = world.gateway.cli(&["keys", "create", "--name", "agent", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let (mcp, arguments, headers) =
        (world.gateway.mcp(), json!({ "n": 1 }), [("authorization", bearer.as_str())]);
    // The key calls, and a wallet pays.
    let demanded = until_known(async || call(&mcp, "echo", &arguments, &json!({}), &headers).await).await;
    let payment = json!({ "x402/payment": Demand::read(&demanded).sign(&world.payer()) });
    let paid = delivered(&call(&mcp, "echo", &arguments, &payment, &headers).await);
    let id = statement(&paid)["call_id"].as_str().unwrap().to_owned();
    let export = |form: &str| {
        let written = world.gateway.cli(&["ledger", "export", "settlements", "--format", form]);
        String::from_utf8(written.stdout).unwrap()
    };
    let row = || serde_json::from_str::<Value>(&export("jsonl")).unwrap();
    let wallet = format!("eip155:{}", world.payer_address().to_lowercase());
    assert_eq!((&row()["caller"], &row()["payer"]), (&made["id"], &json!(wallet)), "{}", row());
    assert_eq!(row()["refunded"], "0");
    let refund = ["refund", &id, "--reason", "late", "--amount", "4000", "--url", &world.gateway.url];
    assert!(world.gateway.cli(&refund).status.success());
    assert_eq!((&row()["amount"], &row()["refunded"]), (&json!(PRICE.to_string()), &json!("4000")));
    let table = export("csv");
    let [names, cells] =
        &table.lines().map(|line| line.split(',').collect::<Vec<_>>()).collect::<Vec<_>>()[..]
    else {
        panic!("{table}")
    };
    let at = names.iter().position(|name| *name == "refunded_whole").unwrap();
    assert_eq!((names.len(), cells[at]), (cells.len(), "0.004"), "{table}");
}
