//! The bridge passes everything on as it is.

use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, call, modern, modern_meta};
use crate::server::{Reply, Server};
use crate::world::World;

fn sse(messages: &[Value]) -> String {
    messages.iter().map(|message| format!("event: message\ndata: {message}\n\n")).collect()
}

#[tokio::test]
async fn messages_keep_their_bytes_and_modern_requests_get_their_headers() {
    // Spellings that a second reader would change: spaces, big and odd numbers, escapes, the order of members.
    let sent = r#"{ "method":"resources/read", "params":{"uri":"a:\u002f°", "n":[1.50e1, 12345678901234567890],"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}},"id":"a\u0062" ,"jsonrpc":"2.0"}"#;
    let answered = "{\"result\" : {\"big\":12345678901234567890,\n\t\"text\":\"a\\u002fb\", \"float\":1.50},\"id\":\"ab\",\r\n\"jsonrpc\":\"2.0\"}\n";
    let server = Server::saying([Reply::json(200, answered)]).await;
    let mut client = Client::new(&server.url(), &World::new());
    client.write(&format!("{sent}\n")).await;
    let line = client.line().await;
    assert_eq!(line, answered.trim_end().replace("\r\n", "  ").replace('\n', " "));

    let asked = server.posted();
    assert_eq!(asked[0].text, sent);
    assert_eq!(asked[0].header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(asked[0].header("mcp-method"), Some("resources/read"));
    assert_eq!(asked[0].header("mcp-name"), Some("=?base64?YTovwrA=?="));
    assert_eq!(asked[0].header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert_eq!(client.end().await, [] as [Value; 0]);
}

#[tokio::test]
async fn several_requests_are_under_way_at_once_and_each_gets_its_answer() {
    let answers = (0..8).map(|n| Reply::result(&json!({ "n": n })));
    let server = Server::saying(answers).await;
    let mut client = Client::new(&server.url(), &World::new());
    for id in 0..8 {
        client.say(&modern(id, "prompts/list", &json!({}))).await;
    }
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(client.hear().await["id"].as_i64().expect("an id"));
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..8).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_legacy_session_is_kept_its_server_may_ask_and_it_is_ended() {
    let initialized = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {} });
    let sampling = json!({ "jsonrpc": "2.0", "id": 77, "method": "sampling/createMessage", "params": {} });
    let log = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": 1 } });
    let answer = r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[]}}"#;
    let stream = format!("{}event: message\ndata: {answer}\n\n", sse(&[log.clone(), sampling.clone()]));
    let server = Server::saying([
        Reply::result(&initialized).with_header("mcp-session-id", "s-1"),
        Reply::json(202, ""),
        Reply::events(stream),
        Reply::json(202, ""),
        Reply::json(200, ""),
    ])
    .await;
    let mut client = Client::new(&server.url(), &World::new());
    client.initialize().await;
    client
        .say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "t" } }))
        .await;
    assert_eq!(client.hear().await, log);
    assert_eq!(client.hear().await, sampling);
    assert_eq!(client.hear().await["id"], 2);
    let sampled = json!({ "jsonrpc": "2.0", "id": 77, "result": { "role": "assistant" } });
    client.say(&sampled).await;
    client.end().await;

    let asked = server.posted();
    assert_eq!(asked[0].header("mcp-protocol-version"), None, "a handshake belongs to no session");
    for later in &asked[1..] {
        assert_eq!(later.header("mcp-session-id"), Some("s-1"));
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-06-18"));
        assert_eq!(later.header("mcp-method"), None);
    }
    assert_eq!(asked[3].body, sampled);
    let goodbye = server.asked().pop().expect("a request");
    assert_eq!((&goodbye.method, goodbye.header("mcp-session-id")), (&Method::DELETE, Some("s-1")));
}

