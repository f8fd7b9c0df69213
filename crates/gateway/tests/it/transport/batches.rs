//! Batches, which clients of the revision 2025-03-26 may send: each message is taken as one that came alone.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Behaviour, Script};

use super::{Session, Wire};
use crate::world::{
    Gateway, PRICE, PRICED, START, TOLLGATE, World, base64_encode, code, post, soon, statement, when_released,
};

const FREE: &str = "{ price: [] }";

/// A free tool, and two that cost something.
async fn world() -> World {
    let script = Script::echo().tool("free", Behaviour::Echo).tool("other", Behaviour::Echo);
    World::new(script, &[("echo", PRICED), ("other", PRICED), ("free", FREE)]).await
}

/// A session of the revision that has batches, whose clients name no version later on.
async fn session(world: &World) -> Session {
    Session::speaking(&world.gateway.mcp(), "", "2025-03-26", None).await
}

fn call(id: u32, tool: &str, meta: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": tool, "arguments": {}, "_meta": meta } })
}

fn ping(id: u32) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "ping" })
}

/// The answers in a reply, in the order of their ids.
fn answers(reply: &Answer) -> Vec<Value> {
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, Some("application/json")));
    let mut answers = reply.json().unwrap().as_array().expect("an array").clone();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    answers
}

fn executed(world: &World) -> Vec<String> {
    let mut executed: Vec<String> = world.journal.calls().into_iter().map(|call| call.tool).collect();
    executed.sort();
    executed
}

