//! The result of a paid call, once more, by its receipt: for whoever made the call and for nobody else.

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Script};

use crate::on_chain::until;
use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Demand, Gateway, PRICE, PRICED, START, World, base64_encode, call, code, command, delivered, statement,
};

fn receipt_of(result: &Value) -> String {
    statement(result)["receipt_id"].as_str().unwrap().to_owned()
}

async fn read(gateway: &Gateway, receipt: &str, headers: &[(&str, &str)]) -> Answer {
    get(&format!("{}/api/v1/receipts/{receipt}/result", gateway.url), headers).await.unwrap()
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), code(answer))
}

fn x402(payment: &Value) -> String {
    base64_encode(payment.to_string().as_bytes())
}

#[tokio::test]
async fn whoever_paid_reads_the_result_again_and_nobody_else_does() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let payment = world.x402_payment("echo", &arguments).await;
    let paid = delivered(&world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await);
    let receipt = receipt_of(&paid);
    let header = x402(&payment);
    let again = read(&world.gateway, &receipt, &[("payment-signature", &header)]).await;
    assert_eq!((again.status.as_u16(), again.header("cache-control")), (200, Some("private, no-store")));
    let body = again.json().unwrap();
    assert_eq!(body["result"]["structuredContent"], paid["structuredContent"]);
    assert_eq!(body["receipt"], paid["_meta"]["tollgate/receipt"], "with the salts");

    assert_eq!(refused(&read(&world.gateway, &receipt, &[]).await), (401, "unauthenticated".to_owned()));
    // The same authorization with a quote of one's own, as whoever reads the chain could make it.
    let mut stolen = payment.clone();
    stolen["accepted"] = Demand::read(&world.call("echo", &arguments).await).entry().clone();
    let other = world.x402_payment("echo", &arguments).await;
    for somebody_else in [x402(&stolen), x402(&other)] {
        let answer = read(&world.gateway, &receipt, &[("payment-signature", &somebody_else)]).await;
        assert_eq!(refused(&answer), (404, "not_found".to_owned()));
    }
    let (_, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    let of_a_key =
        until_known(async || read(&world.gateway, &receipt, &[("authorization", bearer.as_str())]).await);
    assert_eq!(refused(&of_a_key.await), (404, "not_found".to_owned()));
    let payer = [("payment-signature", header.as_str())];
    let unknown = read(&world.gateway, "rcpt_103518Rpy1IgAnbQiqcrFy6", &payer).await;
    assert_eq!(refused(&unknown), (404, "not_found".to_owned()));

    let control = read(&world.gateway, &receipt, &[("payment-signature", &header)]).await;
    assert_eq!(control.json().unwrap(), body);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0], "nothing is taken for it");
}