#[tokio::test]
async fn a_broken_legacy_stream_is_taken_up_again_and_the_call_is_not_sent_twice() {
    let initialized = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {} });
    let priming = "id: e-1\nretry: 0\ndata:\n\n";
    let progress =
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } });
    let server = Server::saying([
        Reply::result(&initialized).with_header("mcp-session-id", "s-1"),
        Reply::json(202, ""),
        Reply::events(priming),
        Reply::events(format!("id: e-2\n{}", sse(std::slice::from_ref(&progress)))),
        Reply::events("id: e-3\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[]}}\n\n"),
    ])
    .await;
    let mut client = Client::new(&server.url(), &World::new());
    client.initialize().await;
    client
        .say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "t" } }))
        .await;
    assert_eq!(client.hear().await, progress);
    assert_eq!(client.hear().await, json!({ "jsonrpc": "2.0", "id": 2, "result": { "content": [] } }));
    let resumed: Vec<String> =
        server.asked().iter().filter_map(|asked| asked.header("last-event-id").map(str::to_owned)).collect();
    assert_eq!(resumed, ["e-1", "e-2"]);
    assert_eq!(server.posted().len(), 3);
}

#[tokio::test]
async fn f48_a_broken_modern_stream_is_an_error_and_the_call_is_not_sent_twice() {
    let progress =
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } });
    for broken in [Reply::events(sse(std::slice::from_ref(&progress))), Reply::Cut] {
        let server = Server::saying([broken, Reply::result(&json!({ "content": [] }))]).await;
        let mut client = Client::new(&server.url(), &World::new());
        client.say(&call(5)).await;
        let mut answer = client.hear().await;
        if answer["method"] == "notifications/progress" {
            answer = client.hear().await;
        }
        assert_eq!((&answer["id"], answer["error"].is_object()), (&json!(5), true), "{answer}");
        assert_eq!(server.posted().len(), 1);
        let again = client.ask(&call(6)).await;
        assert!(again["result"].is_object(), "positive control: the next call is answered: {again}");
    }
}

#[tokio::test]
async fn what_is_no_answer_becomes_an_error_with_the_id_of_the_request() {
    let legacy =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "no session" } });
    let own = json!({ "code": -32601, "message": "unknown" });
    let cases = [
        (Reply::json(502, "<html>").with_header("content-type", "text/html"), -32_603, "HTTP 502"),
        (Reply::json(401, "").with_header("content-type", "text/plain"), -32_603, "--header"),
        (Reply::json(200, "[1]"), -32_603, "no JSON-RPC message"),
        (Reply::json(200, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#), -32_603, "without an answer"),
        // What a legacy server says to a modern probe: its own words, so that a client falls back.
        (Reply::json(400, legacy.to_string()), -32_000, "no session"),
        (Reply::error(404, &own), -32_601, "unknown"),
    ];
    for (reply, code, words) in cases {
        let server = Server::saying([reply, Reply::result(&json!({}))]).await;
        let mut client = Client::new(&server.url(), &World::new());
        let answer = client.ask(&modern(7, "server/discover", &json!({}))).await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(code)), "{answer}");
        assert!(answer["error"]["message"].as_str().expect("a sentence").contains(words), "{answer}");
        assert_eq!(server.posted().len(), 1, "errors are not retried");
    }
    let mut client = Client::new("http://127.0.0.1:9/mcp", &World::new());
    let answer = client.ask(&modern(7, "server/discover", &json!({}))).await;
    assert!(
        answer["error"]["message"].as_str().expect("a sentence").contains("Nothing was sent"),
        "{answer}"
    );
}

#[tokio::test]
async fn where_no_other_session_is_to_be_had_a_forgotten_one_is_said_to_be_over() {
    let initialized = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {} });
    let gone =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32001, "message": "Session not found" } });
    let server = Server::saying([
        Reply::result(&initialized).with_header("mcp-session-id", "s-1"),
        Reply::json(202, ""),
        Reply::json(404, gone.to_string()),
        Reply::json(404, gone.to_string()),
        Reply::json(404, ""),
        Reply::json(404, ""),
    ])
    .await;
    let mut client = Client::new(&server.url(), &World::new());
    client.initialize().await;
    for id in [3, 4] {
        let answer = client.ask(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" })).await;
        assert_eq!(answer["id"], id);
        assert!(
            answer["error"]["message"].as_str().expect("a sentence").contains("initialize again"),
            "{answer}"
        );
    }
}

