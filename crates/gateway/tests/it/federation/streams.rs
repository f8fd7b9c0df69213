//! Streams: what servers ask of a client, what they announce, and how a stream goes on that broke off.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use super::lists::Beside;
use super::{Session, Two, message, modern, result};
use crate::transport::Wire;
use crate::world::soon;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The head of a request in a session, for a stream that is read as it comes.
fn head(method: &str, session: &Session, more: &[(&str, &str)]) -> Vec<String> {
    let mut head = vec![
        format!("{method} /mcp HTTP/1.1"),
        "host: localhost".to_owned(),
        "content-type: application/json".to_owned(),
        "accept: application/json, text/event-stream".to_owned(),
        format!("mcp-session-id: {}", session.id),
        "mcp-protocol-version: 2025-11-25".to_owned(),
    ];
    head.extend(more.iter().map(|(name, value)| format!("{name}: {value}")));
    head
}

fn body(id: u64, tool: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": {} } })
        .to_string()
}

/// Reads until a text has come so many times.
async fn until(wire: &mut Wire, text: &str, times: usize) -> String {
    soon(async {
        loop {
            let so_far = wire.until("").await.to_owned();
            if so_far.matches(text).count() >= times {
                return so_far;
            }
            assert!(wire.more().await, "closed before {text:?} came {times} times: {so_far}");
        }
    })
    .await
}

#[tokio::test]
async fn a_servers_question_reaches_the_client_and_its_answer_the_server() {
    for policy in ["", ", every_tool: { price: [] }"] {
        let Some(beside) = Beside::start(policy).await else { return };
        let session = Session::open(&beside.mcp()).await;
        let call = body(7, "fx__test_input_required_result_elicitation");
        let mut wire = Wire::open(beside.gateway.port, &head("POST", &session, &[]), &call).await;
        let text = until(&mut wire, "elicitation/create", 1).await;
        assert!(text.contains("What is your name?"), "{text}");
        let asked = wire.messages().into_iter().find(|m| m["method"] == "elicitation/create").unwrap();
        let id = asked["id"].as_str().unwrap();
        assert!(id.starts_with("fx:"), "{id}");
        let answer = |id: Value| {
            json!({ "jsonrpc": "2.0", "id": id,
                "result": { "action": "accept", "content": { "name": "Ada" } } })
            .to_string()
        };
        for nobodys in [json!(0), json!("nobody:0"), json!("fx")] {
            let refused = session.send(Method::POST, &answer(nobodys.clone())).await;
            assert_eq!(refused.status, 400, "{nobodys}");
        }
        assert_eq!(session.send(Method::POST, &answer(json!(id))).await.status, 202);
        until(&mut wire, "Hello, Ada!", 1).await;
        let answered = wire.messages().into_iter().find(|message| message["id"] == 7).unwrap();
        assert_eq!(answered["result"]["content"][0]["text"], "Hello, Ada!");
    }
}

#[tokio::test]
async fn input_required_rounds_pass_in_the_modern_era() {
    let Some(beside) = Beside::start("").await else { return };
    let tool = "fx__test_input_required_result_elicitation";
    let ask = async |more: Value| {
        let mut params = json!({ "name": tool, "arguments": {}, "_meta": {} });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let headers = crate::world::modern_headers(tool);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        tollgate_testkit::http::send(Method::POST, &beside.mcp(), &headers, body.to_string())
            .await
            .unwrap()
            .text()
    };
    let asked = ask(json!({})).await;
    assert!(asked.contains("input_required") && asked.contains("user_name"), "{asked}");
    let responses = json!({ "user_name": { "action": "accept", "content": { "name": "Ada" } } });
    let answered = ask(json!({ "inputResponses": responses })).await;
    assert!(answered.contains("Hello, Ada!"), "{answered}");
}

