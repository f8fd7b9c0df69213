//! M3, M4 and the limits: what is no message with a single reading is refused before anything is forwarded.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Behaviour, Script};

use super::{Session, post_modern};
use crate::world::{Demand, PRICED, World, base64_encode, call_body, code, delivered, modern_headers, post};

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

async fn world() -> World {
    let script = Script::echo().tool("free", Behaviour::Echo);
    World::new(script, &[("echo", PRICED), ("free", "{ price: [] }")]).await
}

/// A call of the free tool with these raw arguments, in the era of sessions or after it.
fn free_call(modern: bool, arguments: &str) -> String {
    let meta = if modern { META } else { r#""_meta":{}"# };
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"free","arguments":{arguments},{meta}}}}}"#
    )
}

/// Sends a body in both eras: as it is, and with `_meta` as the era of sessions has it.
async fn in_both_eras(world: &World, session: &Session, body: impl Fn(bool) -> Vec<u8>) -> [Answer; 2] {
    [post_modern(&world.gateway.mcp(), "free", body(true)).await, session.post(body(false)).await]
}

fn assert_malformed(answers: &[Answer], json_rpc: &[i64], what: &str) {
    for answer in answers {
        assert_eq!((answer.status.as_u16(), code(answer).as_str()), (400, "malformed_frame"), "{what}");
        let said = answer.json().unwrap()["error"]["code"].as_i64().unwrap();
        assert!(json_rpc.contains(&said), "{what}: {said}");
    }
}

/// The same call as it should be is forwarded with the bytes that were sent.
async fn assert_control(world: &World, session: &Session) {
    assert!(world.journal.calls().is_empty(), "something was forwarded: {:?}", world.journal.calls());
    let arguments = r#"{"z": 1.10,"a":1e3, "name":"echo","deep":[[[]]],"n":"\u006e\ud83d\ude00"}"#;
    for answer in in_both_eras(world, session, |modern| free_call(modern, arguments).into_bytes()).await {
        delivered(&answer);
    }
    let bodies: Vec<Vec<u8>> = world.journal.calls().iter().map(|call| call.body.to_vec()).collect();
    let sent = [true, false].map(|modern| free_call(modern, arguments).into_bytes());
    assert_eq!(bodies, sent, "control: byte for byte");
}