/// A client on standard streams cannot see that its server, or one of several behind a gateway, was started anew.
#[tokio::test]
async fn a_session_that_the_server_forgot_is_opened_anew_and_the_request_sent_in_it() {
    let initialized = json!({ "protocolVersion": "2025-11-25", "serverInfo": {},
        "capabilities": { "tools": { "listChanged": true }, "prompts": {} } });
    let gone =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32001, "message": "Session not found" } });
    let server = Server::saying([
        Reply::result(&initialized).with_header("mcp-session-id", "s-1"),
        Reply::json(202, ""),
        Reply::json(404, gone.to_string()),
        Reply::result(&initialized).with_header("mcp-session-id", "s-2"),
        Reply::json(202, ""),
        Reply::result(&json!({ "content": [] })),
        Reply::result(&json!({ "content": [] })),
        Reply::json(200, ""),
    ])
    .await;
    let mut client = Client::new(&server.url(), &World::new());
    client.initialize().await;
    let call =
        |id: u32| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "t" } });
    client.say(&call(3)).await;
    let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
    assert_eq!(client.hear().await, changed, "what it knows may be out of date");
    assert_eq!(client.hear().await, json!({ "jsonrpc": "2.0", "id": 3, "result": { "content": [] } }));
    assert_eq!(client.ask(&call(4)).await["result"], json!({ "content": [] }));
    client.end().await;

    let asked = server.posted();
    let methods: Vec<&str> = asked.iter().filter_map(|asked| asked.body["method"].as_str()).collect();
    let (hello, call) = (["initialize", "notifications/initialized"].join(" "), "tools/call");
    assert_eq!(methods.join(" "), format!("{hello} {call} {hello} {call} {call}"));
    assert_eq!(asked[3].body["params"], asked[0].body["params"], "as the client opened it");
    assert_eq!(asked[3].header("mcp-session-id"), None);
    for later in &asked[4..] {
        assert_eq!(later.header("mcp-session-id"), Some("s-2"));
    }
    let goodbye = server.asked().pop().expect("a request");
    assert_eq!((&goodbye.method, goodbye.header("mcp-session-id")), (&Method::DELETE, Some("s-2")));
}

#[tokio::test]
async fn arguments_are_mirrored_once_the_server_says_that_it_wants_them() {
    let mismatch = json!({ "code": -32020, "message": "header mismatch" });
    let schema =
        json!({ "type": "object", "properties": { "city": { "type": "string", "x-mcp-header": "City" } } });
    let list = json!({ "resultType": "complete", "tools": [{ "name": "weather", "inputSchema": schema }] });
    let done = json!({ "resultType": "complete", "content": [] });
    let replies =
        [Reply::error(400, &mismatch), Reply::result(&list), Reply::result(&done), Reply::result(&done)];
    let server = Server::saying(replies).await;
    let mut client = Client::new(&server.url(), &World::new());
    for id in [1, 2] {
        assert_eq!(client.ask(&call(id)).await["result"], done);
    }
    let asked = server.posted();
    let methods: Vec<&str> =
        asked.iter().map(|asked| asked.body["method"].as_str().expect("a method")).collect();
    assert_eq!(methods, ["tools/call", "tools/list", "tools/call", "tools/call"]);
    let cities: Vec<Option<&str>> = asked.iter().map(|asked| asked.header("mcp-param-city")).collect();
    assert_eq!(cities, [None, None, Some("Oslo"), Some("Oslo")]);
    assert_eq!(asked[2].text, asked[0].text, "the same bytes");
}

#[tokio::test]
async fn a_line_that_is_no_message_is_answered_and_the_next_one_is_heard() {
    let server = Server::saying([Reply::result(&json!({}))]).await;
    let mut client = Client::new(&server.url(), &World::new());
    let twice = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"a","name":"b"}}"#;
    for (line, code) in [("nonsense", -32_700), (twice, -32_700), ("[]", -32_600), ("{}", -32_600)] {
        client.write(&format!("{line}\n")).await;
        let answer = client.hear().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(code)), "{line}");
    }
    assert_eq!(server.posted().len(), 0);
    let answer = client.ask(&modern(1, "prompts/list", &json!({}))).await;
    assert_eq!(answer["result"], json!({}), "positive control");
}