#[tokio::test]
async fn m5_a_paid_call_hidden_behind_a_free_one_is_priced() {
    let world = world().await;
    let session = session(&world).await;
    let batch =
        |meta: &Value| json!([call(1, "free", &json!({})), call(2, "echo", meta), ping(3)]).to_string();
    let reply = session.post(batch(&json!({}))).await;
    let unpaid = answers(&reply);
    assert_eq!(unpaid.len(), 3, "{unpaid:?}");
    assert_eq!(unpaid[0]["result"]["structuredContent"]["echo"], json!({}), "the free one ran");
    assert_eq!(
        (&unpaid[1]["id"], &unpaid[1]["result"]["structuredContent"]["x402Version"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(unpaid[2]["result"], json!({}));
    assert_eq!(executed(&world), ["free"]);
    assert_eq!((world.gateway.account("payable:up"), world.payer_balance().await), ([0; 4], START));

    // Paid in the message, and in the head of the request: it is the only one to be paid for.
    let payment = world.x402_payment("echo", &json!({})).await;
    let in_message = session.post(batch(&json!({ "x402/payment": payment }))).await;
    let payment = world.x402_payment("echo", &json!({})).await.to_string();
    let header = base64_encode(payment.as_bytes());
    let in_head = session.post_with(batch(&json!({})), &[("payment-signature", &header)]).await;
    for (paid, reply) in (1..).zip([&in_message, &in_head]) {
        let told = answers(reply);
        assert_eq!(statement(&told[1]["result"])["charged"], true, "{told:?}");
        assert!(
            told[0]["result"]["_meta"]["tollgate/receipt"].is_null()
                || statement(&told[0]["result"])["charged"] == false
        );
        assert!(reply.header("payment-response").is_some(), "{paid}: {:?}", reply.headers);
    }
    assert_eq!(executed(&world), ["echo", "echo", "free", "free", "free"]);
    assert_eq!(world.payer_balance().await, START - 2 * PRICE, "one charge each");

    // The same once more is the same answer.
    let again = answers(&session.post_with(batch(&json!({})), &[("payment-signature", &header)]).await);
    assert_eq!(again[1]["result"]["structuredContent"]["echo"], json!({}), "{again:?}");
    assert_eq!((world.journal.calls_to("echo").len(), world.payer_balance().await), (2, START - 2 * PRICE));
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn m5_two_calls_with_a_price_are_refused_before_anything_of_their_batch_runs() {
    let world = world().await;
    let session = session(&world).await;
    let first = json!({ "x402/payment": world.x402_payment("echo", &json!({})).await });
    let second = json!({ "x402/payment": world.x402_payment("other", &json!({})).await });
    world.journal.clear();
    let batch = json!([call(1, "free", &json!({})), call(2, "echo", &first), call(3, "other", &second)]);
    let refused = session.post(batch.to_string()).await;
    assert_eq!(
        (refused.status.as_u16(), code(&refused).as_str()),
        (400, "batch_refused"),
        "{}",
        refused.text()
    );
    assert!(refused.text().contains("more than one call of the batch has a price"), "{}", refused.text());
    world.assert_untouched("two calls with a price").await;
    assert!(executed(&world).is_empty());
    // Control: each of them alone in a batch.
    for (tool, meta) in [("echo", &first), ("other", &second)] {
        let paid = answers(
            &session.post(json!([call(1, "free", &json!({})), call(2, tool, meta)]).to_string()).await,
        );
        assert_eq!(statement(&paid[1]["result"])["charged"], true, "{paid:?}");
    }
    assert_eq!(world.payer_balance().await, START - 2 * PRICE);
}

#[tokio::test]
async fn m5_a_batch_that_is_none_or_says_one_thing_twice_is_refused_as_a_whole() {
    let world = world().await;
    let session = session(&world).await;
    world.journal.clear();
    let (free, paid) = (call(1, "free", &json!({})), call(2, "echo", &json!({})));
    let opening = json!({ "jsonrpc": "2.0", "id": 4, "method": "initialize", "params": {} });
    let pings = |count: u32| Value::from_iter((0..count).map(ping));
    let mut refused = vec![
        (json!([]), "batch_refused", -32_600),
        (pings(51), "batch_refused", -32_600),
        (json!([free, [paid]]), "batch_refused", -32_600),
        (json!([free, call(1, "echo", &json!({}))]), "batch_refused", -32_600),
        (json!([opening, free]), "batch_refused", -32_600),
    ]
    .into_iter()
    .map(|(batch, word, code)| (batch.to_string(), word, code))
    .collect::<Vec<_>>();
    refused.push((format!("[{free},{paid}"), "malformed_frame", -32_700));
    refused.push((format!("[{free}][{paid}]"), "malformed_frame", -32_700));
    refused.push((
        format!("[{}]", free.to_string().replace("{}", r#"{"a":1,"a":2}"#)),
        "malformed_frame",
        -32_700,
    ));
    for (batch, word, json_rpc) in refused {
        let answer = session.post(batch.clone()).await;
        let said = answer.json().unwrap();
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (400, word), "{batch}: {said}");
        assert_eq!((&said["id"], &said["error"]["code"]), (&json!(null), &json!(json_rpc)), "{batch}");
    }
    world.assert_untouched("refused batches").await;
    assert_eq!(answers(&session.post(pings(50).to_string()).await).len(), 50, "control");
    assert_eq!(answers(&session.post(json!([free, paid]).to_string()).await).len(), 2, "control");
}

#[tokio::test]
async fn a_message_of_a_batch_that_is_none_is_told_so_and_the_others_go_their_way() {
    let world = world().await;
    let session = session(&world).await;
    let look_alike = json!({ "jsonrpc": "2.0", "id": 1, "Method": "tools/call", "method": "ping" });
    let unknown = json!({ "jsonrpc": "2.0", "id": 3, "method": "x/unheard-of" });
    let noted = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "roots": [] } });
    world.journal.clear();
    let told = answers(&session.post(json!([look_alike, ping(2), unknown, noted, answer]).to_string()).await);
    assert_eq!(told.len(), 3, "what wants no answer gets none: {told:?}");
    assert_eq!(told[0]["error"]["code"], -32_600);
    assert_eq!(told[0]["error"]["data"]["error"], "malformed_frame");
    assert_eq!(told[1]["result"], json!({}));
    assert_eq!(told[2]["error"]["code"], -32_601, "the server's own word");
    let heard = world.journal.messages();
    for method in ["ping", "x/unheard-of", "notifications/roots/list_changed"] {
        assert!(heard.contains(&method.to_owned()), "{method}: {heard:?}");
    }
    // Nothing that wants an answer: there is none.
    let accepted = session.post(json!([noted, answer]).to_string()).await;
    assert_eq!((accepted.status.as_u16(), accepted.text().as_str()), (202, ""));
    // A session that the server does not know is told as such, whatever came in it.
    let gone = Session { id: "unknown".to_owned(), ..session.clone() };
    for batch in [json!([noted]), json!([ping(1), ping(2)]), json!([noted, call(1, "free", &json!({}))])] {
        assert_eq!(gone.post(batch.to_string()).await.status, 404, "{batch}");
    }
}

#[tokio::test]
async fn m5_only_the_revision_that_has_batches_may_send_them() {
    let world = world().await;
    let session = session(&world).await;
    let batch = json!([ping(1), ping(2)]).to_string();
    for version in
        [Some("2024-11-05"), Some("2025-06-18"), Some("2025-11-25"), Some("2026-07-28"), Some("2025-03-26 x")]
    {
        let refused = Session { version, ..session.clone() }.post(batch.clone()).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "batch_refused"), "{version:?}");
        assert_eq!(refused.json().unwrap()["error"]["code"], -32_600);
    }
    for version in [None, Some("2025-03-26")] {
        assert_eq!(answers(&Session { version, ..session.clone() }.post(batch.clone()).await).len(), 2);
    }
}

