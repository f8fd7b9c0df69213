//! Talking to servers of both protocol eras.

use http::Method;
use serde_json::{Value, json};
use tollgate_payer::{ExitCode, PayError};

use crate::server::{Reply, Server};
use crate::world::{NOW, World, delivered, demand, entry, usdc};

#[tokio::test]
async fn a_modern_server_is_asked_once_with_mirrored_headers() {
    let server = Server::saying([Reply::result(&json!({ "content": [] }))]).await;
    World::new().client(&server.url()).call("wetter°", "{}", &usdc(1), NOW).await.expect("a result");
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(asked[0].header("mcp-method"), Some("tools/call"));
    assert_eq!(asked[0].header("mcp-name"), Some("=?base64?d2V0dGVywrA=?="));
    assert_eq!(asked[0].header("accept"), Some("application/json, text/event-stream"));
    assert_eq!(asked[0].body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
}

#[tokio::test]
async fn an_answer_in_a_stream_is_read() {
    let stream = |result: &Value| {
        let progress =
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } });
        let text = format!(
            ": ping\n\nevent: message\ndata: {progress}\n\nevent: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{{id}},\"result\":{result}}}\n\n"
        );
        Reply::json(200, text).with_header("content-type", "text/event-stream")
    };
    let server = Server::saying([stream(&demand(&[entry("10000")])), stream(&delivered())]).await;
    let paid = World::new()
        .client(&server.url())
        .call("weather", "{}", &usdc(10_000), NOW)
        .await
        .expect("a result in a stream");
    assert!(paid.result.contains("12 °C"));
    assert!(paid.paid.is_some() && paid.receipt.is_some());
}

fn legacy_handshake() -> [Reply; 3] {
    let no_session =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "no session" } });
    let initialized = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {} });
    [
        Reply::json(400, no_session.to_string()),
        Reply::result(&initialized).with_header("mcp-session-id", "s-1"),
        Reply::json(202, ""),
    ]
}

#[tokio::test]
async fn a_legacy_server_gets_its_handshake_and_the_paid_call_in_one_session() {
    let replies = legacy_handshake().into_iter().chain([
        Reply::result(&demand(&[entry("10000")])),
        Reply::result(&delivered()),
        Reply::json(200, ""),
    ]);
    let server = Server::saying(replies).await;
    World::new().client(&server.url()).call("weather", "{}", &usdc(10_000), NOW).await.expect("a result");

    let asked = server.asked();
    let methods: Vec<String> = asked
        .iter()
        .map(|asked| {
            asked.body["method"].as_str().map_or_else(|| asked.method.to_string(), ToOwned::to_owned)
        })
        .collect();
    let expected =
        ["tools/call", "initialize", "notifications/initialized", "tools/call", "tools/call", "DELETE"];
    assert_eq!(methods, expected);
    assert_eq!(asked[1].header("mcp-session-id"), None);
    for later in &asked[2..] {
        assert_eq!(later.header("mcp-session-id"), Some("s-1"));
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-06-18"));
        assert_eq!(later.header("mcp-name"), None);
    }
    assert_eq!(asked[5].method, Method::DELETE);
    let meta = &asked[4].body["params"]["_meta"];
    assert!(
        meta.get("x402/payment").is_some() && meta.get("io.modelcontextprotocol/protocolVersion").is_none()
    );
}

/// A server may keep a process for each session, for half an hour.
#[tokio::test]
async fn a_session_is_ended_however_the_call_ends() {
    let refusal = json!({ "code": -32602, "message": "no such tool" });
    let failed = json!({ "content": [], "isError": true });
    let too_dear = demand(&[entry("10001")]);
    for (said, is_refused) in [
        (Reply::result(&delivered()), false),
        (Reply::error(200, &refusal), true),
        (Reply::result(&failed), true),
        (Reply::result(&too_dear), true),
        (Reply::json(200, "hello"), true),
    ] {
        let server = Server::saying(legacy_handshake().into_iter().chain([said, Reply::json(200, "")])).await;
        let called = World::new().client(&server.url()).call("x", "{}", &usdc(10_000), NOW).await;
        assert_eq!(called.is_err(), is_refused, "{called:?}");
        let asked = server.asked();
        assert_eq!(asked.len(), 5, "{called:?}");
        assert_eq!((&asked[4].method, asked[4].header("mcp-session-id")), (&Method::DELETE, Some("s-1")));
    }
}

