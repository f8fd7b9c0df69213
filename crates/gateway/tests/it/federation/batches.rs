//! Batches at the door of several servers, in a session whose revision has them.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Behaviour, Script};

use super::Two;
use crate::world::{Demand, PRICE, START, base64_encode, call, code, statement};

/// `b` costs something, `a` is free.
async fn two() -> Two {
    let script = || Script::echo().tool("other", Behaviour::Echo);
    Two::new([script(), script()], ["", ", every_tool: { price: [0.01USDC] }"], "").await
}

/// POSTs to a session, which names its version only where it is told to.
async fn say(url: &str, session: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
    let mut headers =
        vec![("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    headers.extend((!session.is_empty()).then_some(("mcp-session-id", session)));
    headers.extend(more);
    send(Method::POST, url, &headers, body.to_string()).await.unwrap()
}

/// A session of this revision.
async fn open(url: &str, revision: &str) -> String {
    let params = json!({ "protocolVersion": revision, "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
    let opened = say(url, "", &body, &[]).await;
    assert_eq!(opened.json().unwrap()["result"]["protocolVersion"], revision, "{}", opened.text());
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(say(url, &session, &initialized, &[]).await.status, 202);
    session
}

fn tool(id: u32, name: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": {} } })
}

fn answers(reply: &Answer) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut answers = reply.json().unwrap().as_array().expect("an array").clone();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    answers
}

#[tokio::test]
async fn m5_a_paid_call_hidden_behind_a_free_one_is_priced_at_the_door_of_several() {
    let two = two().await;
    let url = two.mcp();
    let session = open(&url, "2025-03-26").await;
    let list = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list" });
    let batch = json!([tool(1, "a__echo"), tool(2, "b__echo"), list]);
    let unpaid = answers(&say(&url, &session, &batch, &[]).await);
    assert_eq!(unpaid[0]["result"]["structuredContent"]["echo"], json!({}), "{unpaid:?}");
    assert_eq!(unpaid[1]["result"]["structuredContent"]["x402Version"], 2, "{unpaid:?}");
    assert_eq!(unpaid[2]["result"]["tools"].as_array().map(Vec::len), Some(4), "{unpaid:?}");
    assert_eq!((two.a.executions(), two.b.executions()), (1, 0));

    let demand = Demand::read(&call(&url, "b__echo", &json!({}), &json!({}), &[]).await);
    let (world, a) = two.into_world();
    assert_eq!(world.payer_balance().await, START);
    let header = base64_encode(demand.sign(&world.payer()).to_string().as_bytes());
    let paying = [("payment-signature", header.as_str())];
    let two_paid = json!([tool(1, "a__echo"), tool(2, "b__echo"), tool(3, "b__other")]);
    let refused = say(&url, &session, &two_paid, &paying).await;
    assert_eq!(
        (refused.status.as_u16(), code(&refused).as_str()),
        (400, "batch_refused"),
        "{}",
        refused.text()
    );
    assert_eq!((a.executions(), world.journal.executions()), (1, 0), "nothing of it ran");
    assert_eq!(world.payer_balance().await, START, "nothing was charged");

    let reply = say(&url, &session, &batch, &paying).await;
    let paid = answers(&reply);
    assert_eq!(statement(&paid[1]["result"])["charged"], true, "{paid:?}");
    assert!(reply.header("payment-response").is_some(), "{:?}", reply.headers);
    assert_eq!((a.executions(), world.journal.executions()), (2, 1));
    assert_eq!(world.payer_balance().await, START - PRICE);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn m5_a_batch_belongs_to_a_session_whose_revision_has_them() {
    let two = two().await;
    let url = two.mcp();
    let batch = json!([tool(1, "a__echo"), tool(2, "a__other")]);
    let refused = |answer: Answer| {
        assert_eq!(
            (answer.status.as_u16(), code(&answer).as_str()),
            (400, "batch_refused"),
            "{}",
            answer.text()
        );
    };
    for revision in ["2025-06-18", "2025-11-25"] {
        let later = open(&url, revision).await;
        refused(say(&url, &later, &batch, &[]).await);
        refused(say(&url, &later, &batch, &[("mcp-protocol-version", "2025-03-26")]).await);
    }
    let session = open(&url, "2025-03-26").await;
    refused(say(&url, &session, &batch, &[("mcp-protocol-version", "2025-06-18")]).await);
    assert_eq!(say(&url, "", &batch, &[]).await.status, 400, "no session");
    assert_eq!(say(&url, "unknown", &batch, &[]).await.status, 404, "unknown session");
    assert_eq!((two.a.executions(), two.b.executions()), (0, 0));
    for more in [&[][..], &[("mcp-protocol-version", "2025-03-26")]] {
        assert_eq!(answers(&say(&url, &session, &batch, more).await).len(), 2, "control");
    }
    let noted = json!([{ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }]);
    assert_eq!(say(&url, &session, &noted, &[]).await.status, 202);
    assert_eq!(two.a.executions(), 4);
}
