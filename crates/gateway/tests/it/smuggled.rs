//! Answers under ids that are not theirs: what a client was not to have must not reach it as the answer to something else.

use serde_json::{Value, json};
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Journal, Script};

use crate::world::{Gateway, PRICE, PRICED, START, World, post, soon, statement};

/// A program that answers a call only when it is next pinged, and does not mind that the call was cancelled.
const PROGRAM: &str = r#"
say() { printf '%s\n' "$1"; }
while IFS= read -r line; do
  id=$(say "$line" | sed -nE 's/^[{][^{]*"id":("[^"]*"|-?[0-9]+).*/\1/p')
  case $line in
    *'"method":"initialize"'*)
      say '{"jsonrpc":"2.0","id":'"$id"',"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}' ;;
    *'"method":"notifications/cancelled"'*) say "$line" >> cancelled ;;
    *'"method":"notifications/'*) ;;
    *'"method":"tools/list"'*)
      say '{"jsonrpc":"2.0","id":'"$id"',"result":{"tools":[{"name":"slow","inputSchema":{"type":"object"}}]}}' ;;
    *'"method":"tools/call"'*) call=$id; say "$id" >> called ;;
    *'"method":"ping"'*)
      [ -n "$call" ] && say '{"jsonrpc":"2.0","id":'"$call"',"result":{"content":[{"type":"text","text":"worth paying for"}]}}'
      call=
      say '{"jsonrpc":"2.0","id":'"$id"',"result":{}}' ;;
    *) say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"no"}}' ;;
  esac
done
"#;

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

fn hello() -> Value {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } })
}

/// The messages of an answer, however it is framed.
fn messages(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let all = if events.is_empty() { vec![text.as_str()] } else { events };
    all.into_iter().filter_map(|message| serde_json::from_str(message).ok()).collect()
}

#[tokio::test]
async fn m6_the_answer_of_a_paid_call_does_not_come_as_that_of_another_request() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("slow.sh"), PROGRAM).unwrap();
    let yaml = format!("servers: {{ up: {{ command: [sh, slow.sh], tools: {{ slow: {PRICED} }} }} }}\n");
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let world = World { journal: Journal::start(Script::new()).await.unwrap(), gateway, folder };
    let mcp = world.gateway.mcp();
    let session = post(&mcp, &hello(), &[ACCEPT]).await.header("mcp-session-id").unwrap().to_owned();
    let within = [ACCEPT, ("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let call = async |id: u32| {
        let payment = world.x402_payment("slow", &json!({})).await;
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "slow", "arguments": {}, "_meta": { "x402/payment": payment } } })
    };
    let ping = |id: u32| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    // What the program has written down, once it is so many lines.
    let written = async |file: &str, lines: usize| {
        soon(async {
            loop {
                let text = std::fs::read_to_string(world.folder.path().join(file)).unwrap_or_default();
                if text.lines().count() >= lines {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    };

    // A call is cancelled, and another request takes its id before the program has answered.
    let first = call(7).await;
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    let (lost, ()) = tokio::join!(post(&mcp, &first, &within), async {
        written("called", 1).await;
        assert_eq!(post(&mcp, &cancel, &within).await.status, 202);
    });
    assert!(!lost.text().contains("worth paying"), "{}", lost.text());
    let pong = post(&mcp, &ping(7), &within).await;
    assert_eq!(messages(&pong), [json!({ "jsonrpc": "2.0", "id": 7, "result": {} })], "{}", pong.text());
    let (called, cancelled) = (written("called", 1).await, written("cancelled", 1).await);
    assert!(
        cancelled.contains(&format!("\"requestId\":{}", called.trim())),
        "it is told by its own id what is cancelled: {cancelled} {called}"
    );
    assert_eq!(world.payer_balance().await, START);

    // Control: nobody cancels. The answer has the id of its call, and is paid for.
    let second = call(8).await;
    let (paid, _) = tokio::join!(post(&mcp, &second, &within), async {
        written("called", 2).await;
        post(&mcp, &ping(9), &within).await
    });
    let answer = messages(&paid).pop().unwrap();
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!(8), &json!("worth paying for"))
    );
    assert_eq!(statement(&answer["result"])["charged"], true);
    assert_eq!(world.payer_balance().await, START - PRICE);
    world.gateway.assert_books_in_order();
}