/// One payment, made once, went out twice.
fn assert_presented_twice(server: &Server, world: &World) {
    let payments = server.payments();
    assert_eq!(payments.len(), 2);
    assert_eq!(payments[0], payments[1]);
    assert_eq!(world.draws.count(), 1, "made once");
}

/// A proxy may name a price without knowing that its server cannot read the call.
#[tokio::test]
async fn a_price_that_is_named_for_a_legacy_server_is_paid_once_in_a_session() {
    let replies = [Reply::result(&demand(&[entry("10000")]))]
        .into_iter()
        .chain(legacy_handshake())
        .chain([Reply::result(&delivered())]);
    let server = Server::saying(replies).await;
    let world = World::new();
    world.client(&server.url()).call("weather", "{}", &usdc(10_000), NOW).await.expect("a result");
    assert_presented_twice(&server, &world);
    let asked = server.asked();
    assert_eq!(
        asked[1].header("mcp-protocol-version"),
        Some("2026-07-28"),
        "refused as it could not be read"
    );
    assert_eq!(asked[4].header("mcp-session-id"), Some("s-1"));
}

#[tokio::test]
async fn a_session_that_is_gone_is_opened_anew_and_the_same_payment_presented() {
    let gone =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32001, "message": "Session not found" } });
    let [_, initialized, accepted] = legacy_handshake();
    let replies = legacy_handshake().into_iter().chain([
        Reply::result(&demand(&[entry("10000")])),
        Reply::json(404, gone.to_string()),
        initialized.with_header("mcp-session-id", "s-2"),
        accepted,
        Reply::result(&delivered()),
    ]);
    let server = Server::saying(replies).await;
    let world = World::new();
    world.client(&server.url()).call("weather", "{}", &usdc(10_000), NOW).await.expect("a result");
    assert_presented_twice(&server, &world);
}

#[tokio::test]
async fn arguments_that_a_tool_wants_mirrored_are_mirrored() {
    let complaint = json!({ "code": -32020, "message": "Mcp-Param-City is missing" });
    let tool = json!({ "name": "weather", "inputSchema": { "type": "object",
        "properties": { "city": { "type": "string", "x-mcp-header": "City" } } } });
    let replies = [
        Reply::error(400, &complaint),
        Reply::result(&json!({ "tools": [], "nextCursor": "2" })),
        Reply::result(&json!({ "tools": [tool] })),
        Reply::result(&demand(&[entry("10000")])),
        Reply::result(&delivered()),
    ];
    let server = Server::saying(replies).await;
    let arguments = r#"{"city":"Oslo"}"#;
    World::new()
        .client(&server.url())
        .call("weather", arguments, &usdc(10_000), NOW)
        .await
        .expect("a result");
    let asked = server.asked();
    assert_eq!(asked[2].body["params"]["cursor"], "2");
    assert_eq!(asked[0].header("mcp-param-city"), None);
    assert_eq!(
        (asked[3].header("mcp-param-city"), asked[4].header("mcp-param-city")),
        (Some("Oslo"), Some("Oslo"))
    );
}

#[tokio::test]
async fn a_refusal_that_is_not_about_payment_is_told_as_such() {
    let unknown = json!({ "code": -32602, "message": "Unknown tool: x.", "data": {
        "error": "unknown_tool", "message": "Unknown tool: x.", "next_step": "Read tools/list." } });
    let server = Server::saying([Reply::error(404, &unknown)]).await;
    let error = World::new().client(&server.url()).call("x", "{}", &usdc(1), NOW).await.expect_err("refused");
    match &error {
        PayError::Refused { code, message, next_step } => {
            assert_eq!(code.as_deref(), Some("unknown_tool"));
            assert_eq!(
                (message.as_str(), next_step.as_deref()),
                ("Unknown tool: x.", Some("Read tools/list."))
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(error.exit_code(), ExitCode::Failed);
}

#[tokio::test]
async fn what_is_no_mcp_server_is_told_apart_from_nobody_there() {
    let server = Server::saying([Reply::json(200, "hello")]).await;
    let world = World::new();
    let error = world.client(&server.url()).call("x", "{}", &usdc(1), NOW).await.expect_err("no MCP");
    assert!(matches!(error, PayError::NotMcp { .. }), "{error:?}");
    assert_eq!(error.exit_code().code(), 3);

    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let nobody = format!("http://127.0.0.1:{port}/mcp");
    let error = world.client(&nobody).call("x", "{}", &usdc(1), NOW).await.expect_err("nobody listens");
    assert!(matches!(error, PayError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::Unreachable);
}