#[tokio::test]
async fn m4_a_text_with_two_readings_is_refused_before_anything_is_forwarded() {
    let world = world().await;
    let session = Session::open(&world.gateway.mcp()).await;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(70), "]".repeat(70));
    let long = format!("{{\"a\":{}}}", "9".repeat(1_000_000));
    let in_arguments = [
        ("a name twice", r#"{"a":1,"a":2}"#),
        ("a name twice, once escaped", r#"{"a":1,"\u0061":2}"#),
        ("a name twice, deep inside", r#"{"x":[{"y":{"a":1,"b":2,"a":1}}]}"#),
        ("half a surrogate pair", r#"{"a":"\ud83d"}"#),
        ("half a surrogate pair in a name", r#"{"\udc00":1}"#),
        ("surrogates in the wrong order", r#"{"a":"\ude00\ud83d"}"#),
        ("a number that is none", r#"{"a":01}"#),
        ("NaN", r#"{"a":NaN}"#),
        ("a trailing comma", r#"{"a":1,}"#),
        ("a comment", r#"{"a":1/**/}"#),
        ("single quotes", "{'a':1}"),
        ("a raw control character", "{\"a\":\"\u{1}\"}"),
        ("more than 64 levels", &deep),
        ("a number of a million digits", &long),
    ];
    for (what, arguments) in in_arguments {
        let answers =
            in_both_eras(&world, &session, |modern| free_call(modern, arguments).into_bytes()).await;
        assert_malformed(&answers, &[-32_700], what);
    }
    type Edit = fn(String) -> Vec<u8>;
    let edits: [(&str, Edit); 10] = [
        ("a byte order mark", |body| [b"\xef\xbb\xbf", body.as_bytes()].concat()),
        ("UTF-16", |body| body.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("invalid UTF-8", |body| replace(&body, b"\"free\"", b"\"fr\xffee\"")),
        ("an overlong form", |body| replace(&body, b"\"free\"", b"\"\xc1\xa6ree\"")),
        ("data after the message", |body| (body + "{}").into_bytes()),
        ("a second message after the first", |body| body.repeat(2).into_bytes()),
        ("a NUL after the message", |body| (body + "\0").into_bytes()),
        ("half a message", |body| body.as_bytes()[..body.len() - 1].to_vec()),
        ("two names of a tool", |body| {
            body.replace(r#""name":"free""#, r#""name":"free","name":"echo""#).into_bytes()
        }),
        ("two methods", |body| body.replace(r#""id":1"#, r#""id":1,"method":"tools/list""#).into_bytes()),
    ];
    for (what, edit) in edits {
        let answers = in_both_eras(&world, &session, |modern| edit(free_call(modern, "{}"))).await;
        assert_malformed(&answers, &[-32_700], what);
    }
    assert_control(&world, &session).await;
}

fn replace(text: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = text.as_bytes().windows(from.len()).position(|window| window == from).unwrap();
    [&text.as_bytes()[..at], to, &text.as_bytes()[at + from.len()..]].concat()
}

#[tokio::test]
async fn m3_a_name_that_another_reader_takes_for_a_reserved_one_is_refused() {
    let world = world().await;
    let session = Session::open(&world.gateway.mcp()).await;
    let beside_the_method = [
        "Method",
        "METHOD",
        "mеthod",
        "method\\u0000",
        "metho\\u200bd",
        "Params",
        "param\u{17f}",
        "ID",
        "jsonRPC",
    ];
    for name in beside_the_method {
        let member = format!(r#"{{"{name}":"x","jsonrpc""#);
        let body = |modern: bool| free_call(modern, "{}").replacen(r#"{"jsonrpc""#, &member, 1).into_bytes();
        assert_malformed(&in_both_eras(&world, &session, body).await, &[-32_600], name);
    }
    for name in ["Name", "nаme", "ｎame", "name ", "Arguments", "argument\u{17f}", "_Meta", "_\u{2062}meta"]
    {
        let member = format!(r#""params":{{"{name}":"echo","name""#);
        let body =
            |modern: bool| free_call(modern, "{}").replacen(r#""params":{"name""#, &member, 1).into_bytes();
        assert_malformed(&in_both_eras(&world, &session, body).await, &[-32_600], name);
    }
    // In place of the real one it is no better: there is no call without a name.
    for (real, look_alike) in
        [("\"name\"", "\"Name\""), ("\"method\"", "\"Method\""), ("\"params\"", "\"Params\"")]
    {
        let body = |modern: bool| free_call(modern, "{}").replacen(real, look_alike, 1).into_bytes();
        let refused = in_both_eras(&world, &session, body).await;
        assert_malformed(&refused, &[-32_600, -32_602], look_alike);
    }
    assert_control(&world, &session).await;
    // Inside the arguments every name is the tool's own.
    let own = r#"{"Name":1,"METHOD":2,"param\u017f":3}"#;
    for answer in in_both_eras(&world, &session, |modern| free_call(modern, own).into_bytes()).await {
        delivered(&answer);
    }
}

#[tokio::test]
async fn m3_a_method_that_another_reader_takes_for_a_call_is_not_forwarded() {
    let world = world().await;
    let session = Session::open(&world.gateway.mcp()).await;
    let methods = [
        "Tools/Call",
        "TOOLS/CALL",
        "tools/call ",
        " tools/call",
        "tools/call\\u0000",
        "tools∕call",
        "tооls/call",
        "tool\u{17f}/call",
    ];
    world.journal.clear();
    for method in methods {
        let body = free_call(false, "{}").replace("tools/call", method).replace("\"free\"", "\"echo\"");
        assert_malformed(&[session.post(body).await], &[-32_600], method);
    }
    // What the gateway itself asks on its own session comes when it comes.
    let mut forwarded = world.journal.messages();
    let own = ["initialize", "notifications/initialized", "tools/list", "GET"];
    forwarded.retain(|method| !own.contains(&method.as_str()));
    assert!(forwarded.is_empty(), "forwarded: {forwarded:?}");
    assert_control(&world, &session).await;
}

#[tokio::test]
async fn m3_a_tools_name_is_its_name_to_the_letter() {
    let world = world().await;
    for name in ["Echo", "ECHO", "echo ", "еcho", "echo\u{200b}"] {
        let mut body = call_body(name, &json!({}), &json!({}));
        body["id"] = json!(3);
        let header = if name.is_ascii() { name.trim().to_owned() } else { sentinel(name) };
        let refused = post_modern(&world.gateway.mcp(), &header, body.to_string()).await;
        assert!([200, 400, 404].contains(&refused.status.as_u16()), "{name:?}");
        assert!(
            ["unknown_tool", "invalid_arguments", "header_mismatch"].contains(&code(&refused).as_str()),
            "{name:?}: {}",
            refused.text()
        );
    }
    assert!(world.journal.calls().is_empty());
    Demand::read(&world.call("echo", &json!({})).await);
    delivered(&world.call("free", &json!({})).await);
}

fn sentinel(text: &str) -> String {
    format!("=?base64?{}?=", base64_encode(text.as_bytes()))
}

#[tokio::test]
async fn m4_the_plain_http_doors_are_as_strict() {
    let world = world().await;
    let headers = [("content-type", "application/json")];
    let send = async |path: &str, body: String| {
        send(Method::POST, &format!("{}{path}", world.gateway.url), &headers, body).await.unwrap()
    };
    for arguments in [r#"{"a":1,"a":2}"#, r#"{"a":"\ud800"}"#, r#"{"x":{"a":1,"\u0061":1}}"#] {
        let rest =
            send("/api/v1/execute", format!(r#"{{"tool_name":"free","arguments":{arguments}}}"#)).await;
        assert_eq!((rest.status.as_u16(), code(&rest).as_str()), (400, "malformed_frame"), "{arguments}");
        assert_malformed(&[send("/v1/execute", free_call(false, arguments)).await], &[-32_700], arguments);
    }
    for body in [
        r#"{"tool_name":"free","tool_name":"echo","arguments":{}}"#,
        r#"{"tool_name":"free","arguments":{}}{}"#,
        r#"{"tool_name":"free","arguments":{},"Tool_Name":"echo"}"#,
        "",
    ] {
        let rest = send("/api/v1/execute", body.to_owned()).await;
        assert_eq!((rest.status.as_u16(), code(&rest).as_str()), (400, "malformed_frame"), "{body}");
    }
    assert!(world.journal.calls().is_empty());
    let rest = send("/api/v1/execute", r#"{"tool_name":"free","arguments":{"a":1.0}}"#.to_owned()).await;
    assert_eq!(rest.status, 200, "{}", rest.text());
    assert_eq!(world.journal.calls()[0].arguments, r#"{"a":1.0}"#, "control: byte for byte");
}

#[tokio::test]
async fn m4_a_body_that_the_server_would_decode_to_another_call_is_refused() {
    let world = world().await;
    let session = Session::open(&world.gateway.mcp()).await;
    // In UTF-7 the argument ends early and a second name follows: a priced tool at the price of the free one.
    let smuggled = r#"{"a":"+ACIAfQAsACIAbgBhAG0AZQAiADoAIgBlAGMAaABvACIALAAiAGIAIgA6AHsAIgBjACIAOgAi-"}"#;
    let body = |modern: bool| free_call(modern, smuggled);
    for (name, value) in [
        ("content-type", "application/json; charset=utf-7"),
        ("content-type", "application/json; charset=utf-8; charset=utf-7"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-encoding", "gzip"),
    ] {
        let modern = modern_headers("free");
        let mut modern: Vec<(&str, &str)> =
            modern.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut legacy = vec![
            ("content-type", "application/json"),
            ("mcp-session-id", session.id.as_str()),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        for headers in [&mut modern, &mut legacy] {
            headers.retain(|(other, _)| *other != name);
            headers.push((name, value));
        }
        let mcp = world.gateway.mcp();
        let modern = send(Method::POST, &mcp, &modern, body(true)).await.unwrap();
        let legacy = send(Method::POST, &mcp, &legacy, body(false)).await.unwrap();
        for answer in [modern, legacy] {
            let said = answer.json().unwrap();
            assert_eq!(
                (answer.status.as_u16(), &said["error"]["code"]),
                (400, &json!(-32_600)),
                "{value}: {said}"
            );
        }
    }
    assert_control(&world, &session).await;
}

#[tokio::test]
async fn a_batch_is_refused_in_either_era_and_a_call_without_an_id_too() {
    let world = world().await;
    let session = Session::open(&world.gateway.mcp()).await;
    for body in [
        "[]".to_owned(),
        format!("[{}]", free_call(true, "{}")),
        format!("[{0},{0}]", free_call(false, "{}")),
    ] {
        for answer in in_both_eras(&world, &session, |_| body.clone().into_bytes()).await {
            assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (400, "batch_refused"), "{body}");
            assert_eq!(answer.json().unwrap()["error"]["code"], -32_600);
        }
    }
    for id in ["", r#""id":null,"#, r#""id":1.5,"#, r#""id":{},"#] {
        let body = |modern: bool| free_call(modern, "{}").replace(r#""id":1,"#, id).into_bytes();
        assert_malformed(&in_both_eras(&world, &session, body).await, &[-32_600], id);
    }
    assert_control(&world, &session).await;
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let bytes_max = 4_096;
    let limits = format!("limits: {{ body_bytes_max: {bytes_max} }}\n");
    let world = World::with(Script::echo(), &[("echo", "{ price: [] }")], &limits, &[]).await;
    let sized = |bytes: usize| {
        let empty = call_body("echo", &json!({ "fill": "" }), &json!({})).to_string();
        call_body("echo", &json!({ "fill": "x".repeat(bytes - empty.len()) }), &json!({})).to_string()
    };
    let body = sized(bytes_max + 1);
    let refused = post_modern(&world.gateway.mcp(), "echo", body.clone()).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (413, "body_too_large"));
    for path in ["/api/v1/execute", "/v1/execute"] {
        let value: Value = serde_json::from_str(&body).unwrap();
        let refused = post(&format!("{}{path}", world.gateway.url), &value, &[]).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (413, "body_too_large"), "{path}");
    }
    // A length that is not announced counts as well.
    let mut head = vec![
        "POST /mcp HTTP/1.1".to_owned(),
        "host: localhost".to_owned(),
        "connection: close".to_owned(),
        "x-padding: 1".to_owned(),
    ];
    head.push("transfer-encoding: chunked".to_owned());
    let chunked = chunked_post(world.gateway.port, &head, &body).await;
    assert!(chunked.starts_with("HTTP/1.1 413") && chunked.contains("body_too_large"), "{chunked}");
    assert!(world.journal.calls().is_empty());
    delivered(&post_modern(&world.gateway.mcp(), "echo", sized(bytes_max)).await);
}

#[tokio::test]
async fn a_body_that_is_no_http_is_called_malformed_and_not_too_long() {
    let open = tollgate_testkit::journal_server::Journal::start(Script::echo()).await.unwrap();
    let more = format!("  open: {{ url: '{}' }}\nbuiltin_tools: true\n", open.url());
    let world = World::with(Script::echo(), &[("echo", "{}")], &more, &[]).await;
    let sent = async |path: &str, chunk: &str| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", world.gateway.port)).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut received = String::new();
        socket.read_to_string(&mut received).await.unwrap();
        received
    };
    for path in [
        "/api/v1/execute",
        "/v1/execute",
        "/servers/up/mcp",
        "/servers/open/mcp",
        "/mcp",
        "/servers/tollgate/mcp",
    ] {
        let refused = sent(path, "zz\r\n{}\r\n0\r\n\r\n").await;
        assert!(
            refused.starts_with("HTTP/1.1 400") && refused.contains("malformed_frame"),
            "{path}: {refused}"
        );
        let read = sent(path, "2\r\n{}\r\n0\r\n\r\n").await;
        assert!(!read.contains("the body of the request"), "{path}, control: {read}");
    }
    assert!(world.journal.calls().is_empty());
}

async fn chunked_post(port: u16, head: &[String], body: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let text = format!("{}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", head.join("\r\n"), body.len());
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut received = String::new();
    socket.read_to_string(&mut received).await.unwrap();
    received
}