#[tokio::test]
async fn what_streams_in_a_batch_streams_and_one_stream_that_breaks_off_spoils_no_other() {
    let script = Script::echo()
        .tool("work", Behaviour::Stamped { steps: 1, apart: Duration::ZERO })
        .tool("breaks", Behaviour::ProgressThenReset { steps: 2 });
    let world = World::new(script, &[("echo", PRICED), ("work", FREE), ("breaks", FREE)]).await;
    let session = session(&world).await;
    let payment = world.x402_payment("echo", &json!({})).await;
    let token = |token: &str| json!({ "progressToken": token });
    let batch = json!([
        call(1, "work", &token("w")),
        call(2, "breaks", &token("b")),
        call(3, "echo", &json!({ "x402/payment": payment })),
        ping(4),
    ]);
    let id = format!("mcp-session-id: {}", session.id);
    let head = [
        "POST /mcp HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        &id,
    ];
    let mut wire = Wire::open(world.gateway.port, &head.map(str::to_owned), &batch.to_string()).await;
    world.journal.step(1);
    soon(wire.until("\"progressToken\":\"b\"")).await;
    world.journal.step(1);
    let text = soon(wire.until("\r\n0\r\n\r\n")).await.to_lowercase();
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.split("\r\n\r\n").next().unwrap().contains("payment-response: "), "{text}");
    let messages = wire.messages();
    let progress =
        |token: &str| messages.iter().filter(|message| message["params"]["progressToken"] == token).count();
    assert!(progress("w") == 1 && progress("b") > 0, "{messages:?}");
    let answer = |id: u32| {
        let found: Vec<&Value> = messages.iter().filter(|m| m["id"] == id && m["method"].is_null()).collect();
        assert_eq!(found.len(), 1, "{id}: {messages:?}");
        found[0].clone()
    };
    assert_eq!(answer(1)["result"]["structuredContent"]["echo"], json!({}));
    assert_eq!(answer(2)["error"]["data"]["error"], "upstream_broken");
    assert_eq!(statement(&answer(3)["result"])["charged"], true);
    assert_eq!(answer(4)["result"], json!({}));
    assert_eq!(world.payer_balance().await, START - PRICE);
}

