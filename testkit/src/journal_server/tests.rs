use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::http::{self as peer, Answer};

/// Longer than any answer here takes; only a broken test waits it out.
const LIMIT: Duration = Duration::from_secs(30);

fn modern(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}},"progressToken":"p"}}}}}}"#
    )
}

async fn post(journal: &Journal, headers: &[(&str, &str)], body: &str) -> Result<Answer, peer::HttpError> {
    tokio::time::timeout(LIMIT, peer::send(Method::POST, &journal.url(), headers, body.to_owned()))
        .await
        .unwrap()
}

/// Sends a call on a plain socket and returns all that comes back until the other side closes or resets.
async fn raw(journal: &Journal, tool: &str) -> (String, std::io::Result<()>) {
    let body = modern(tool, "{}");
    let mut stream = TcpStream::connect(journal.address()).await.unwrap();
    let head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let ended = loop {
        let mut part = [0; 4096];
        match tokio::time::timeout(LIMIT, stream.read(&mut part)).await.unwrap() {
            Ok(0) => break Ok(()),
            Ok(length) => received.extend_from_slice(&part[..length]),
            Err(error) => break Err(error),
        }
    };
    (String::from_utf8(received).unwrap(), ended)
}

#[tokio::test]
async fn a_modern_call_is_journalled_byte_for_byte() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let arguments = r#"{"b" : 1e0, "a":10000000000000000001}"#;
    let body = modern("echo", arguments);
    let answer = post(&journal, &[("x-trace", "t1")], &body).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(arguments), "{}", answer.text());
    let answer = answer.json().unwrap();
    assert_eq!(answer["result"]["resultType"], "complete");
    assert_eq!(answer["id"], 7);

    let [call] = journal.calls_to("echo").try_into().unwrap();
    assert_eq!(call.body, body.as_bytes());
    assert_eq!(call.arguments, arguments);
    assert_eq!(call.header("x-trace"), Some("t1"));
    assert_eq!(call.era, Era::Modern);
    assert_eq!(journal.executions(), 1);
}

#[tokio::test]
async fn an_unknown_tool_is_journalled_and_not_run() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let answer = post(&journal, &[], &modern("gone", "{}")).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.json().unwrap()["error"]["code"].clone()),
        (404, json!(-32_602))
    );
    assert_eq!((journal.calls().len(), journal.executions()), (1, 0));
    journal.clear();
    assert!(journal.calls().is_empty() && journal.messages().is_empty());
}

#[tokio::test]
async fn a_legacy_session_lives_until_it_is_ended() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}).to_string();
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {}}});
    let call = call.to_string();
    let opened = post(&journal, &[], &initialize).await.unwrap();
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let with_session = [("mcp-session-id", session.as_str())];

    assert_eq!(post(&journal, &[], &call).await.unwrap().status, 400);
    assert_eq!(post(&journal, &[("mcp-session-id", "session-99")], &call).await.unwrap().status, 404);
    assert_eq!(journal.calls().len(), 0, "neither reached a tool");
    let answered = post(&journal, &with_session, &call).await.unwrap().json().unwrap();
    assert_eq!(answered["result"]["structuredContent"], json!({"echo": {}}));
    assert_eq!(answered["result"].get("resultType"), None);
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    assert_eq!(post(&journal, &with_session, &initialized).await.unwrap().status, 202);

    let ended = peer::send(Method::DELETE, &journal.url(), &with_session, "").await.unwrap();
    assert_eq!(ended.status, 200);
    assert_eq!(post(&journal, &with_session, &call).await.unwrap().status, 404);
    let expected = [
        "initialize",
        "tools/call",
        "tools/call",
        "tools/call",
        "notifications/initialized",
        "DELETE",
        "tools/call",
    ];
    assert_eq!(journal.messages(), expected);
}