#[tokio::test]
async fn one_stream_carries_what_every_server_announces_once_each() {
    let two = Two::echoes().await;
    let session = Session::open(&two.mcp()).await;
    let mut wire = Wire::open(two.gateway.port, &head("GET", &session, &[]), "").await;
    soon(wire.until("text/event-stream")).await;
    soon(async {
        while !(two.a.messages().contains(&"GET".to_owned()) && two.b.messages().contains(&"GET".to_owned()))
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let new = || vec![Tool::new("new", Behaviour::Echo)];
    // A server subscribes a listener a moment after it has read the request: it is announced until it is heard.
    for (index, journal) in [&two.a, &two.b].into_iter().enumerate() {
        journal.replace_tools(new());
        until(&mut wire, "notifications/tools/list_changed", index + 1).await;
    }
    let announced = wire.messages().len();
    assert_eq!(announced, 2, "each once: {:?}", wire.messages());
    two.b.stop().await;
    soon(async { while wire.more().await {} }).await;
}

#[tokio::test]
async fn a_stream_that_broke_off_goes_on_at_its_server() {
    let Some(beside) = Beside::start("").await else { return };
    let session = Session::open(&beside.mcp()).await;
    let secret = "Answered after a reconnection.";
    let mut more = head("POST", &session, &[("connection", "close")]);
    let broken = Wire::open(beside.gateway.port, &more, &body(7, "fx__test_reconnection")).await;
    let broken = soon(broken.rest()).await;
    assert!(!broken.contains(secret), "{broken}");
    let id = broken.lines().filter_map(|line| line.strip_prefix("id: ")).next_back();
    let id = id.unwrap_or_else(|| panic!("events have ids: {broken}")).to_owned();
    assert!(broken.contains("retry:"), "what else an event says stays: {broken}");
    more = head("GET", &session, &[("last-event-id", &id)]);
    let mut resumed = Wire::open(beside.gateway.port, &more, "").await;
    let text = until(&mut resumed, secret, 1).await;
    assert!(text.contains("\"id\":7"), "{text}");
    assert!(!beside.journal.messages().contains(&"GET".to_owned()), "the other server has no part in it");
    let stolen = Session { id: Session::open(&beside.mcp()).await.id, ..session.clone() };
    let head = head("GET", &stolen, &[("last-event-id", &id), ("connection", "close")]);
    let mut elsewhere = Wire::open(beside.gateway.port, &head, "").await;
    // Another session may listen, but what was not said in it never comes.
    soon(elsewhere.until("\r\n\r\n")).await;
    assert!(!elsewhere.until("").await.contains(secret));
}

#[tokio::test]
async fn a_subscription_spans_all_servers_under_the_clients_own_id() {
    let two = Two::echoes().await;
    let params = json!({ "notifications": { "toolsListChanged": true }, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    } });
    let asked = json!({ "jsonrpc": "2.0", "id": "l1", "method": "subscriptions/listen", "params": params });
    let head = [
        "POST /mcp HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "mcp-protocol-version: 2026-07-28",
        "mcp-method: subscriptions/listen",
    ]
    .map(str::to_owned);
    let mut wire = Wire::open(two.gateway.port, &head, &asked.to_string()).await;
    until(&mut wire, "notifications/subscriptions/acknowledged", 1).await;
    let first = wire.messages().remove(0);
    assert_eq!(first["params"]["notifications"], json!({ "toolsListChanged": true }));
    assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l1");
    for (index, journal) in [&two.a, &two.b].into_iter().enumerate() {
        journal.replace_tools(vec![Tool::new("new", Behaviour::Echo)]);
        until(&mut wire, "notifications/tools/list_changed", index + 1).await;
    }
    let messages = wire.messages();
    assert_eq!(messages.len(), 3, "one acknowledgement, each change once: {messages:?}");
    for message in &messages {
        assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l1");
    }
}

#[tokio::test]
async fn progress_passes_and_a_cancellation_reaches_the_server_that_works_on_it() {
    let script = Script::echo().tool("slow", Behaviour::Progress { steps: 2 });
    let two = Two::new([script, Script::echo()], ["", ""], "").await;
    let session = Session::open(&two.mcp()).await;
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "a__slow", "arguments": {}, "_meta": { "progressToken": "p" } } });
    let mut wire = Wire::open(two.gateway.port, &head("POST", &session, &[]), &call.to_string()).await;
    two.a.step(1);
    until(&mut wire, "notifications/progress", 1).await;
    assert_eq!(wire.messages()[0]["params"]["progressToken"], "p");
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    assert_eq!(session.send(Method::POST, &cancel.to_string()).await.status, 202);
    assert!(two.a.messages().contains(&"notifications/cancelled".to_owned()));
    drop(wire);
    soon(two.a.wait_for_abandoned(1)).await;
    let modern_call = modern(&two.mcp(), "tools/call", &json!({ "name": "a__echo", "arguments": {} })).await;
    assert_eq!(modern_call.status, 200, "control");
}