#[tokio::test]
async fn a_caller_who_hangs_up_on_a_batch_is_not_charged_and_the_server_is_told() {
    let script = Script::new().tool("slow", Behaviour::Hang).tool("free", Behaviour::Echo);
    let world = World::new(script, &[("slow", PRICED), ("free", FREE)]).await;
    let session = session(&world).await;
    let payment = world.x402_payment("slow", &json!({})).await;
    let paid = json!({ "x402/payment": payment });
    let batch = json!([call(1, "slow", &paid), call(2, "free", &json!({}))]).to_string();
    let waiting = session.clone();
    let sent = batch.clone();
    let mut tasks = JoinSet::new();
    let asking = tasks.spawn(async move { waiting.post(sent).await });
    soon(world.journal.wait_for_executions(2)).await;
    asking.abort();
    soon(world.journal.wait_for_abandoned(1)).await;
    assert_eq!(world.payer_balance().await, START, "not charged");
    // Control: the same payment buys the same call from a server that answers.
    world.journal.release();
    let told = answers(&when_released(async || session.post(batch.clone()).await).await);
    assert_eq!(statement(&told[0]["result"])["charged"], true, "{told:?}");
    assert_eq!(world.payer_balance().await, START - PRICE);
}

#[tokio::test]
async fn m5_every_message_of_a_batch_counts_in_the_limits() {
    let more = "    rates: [{ rate: 6/hour, of: requests }]\n";
    let world = World::with(Script::echo(), &[("echo", FREE)], more, &[]).await;
    let session = session(&world).await; // two requests
    let told = answers(&session.post(Value::from_iter((0..6).map(ping)).to_string()).await);
    let limited = told.iter().filter(|told| told["error"]["data"]["error"] == "rate_limited").count();
    let answered = told.iter().filter(|told| told["result"] == json!({})).count();
    assert_eq!((answered, limited), (4, 2), "{told:?}");
    assert_eq!(code(&session.post(json!([ping(1)]).to_string()).await), "rate_limited");
}

#[tokio::test]
async fn a_demand_to_pay_is_a_message_of_its_batch_where_it_is_plain_http_else() {
    let more = "    payment_as_http: true\n";
    let world = World::with(Script::echo(), &[("echo", PRICED)], more, &[]).await;
    let session = session(&world).await;
    let alone = session.post(call(1, "echo", &json!({})).to_string()).await;
    assert_eq!(alone.status, 402, "control: {}", alone.text());
    let told = answers(&session.post(json!([call(1, "echo", &json!({})), ping(2)]).to_string()).await);
    assert_eq!(told[0]["result"]["structuredContent"]["x402Version"], 2, "{told:?}");
    assert_eq!(told[1]["result"], json!({}));
    world.assert_untouched("unpaid").await;
}

#[tokio::test]
async fn the_built_in_tools_take_batches_as_well() {
    let world = World::with(Script::echo(), &[("echo", PRICED)], "builtin_tools: true\n", &[]).await;
    let url = format!("{}/servers/tollgate/mcp", world.gateway.url);
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let noted = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let told = answers(&post(&url, &json!([ping(1), list, noted]), &[]).await);
    assert_eq!((told.len(), &told[0]["result"]), (2, &json!({})), "{told:?}");
    assert!(told[1]["result"]["tools"].as_array().is_some_and(|tools| !tools.is_empty()));
    let refused = post(&url, &json!([ping(1)]), &[("mcp-protocol-version", "2025-06-18")]).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (400, "batch_refused"));
}

#[tokio::test]
async fn a_program_that_knows_no_batches_is_asked_message_by_message() {
    let folder = tempfile::tempdir().unwrap();
    let program = format!("command: ['{TOLLGATE}', demo-server]");
    let yaml =
        format!("servers:\n  plain: {{ {program} }}\n  priced: {{ {program}, every_tool: {PRICED} }}\n");
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let batch = json!([ping(1), list]).to_string();
    for server in ["plain", "priced"] {
        let url = format!("{}/servers/{server}/mcp", gateway.url);
        let session = Session::speaking(&url, "", "2025-03-26", None).await;
        let told = answers(&session.post(batch.clone()).await);
        assert_eq!(told[0]["result"], json!({}), "{server}: {told:?}");
        assert!(
            told[1]["result"]["tools"].as_array().is_some_and(|tools| !tools.is_empty()),
            "{server}: {told:?}"
        );
        let later = Session { version: Some("2025-06-18"), ..session.clone() };
        assert_eq!(later.post(batch.clone()).await.status, 400, "{server}");
    }
}