#[tokio::test]
async fn a_credential_and_an_api_key_open_the_results_of_their_own_calls() {
    let script = Script::echo().tool("fails", Behaviour::Fail("no".into()));
    let world = World::new(script, &[("echo", PRICED), ("fails", PRICED)]).await;
    let arguments = json!({ "n": 2 });
    let credential = world.l402_credential("echo", &arguments).await;
    let meta = json!({ "l402/authorization": credential });
    let paid = delivered(&world.call_with("echo", &arguments, &meta).await);
    let authorization = format!("L402 {credential}");
    let answer = read(&world.gateway, &receipt_of(&paid), &[("authorization", &authorization)]).await;
    assert_eq!(answer.json().unwrap()["result"]["structuredContent"], paid["structuredContent"]);

    let (id, secret) = api_key(&world.gateway);
    assert!(world.gateway.cli(&["credit", "add", &id, "0.02USDC"]).status.success());
    let bearer = format!("Bearer {secret}");
    let key = [("authorization", bearer.as_str())];
    let answer = until_known(async || call(&world.gateway.mcp(), "echo", &arguments, &json!({}), &key).await);
    let by_credit = delivered(&answer.await);
    let answer = read(&world.gateway, &receipt_of(&by_credit), &key).await;
    assert_eq!(answer.json().unwrap()["result"]["structuredContent"], by_credit["structuredContent"]);
    let other = read(&world.gateway, &receipt_of(&by_credit), &[("authorization", &authorization)]).await;
    assert_eq!(refused(&other), (404, "not_found".to_owned()), "control: the credential of another call");

    // What was not sold has no result to be read, although it has a receipt.
    let failed = call(&world.gateway.mcp(), "fails", &arguments, &json!({}), &key).await.json().unwrap();
    let answer = read(&world.gateway, &receipt_of(&failed["result"]), &key).await;
    assert_eq!(refused(&answer), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_result_that_is_not_kept_any_more_is_gone_and_its_receipt_is_not() {
    let more = "receipts: { result_ttl_seconds: 0 }\n";
    let world = World::with(Script::echo(), &[("echo", PRICED)], more, &[]).await;
    let arguments = json!({ "n": 1 });
    let payment = world.x402_payment("echo", &arguments).await;
    let paid = delivered(&world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await);
    let (receipt, header) = (receipt_of(&paid), x402(&payment));
    until("a result that is gone", async || {
        read(&world.gateway, &receipt, &[("payment-signature", &header)]).await.status == 410
    })
    .await;
    let gone = read(&world.gateway, &receipt, &[("payment-signature", &header)]).await;
    assert_eq!(refused(&gone), (410, "result_expired".to_owned()));
    assert_eq!(refused(&read(&world.gateway, &receipt, &[]).await).0, 401, "told to whoever paid only");
    let kept = get(&format!("{}/api/v1/receipts/{receipt}", world.gateway.url), &[]).await.unwrap();
    assert_eq!(kept.status, 200);
    // The payment again, with the request that it has paid for: nothing is made up in place of the answer, and nothing runs.
    let again = world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await;
    assert_eq!(refused(&again), (409, "payment_replayed".to_owned()), "{}", again.text());
    assert!(again.text().contains("not kept any more"), "{}", again.text());
    assert_eq!((world.journal.executions(), world.payer_balance().await), (1, START - PRICE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_reads_a_result_with_the_payment_that_another_command_kept() {
    let world = World::paid_echo().await;
    let mcp = world.gateway.mcp();
    let url = world.gateway.url.clone();
    let call = ["call", "echo", "n=1", "--max", "0.01USDC", "--url", &mcp, "--json"];
    let paid = world.gateway.cli(&[&call[..], &["--payment-to", "paid.txt"]].concat());
    assert!(paid.status.success(), "{}", String::from_utf8_lossy(&paid.stderr));
    let paid: Value = serde_json::from_slice(&paid.stdout).unwrap();
    let payload = base64_payload(&paid["receipt"]["envelope"]);
    let receipt = payload["receipt_id"].as_str().unwrap();
    let ask = |more: &[&str]| {
        let asked = [&["receipt", "result", receipt, "--url", &url, "--json"][..], more].concat();
        // It knows no data directory: the gateway may be anywhere.
        command(&world.gateway.folder).args(&asked).output().unwrap()
    };
    let again = ask(&["--payment", "paid.txt"]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["result"]["structuredContent"], paid["result"]["structuredContent"]);
    assert_eq!(again["receipt"], paid["receipt"]);
    let mode = std::fs::metadata(world.gateway.folder.join("paid.txt")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);

    // A payment that could not be kept is not made.
    let kept = std::fs::read(world.gateway.folder.join("paid.txt")).unwrap();
    let over = world.gateway.cli(&[&call[..], &["--payment-to", "paid.txt"]].concat());
    assert_eq!(over.status.code(), Some(2), "{}", String::from_utf8_lossy(&over.stdout));
    assert!(String::from_utf8_lossy(&over.stderr).contains("Nothing was paid"));
    assert_eq!(std::fs::read(world.gateway.folder.join("paid.txt")).unwrap(), kept);
    assert_eq!(world.payer_balance().await, crate::world::START - PRICE);

    let nobody = ask(&[]);
    assert!(!nobody.status.success());
    let (_, secret) = api_key(&world.gateway);
    let header = format!("Authorization: Bearer {secret}");
    let other = ask(&["--header", &header]);
    assert_eq!(other.status.code(), Some(1), "{}", String::from_utf8_lossy(&other.stderr));
    assert!(String::from_utf8_lossy(&other.stderr).contains("next step"));
}

fn base64_payload(envelope: &Value) -> Value {
    serde_json::from_slice(&crate::world::base64_decode(envelope["payload"].as_str().unwrap())).unwrap()
}