#[tokio::test]
async fn scripted_answers_come_as_scripted() {
    let script = Script::new()
        .tool("fail", Behaviour::Fail("no".to_owned()))
        .tool("error", Behaviour::Error { code: -32_000, message: "down".to_owned() })
        .tool("huge", Behaviour::Huge { bytes: 300_000 })
        .tool(
            "garbage",
            Behaviour::Raw {
                status: 200,
                content_type: "application/json".to_owned(),
                body: "{\"id\":{id}".to_owned(),
            },
        );
    let journal = Journal::start(script).await.unwrap();
    let result = async |tool: &str| post(&journal, &[], &modern(tool, "{}")).await.unwrap();
    assert_eq!(result("fail").await.json().unwrap()["result"]["isError"], json!(true));
    assert_eq!(result("error").await.json().unwrap()["error"]["message"], json!("down"));
    assert!(result("huge").await.body.len() > 300_000);
    assert_eq!(result("garbage").await.text(), "{\"id\":7");
    assert_eq!(journal.executions(), 4);
}

#[tokio::test]
async fn a_hanging_call_waits_for_its_release_and_an_abandoned_one_is_noticed() {
    let journal = Journal::start(Script::new().tool("hang", Behaviour::Hang)).await.unwrap();
    let body = modern("hang", "{}");
    {
        let mut abandoned = std::pin::pin!(post(&journal, &[], &body));
        tokio::select! {
            _answer = &mut abandoned => panic!("it hangs"),
            () = journal.wait_for_executions(1) => {}
        }
    }
    tokio::time::timeout(LIMIT, journal.wait_for_abandoned(1)).await.unwrap();

    let released = async {
        journal.wait_for_executions(2).await;
        journal.release();
    };
    let (answer, ()) = tokio::join!(post(&journal, &[], &body), released);
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(journal.abandoned(), 1);
}

#[tokio::test]
async fn progress_comes_step_by_step_and_then_the_result_or_a_reset() {
    let script = Script::new()
        .tool("work", Behaviour::Progress { steps: 2 })
        .tool("break", Behaviour::ProgressThenReset { steps: 1 });
    let journal = Journal::start(script).await.unwrap();
    journal.step(3);
    let answer = post(&journal, &[], &modern("work", "{}")).await.unwrap();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let messages: Vec<Value> = answer
        .text()
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[1]["params"], json!({"progressToken": "p", "progress": 2, "total": 2}));
    assert_eq!(messages[2]["id"], 7);
    assert!(post(&journal, &[], &modern("break", "{}")).await.is_err());
}