#[tokio::test]
async fn the_log_level_is_set_at_every_server_that_logs() {
    let Some(beside) = Beside::start("").await else { return };
    let session = Session::open(&beside.mcp()).await;
    let set = session.ask("logging/setLevel", &json!({ "level": "error" })).await;
    assert_eq!(result(&set), json!({}));
    assert!(!beside.journal.messages().contains(&"logging/setLevel".to_owned()), "it does not log");
    let refused = session.ask("logging/setLevel", &json!({ "level": "nonsense" })).await;
    assert!(message(&refused)["error"].is_object(), "{}", refused.text());
    // Where no server logs there is no such method, as at a server that does not.
    let two = Two::echoes().await;
    let unknown = Session::open(&two.mcp()).await.ask("logging/setLevel", &json!({ "level": "error" })).await;
    assert_eq!(message(&unknown)["error"]["code"], -32_601, "{}", unknown.text());
}

#[tokio::test]
async fn f10_streams_end_in_order_when_the_gateway_is_told_to_stop() {
    let two = Two::echoes().await;
    let session = Session::open(&two.mcp()).await;
    let mut listening = Wire::open(two.gateway.port, &head("GET", &session, &[]), "").await;
    listening.until("text/event-stream").await;
    let params = json!({
        "notifications": { "toolsListChanged": true },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    let asked = json!({ "jsonrpc": "2.0", "id": "l2", "method": "subscriptions/listen", "params": params });
    let head = [
        "POST /mcp HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "mcp-protocol-version: 2026-07-28",
        "mcp-method: subscriptions/listen",
    ];
    let mut subscribed = Wire::open(two.gateway.port, &head.map(str::to_owned), &asked.to_string()).await;
    until(&mut subscribed, "notifications/subscriptions/acknowledged", 1).await;
    assert!(!subscribed.until("").await.contains("resultType"), "it is open: {}", subscribed.until("").await);

    kill(Pid::from_raw(two.gateway.pid().try_into().unwrap()), Signal::SIGTERM).unwrap();
    soon(subscribed.until("\r\n0\r\n\r\n")).await;
    let last = subscribed.messages().pop().unwrap();
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!("l2"), &json!("complete")), "{last}");
    assert_eq!(last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l2");
    soon(listening.until("\r\n0\r\n\r\n")).await;
}

#[tokio::test]
async fn whoever_listens_is_told_when_prices_change_and_when_the_door_does() {
    let two = Two::echoes().await;
    let operator = crate::control::Operator::of(&two.gateway);
    let params = json!({ "notifications": { "toolsListChanged": true }, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    } });
    let asked = json!({ "jsonrpc": "2.0", "id": "l1", "method": "subscriptions/listen", "params": params });
    let post = [
        "POST /mcp HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "mcp-protocol-version: 2026-07-28",
        "mcp-method: subscriptions/listen",
    ]
    .map(str::to_owned);
    let session = Session::open(&two.mcp()).await;
    let mut legacy = Wire::open(two.gateway.port, &head("GET", &session, &[]), "").await;
    soon(legacy.until("\r\n\r\n")).await;
    let mut modern = Wire::open(two.gateway.port, &post, &asked.to_string()).await;
    until(&mut modern, "notifications/subscriptions/acknowledged", 1).await;

    let file = |b: &str| format!("servers:\n  a: {{ url: '{}' }}\n{b}", two.a.url());
    let priced = file(&format!("  b: {{ url: '{}', every_tool: {{ price: [0.01USDC] }} }}\n", two.b.url()));
    operator.serve(&two.gateway, &priced).await;
    until(&mut modern, "notifications/tools/list_changed", 1).await;
    until(&mut legacy, "notifications/tools/list_changed", 1).await;
    let told = &modern.messages()[1];
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "l1");
    // The same stream still carries what the servers say.
    two.a.replace_tools(vec![Tool::new("new", Behaviour::Echo)]);
    until(&mut modern, "notifications/tools/list_changed", 2).await;
    let listed = session.ask("tools/list", &json!({})).await;
    assert!(
        listed.text().contains("tollgate/pricing"),
        "the session lives on, with the new price: {}",
        listed.text()
    );

    operator.serve(&two.gateway, &file("")).await;
    until(&mut modern, "notifications/tools/list_changed", 3).await;
    until(&mut modern, "\"resultType\":\"complete\"", 1).await;
    until(&mut legacy, "notifications/tools/list_changed", 2).await;
    // The end of a chunked body.
    until(&mut legacy, "\r\n0\r\n", 1).await;
}
