//! What is no message with a single reading, or says two things, is refused at the door of several servers as at that of one.

use serde_json::json;
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Journal, Script};

use super::{Session, Two, modern};
use crate::world::{call, call_body, code, delivered, modern_headers};

/// What is made of a whole message, under which code it is refused, and which error of JSON-RPC that is.
type Case = (&'static str, fn(&str) -> String, &'static str, i64);

const CASES: [Case; 9] = [
    ("half a message", |body| body[..body.len() - 1].to_owned(), "malformed_frame", -32_700),
    ("two messages", |body| body.repeat(2), "malformed_frame", -32_700),
    ("a byte order mark", |body| format!("\u{feff}{body}"), "malformed_frame", -32_700),
    (
        "a name twice in the arguments",
        |body| body.replace(r#""arguments":{}"#, r#""arguments":{"a":1,"a":2}"#),
        "malformed_frame",
        -32_700,
    ),
    (
        "two methods",
        |body| body.replace(r#""jsonrpc""#, r#""method":"tools/list","jsonrpc""#),
        "malformed_frame",
        -32_700,
    ),
    (
        "a look-alike of a method",
        |body| body.replace(r#""jsonrpc""#, r#""Method":"tools/list","jsonrpc""#),
        "malformed_frame",
        -32_600,
    ),
    ("a call without an id", |body| body.replace(r#""id":1,"#, ""), "malformed_frame", -32_600),
    ("a batch of one", |body| format!("[{body}]"), "batch_refused", -32_600),
    ("an empty batch", |_| "[]".to_owned(), "batch_refused", -32_600),
];

fn assert_refused(answer: &Answer, word: &str, json_rpc: i64, what: &str) {
    let said = answer.json().unwrap();
    assert_eq!(
        (answer.status.as_u16(), code(answer).as_str(), said["error"]["code"].as_i64()),
        (400, word, Some(json_rpc)),
        "{what}: {said}"
    );
}

fn assert_untouched(servers: [&Journal; 2], what: &str) {
    // What the gateway itself asks comes when it comes.
    let own = ["tools/list", "initialize", "notifications/initialized", "GET", "server/discover"];
    for journal in servers {
        let mut asked = journal.messages();
        asked.retain(|method| !own.contains(&method.as_str()));
        assert!(asked.is_empty(), "{what}: {asked:?}");
    }
}

#[tokio::test]
async fn m2_m3_m4_m5_what_is_not_one_message_is_refused_at_the_door_of_several_and_nobody_is_asked() {
    let two = Two::new([Script::echo(), Script::echo()], ["", ", every_tool: { price: [] }"], "").await;
    let session = Session::open(&two.mcp()).await;
    modern(&two.mcp(), "tools/list", &json!({})).await;
    two.a.clear();
    two.b.clear();
    for tool in ["a__echo", "b__echo"] {
        let whole = call_body(tool, &json!({}), &json!({})).to_string();
        let legacy = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": tool, "arguments": {} } })
        .to_string();
        let headers = modern_headers(tool);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        for (what, edit, word, json_rpc) in CASES {
            let stateless = send(http::Method::POST, &two.mcp(), &headers, edit(&whole)).await.unwrap();
            let in_session = session.send(http::Method::POST, &edit(&legacy)).await;
            for answer in [stateless, in_session] {
                assert_refused(&answer, word, json_rpc, what);
            }
        }
        for (what, name, value) in [
            ("the name of another tool", "mcp-name", "b__other"),
            ("the server's own name", "mcp-name", "echo"),
            ("another method", "mcp-method", "tools/list"),
            ("another version", "mcp-protocol-version", "2025-11-25"),
        ] {
            let mut headers = headers.clone();
            headers.retain(|(other, _)| *other != name);
            let missing = send(http::Method::POST, &two.mcp(), &headers, whole.clone()).await.unwrap();
            headers.push((name, value));
            let untrue = send(http::Method::POST, &two.mcp(), &headers, whole.clone()).await.unwrap();
            for answer in [missing, untrue] {
                assert_refused(&answer, "header_mismatch", -32_020, what);
                assert_eq!(answer.json().unwrap()["id"], 1, "{what}");
            }
        }
    }
    assert_untouched([&two.a, &two.b], "refused");
    for tool in ["a__echo", "b__echo"] {
        delivered(&call(&two.mcp(), tool, &json!({}), &json!({}), &[]).await);
        delivered(&session.call(tool, &json!({})).await);
    }
    assert_eq!((two.a.executions(), two.b.executions()), (2, 2), "control");
}
