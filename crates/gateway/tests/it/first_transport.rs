//! Servers that still speak MCP's first HTTP transport (2024-11-05), behind the gateway: the official reference server.

use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::{Everything, available};

use crate::world::{Demand, Gateway, PRICE, PRICED, World, base64_encode, code, delivered, post, statement};

const START: u128 = 100_000_000;

#[tokio::test]
async fn a_server_of_the_first_transport_is_sold_to_clients_of_todays() {
    let Some(mut everything) = available(Everything::start_sse().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers: {{ old: {{ url: '{}', transport: sse, tools: {{ echo: {PRICED} }}, every_tool: {{}} }} }}\n",
        everything.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let world = World { journal: Journal::start(Script::new()).await.unwrap(), gateway, folder };
    let mcp = world.gateway.mcp();
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let accept = ("accept", "application/json, text/event-stream");
    let welcome = post(&mcp, &hello, &[accept]).await;
    assert_eq!(welcome.status, 200, "{}", welcome.text());
    let session = welcome.header("mcp-session-id").unwrap().to_owned();
    let within = [accept, ("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(post(&mcp, &initialized, &within).await.status, 202);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let listed = last_message(&post(&mcp, &list, &within).await.text());
    let tools = listed["result"]["tools"].as_array().unwrap();
    let echo = tools.iter().find(|tool| tool["name"] == "echo").unwrap();
    assert!(echo["_meta"]["tollgate/pricing"].is_object(), "{echo}");

    // A free tool, then the priced one: unpaid, paid, and paid over the other door.
    let call = |tool: &str, arguments: Value, meta: Value| {
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments, "_meta": meta } })
    };
    let free = tools.iter().any(|tool| tool["name"] == "get-sum");
    let sum = call(if free { "get-sum" } else { "add" }, json!({ "a": 2, "b": 3 }), json!({}));
    assert!(last_message(&post(&mcp, &sum, &within).await.text()).to_string().contains('5'));
    let words = json!({ "message": "hello" });
    let ask = async || Demand::read(&post(&mcp, &call("echo", words.clone(), json!({})), &within).await);
    let credential = world.l402_credential_of(&ask().await).await;
    let paid =
        post(&mcp, &call("echo", words.clone(), json!({ "l402/authorization": credential })), &within).await;
    let result = delivered(&paid);
    assert!(result["content"][0]["text"].as_str().unwrap().contains("hello"), "{result}");
    assert_eq!(statement(&result)["charged"], true);
    let x402 = base64_encode(ask().await.sign(&world.payer()).to_string().as_bytes());
    let body = json!({ "tool_name": "echo", "arguments": words });
    let execute = format!("{}/api/v1/execute", world.gateway.url);
    let rest = post(&execute, &body, &[("payment-signature", &x402)]).await;
    assert!(rest.status == 200 && rest.text().contains("hello"), "{}", rest.text());
    assert_eq!(world.payer_balance().await, START - PRICE);

    // The server is gone: told, and nothing is charged.
    let x402 = base64_encode(ask().await.sign(&world.payer()).to_string().as_bytes());
    everything.kill();
    let gone = post(&execute, &body, &[("payment-signature", &x402)]).await;
    assert_eq!(gone.status, 502, "{}", gone.text());
    assert!(["upstream_broken", "upstream_unreachable"].contains(&code(&gone).as_str()), "{}", gone.text());
    assert_eq!(world.payer_balance().await, START - PRICE);
    world.gateway.assert_books_in_order();
}

/// The answer, whether it came as JSON or as the last event of a stream.
fn last_message(text: &str) -> Value {
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
    serde_json::from_str(last.unwrap_or(text)).unwrap_or_else(|_| panic!("no message: {text}"))
}