#[tokio::test]
async fn a_last_line_without_its_end_is_taken_and_still_answered() {
    let server = Server::saying([Reply::result(&json!({ "content": [] }))]).await;
    let client = Client::new(&server.url(), &World::new());
    let line =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "prompts/list", "params": { "_meta": modern_meta() } });
    client.write(&line.to_string()).await;
    let rest = client.end().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0]["id"], 1);
}

#[tokio::test]
async fn m5_every_request_of_a_batch_is_refused_on_its_own_and_none_reaches_the_server() {
    let server = Server::saying([Reply::result(&json!({ "n": 1 }))]).await;
    let mut client = Client::new(&server.url(), &World::new());
    let request = |id: i64| modern(id, "prompts/list", &json!({}));
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
    client.say(&json!([request(1), notification, request(2)])).await;
    client.say(&json!([notification])).await;
    for id in [json!(1), json!(2), json!(null)] {
        let refused = client.hear().await;
        assert_eq!(refused["id"], id, "{refused}");
        assert_eq!(refused["error"]["code"], -32_600);
        assert_eq!(refused["error"]["data"]["error"], "batch_refused");
    }
    assert!(server.posted().is_empty(), "nothing was passed on");
    client.say(&request(3)).await;
    assert_eq!(client.hear().await["id"], 3, "control: the same on a line of its own");
    assert_eq!(server.posted().len(), 1);
}

#[tokio::test]
async fn m5_in_a_session_of_2025_03_26_the_messages_of_a_batch_go_out_alone_and_their_answers_come_back_in_one_line()
 {
    let initialized = json!({ "protocolVersion": "2025-03-26", "capabilities": {}, "serverInfo": {} });
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
    let answer = r#"{"jsonrpc":"2.0","id":{id},"result":{}}"#;
    let streamed = format!("{}event: message\ndata: {answer}\n\n", sse(std::slice::from_ref(&progress)));
    let server = Server::saying([
        Reply::result(&initialized),
        Reply::json(202, ""),
        Reply::json(202, ""),
        Reply::events(streamed.clone()),
        Reply::events(streamed),
        Reply::result(&json!({})),
    ])
    .await;
    let mut client = Client::new(&server.url(), &World::new());
    client.initialize().await;
    let request = |id: i64| json!({ "jsonrpc": "2.0", "id": id, "method": "prompts/list" });
    let no_message = json!({ "jsonrpc": "2.0", "id": 5 });
    client.say(&json!([request(1), progress, no_message, request(2)])).await;
    for _ in 0..2 {
        assert_eq!(client.hear().await, progress, "what comes before an answer does not wait for the others");
    }
    let mut answers = client.hear().await;
    let answers = answers.as_array_mut().expect("the answers in one line");
    answers.sort_by_key(|answer| answer["id"].as_i64());
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "id": 2, "result": {} }));
    assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&json!(5), &json!(-32_600)));
    // Nothing waits for an answer, and the handshake comes alone.
    client.say(&json!([progress])).await;
    let opening = json!({ "jsonrpc": "2.0", "id": 8, "method": "initialize" });
    client.say(&json!([opening, request(9)])).await;
    for id in [8, 9] {
        let refused = client.hear().await;
        assert_eq!(
            (&refused["id"], &refused["error"]["data"]["error"]),
            (&json!(id), &json!("batch_refused"))
        );
    }
    let posted = server.posted();
    let said: Vec<&Value> = posted[2..].iter().map(|posted| &posted.body["method"]).collect();
    assert_eq!(said, ["notifications/progress", "prompts/list", "prompts/list", "notifications/progress"]);
    for posted in &posted[1..] {
        assert_eq!(posted.header("mcp-protocol-version"), Some("2025-03-26"));
    }
}