#[tokio::test]
async fn stamped_events_say_when_they_were_made() {
    let journal = Journal::start(
        Script::new().tool("work", Behaviour::Stamped { steps: 2, apart: Duration::from_micros(1) }),
    )
    .await
    .unwrap();
    let before = crate::clock::monotonic_ns().unwrap();
    let answer = post(&journal, &[], &modern("work", "{}")).await.unwrap().text();
    let made: Vec<u64> = answer
        .split("\"message\":\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect();
    assert!(made.len() == 2 && before <= made[0] && made[0] <= made[1], "{answer}");
    assert!(made[1] <= crate::clock::monotonic_ns().unwrap());
    assert!(answer.trim_end().lines().last().unwrap().contains("\"id\":7"), "{answer}");
}

#[tokio::test]
async fn an_endless_answer_is_abandoned_by_whoever_has_enough_of_it() {
    for (kind, begins) in [
        (Endless::Json, "{\"jsonrpc\""),
        (Endless::Event, "data: {\"jsonrpc\""),
        (Endless::Events, "event: message"),
        (Endless::Compressed, "content-encoding: gzip"),
    ] {
        let journal = Journal::start(Script::new().tool("work", Behaviour::Endless(kind))).await.unwrap();
        let mut stream = TcpStream::connect(journal.address()).await.unwrap();
        let body = modern("work", "{}");
        let head = format!("POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        tokio::time::timeout(LIMIT, read_until(&mut stream, begins)).await.unwrap();
        drop(stream);
        tokio::time::timeout(LIMIT, journal.wait_for_abandoned(1)).await.unwrap();
    }
}

#[tokio::test]
async fn connections_break_the_way_they_are_told_to() {
    let script = Script::new()
        .tool("half", Behaviour::HalfClose)
        .tool("reset", Behaviour::ResetMidBody)
        .tool("truncate", Behaviour::TruncatedChunk)
        .tool("whole", Behaviour::Echo);
    let journal = Journal::start(script).await.unwrap();
    let (text, ended) = raw(&journal, "half").await;
    assert!(
        text.contains("content-length: 1000") && text.ends_with("hal") && ended.is_ok(),
        "{text} {ended:?}"
    );
    let (_text, ended) = raw(&journal, "reset").await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let (text, ended) = raw(&journal, "truncate").await;
    assert!(text.contains("chunked") && text.contains("\r\n3e8\r\n") && ended.is_ok(), "{text} {ended:?}");
    for tool in ["half", "reset", "truncate"] {
        assert!(post(&journal, &[], &modern(tool, "{}")).await.is_err(), "{tool}");
    }
    assert_eq!(post(&journal, &[], &modern("whole", "{}")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_changed_tool_list_is_announced_in_both_eras() {
    let changed = vec![Tool::new("new", Behaviour::Echo)];
    let journal =
        Journal::start(Script::new().tool("change", Behaviour::ChangeTools(changed))).await.unwrap();
    let listen = modern("", "{}").replace("tools/call", "subscriptions/listen");
    let mut modern_stream = TcpStream::connect(journal.address()).await.unwrap();
    let head =
        format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{listen}", listen.len());
    modern_stream.write_all(head.as_bytes()).await.unwrap();
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}).to_string();
    let session = post(&journal, &[], &initialize).await.unwrap();
    let session = session.header("mcp-session-id").unwrap();
    let mut legacy_stream = TcpStream::connect(journal.address()).await.unwrap();
    let head = format!("GET /mcp HTTP/1.1\r\nhost: localhost\r\nmcp-session-id: {session}\r\n\r\n");
    legacy_stream.write_all(head.as_bytes()).await.unwrap();
    // Both are open once their heads are here.
    read_until(&mut modern_stream, "subscriptions/acknowledged").await;
    read_until(&mut legacy_stream, "\r\n\r\n").await;

    assert_eq!(post(&journal, &[], &modern("change", "{}")).await.unwrap().status, 200);
    read_until(&mut modern_stream, "notifications/tools/list_changed").await;
    read_until(&mut legacy_stream, "notifications/tools/list_changed").await;
    let listed = post(&journal, &[], &modern("", "{}").replace("tools/call", "tools/list")).await.unwrap();
    assert_eq!(listed.json().unwrap()["result"]["tools"][0]["name"], json!("new"));
}

async fn read_until(stream: &mut TcpStream, end: &str) {
    let mut received = String::new();
    while !received.contains(end) {
        let mut part = [0; 1024];
        let length = tokio::time::timeout(LIMIT, stream.read(&mut part)).await.unwrap().unwrap();
        assert_ne!(length, 0, "closed after {received}");
        received.push_str(std::str::from_utf8(&part[..length]).unwrap());
    }
}

#[tokio::test]
async fn eras_can_be_switched_off() {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}).to_string();
    let legacy = Journal::start(Script::echo().legacy_only()).await.unwrap();
    assert_eq!(post(&legacy, &[], &initialize).await.unwrap().status, 200);
    assert_eq!(post(&legacy, &[], &modern("echo", "{}")).await.unwrap().status, 400);
    let modern_only = Journal::start(Script::echo().modern_only()).await.unwrap();
    assert_eq!(post(&modern_only, &[], &initialize).await.unwrap().status, 400);
    assert_eq!(post(&modern_only, &[], &modern("echo", "{}")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_dropped_upstream_refuses_connections() {
    let journal = Journal::start_on_own_thread(Script::bench()).unwrap();
    let answer = post(&journal, &[], &modern("echo", "{}")).await.unwrap();
    assert!((330..=370).contains(&answer.body.len()), "{}", answer.body.len());
    assert_eq!((journal.calls().len(), journal.executions()), (0, 1));
    let address = journal.address();
    drop(journal);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_stopped_upstream_refuses_connections_and_keeps_its_journal() {
    let journal = Journal::start(Script::new().tool("hang", Behaviour::Hang)).await.unwrap();
    let body = modern("hang", "{}");
    let stopped = async {
        journal.wait_for_executions(1).await;
        journal.stop().await;
    };
    let (answer, ()) = tokio::join!(post(&journal, &[], &body), stopped);
    assert!(answer.is_err(), "the running call was cut off");
    assert!(post(&journal, &[], &body).await.is_err());
    assert_eq!(journal.calls().len(), 1);
}
