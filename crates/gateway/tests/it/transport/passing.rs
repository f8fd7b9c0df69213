//! What passes unchanged, and what never passes.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};

use super::{Session, legacy_call, post_modern};
use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Gateway, PRICED, World, base64_encode, call, call_body, delivered, modern_headers, statement,
};

/// Answers that any re-encoding would change.
fn odd_answers() -> Vec<(&'static str, Behaviour)> {
    let raw = |content_type: &str, body: &str| Behaviour::Raw {
        status: 200,
        content_type: content_type.to_owned(),
        body: body.to_owned(),
    };
    vec![
        (
            "odd",
            raw(
                "application/json; charset=utf-8",
                "{ \"result\":{\"z\":1.10,\"a\":1e3,\"n\":123456789012345678901234567890,\"\\u0061b\":\"\\u00e9\\/\",\n\t\"isError\":false,\"content\":[],\"_meta\":{\"x\":null}},\"jsonrpc\":\"2.0\",\"id\":{id},\"future\":[1,2.0]}\r\n",
            ),
        ),
        ("twice", raw("application/json", r#"{"jsonrpc":"2.0","id":{id},"result":{"a":1,"a":2}}"#)),
        ("broken", raw("application/json", r#"{"jsonrpc":"2.0","id":{id},"result":"#)),
        ("html", raw("text/html", "<p>no message at all</p>")),
        (
            "events",
            raw(
                "text/event-stream",
                ": hello\n\nid: 1\nretry: 5\ndata:\n\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":{id},\r\ndata: \"result\":{}}\r\n\r\n",
            ),
        ),
        (
            "refused",
            Behaviour::Raw { status: 503, content_type: "text/plain".to_owned(), body: "later".to_owned() },
        ),
        ("fails", Behaviour::Fail("no".to_owned())),
        ("error", Behaviour::Error { code: -32_000, message: "down".to_owned() }),
        ("huge", Behaviour::Huge { bytes: 6_000_000 }),
        ("echo", Behaviour::Echo),
    ]
}

fn script() -> Script {
    odd_answers().into_iter().fold(Script::new(), |script, (name, behaviour)| script.tool(name, behaviour))
}

/// A gateway in front of a server about which nothing is decided.
async fn without_a_policy() -> World {
    let journal = Journal::start(script()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("servers:\n  up:\n    url: {}\n", journal.url());
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    World { journal, gateway, folder }
}

/// What a client sees of an answer.
fn seen(answer: &Answer) -> (u16, Option<String>, Bytes) {
    let content_type = answer.header("content-type").map(str::to_owned);
    (answer.status.as_u16(), content_type, answer.body.clone())
}

/// Asserts that the same request has the same answer, directly and through the gateway.
async fn assert_same(world: &World, ask: impl AsyncFn(&str) -> Answer, what: &str) {
    let direct = ask(&world.journal.url()).await;
    let through = ask(&world.gateway.mcp()).await;
    assert!(seen(&direct) == seen(&through), "{what}: {} became {}", direct.text(), through.text());
}

#[tokio::test]
async fn a_server_without_a_policy_is_passed_through_byte_for_byte() {
    let world = without_a_policy().await;
    for (name, _) in odd_answers() {
        let body = call_body(name, &json!({ "z": 1 }), &json!({})).to_string();
        assert_same(&world, async |url: &str| post_modern(url, name, body.clone()).await, name).await;
    }
    let long = call_body("echo", &json!({ "fill": "x".repeat(100_000) }), &json!({})).to_string();
    // What the gateway would refuse if it decided anything here is for the server to judge.
    let strange = [
        ("a batch", "[]".to_owned()),
        ("no JSON", "{".to_owned()),
        ("nothing", String::new()),
        ("a name twice", call_body("echo", &json!({}), &json!({})).to_string().replace("{}", r#"{"a":1,"a":2}"#)),
        ("spaces and numbers", " {\"id\" : 1.50e2, \"method\":\"tools/call\", \"params\":{\"name\":\"echo\", \"arguments\":{\"n\":1.10}}}\n".to_owned()),
        ("a long one", long),
    ];
    for (what, body) in strange {
        world.journal.clear();
        assert_same(&world, async |url: &str| post_modern(url, "other", body.clone()).await, what).await;
        let calls = world.journal.calls();
        assert!(calls.iter().all(|call| call.body == body.as_bytes()), "{what}: the request was changed");
    }
    let direct = Session::open(&world.journal.url()).await;
    let through = Session::open(&world.gateway.mcp()).await;
    for (name, _) in odd_answers() {
        let body = legacy_call(name, &json!({ "z": 1 }), &json!({ "progressToken": 1 })).to_string();
        let (direct, through) = (direct.post(body.clone()).await, through.post(body).await);
        assert!(seen(&direct) == seen(&through), "{name} in a session: {}", through.text());
    }
}

/// Requests for which a server with a policy is as transparent as one without.
const OTHERS: [&str; 10] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{META}}"#,
    r#"{"jsonrpc":"2.0","id":"a\u0062","method":"resources/read","params":{"uri":"file:///a", META}}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"prompts/list","params":{"cursor":"x", META}}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"prompts/get","params":{"name":"p","arguments":{"a":"1"}, META}}"#,
    r#"{"jsonrpc":"2.0","id":5,"method":"completion/complete","params":{"ref":{"type":"ref/prompt"}, META}}"#,
    r#"{"jsonrpc":"2.0","id":6,"method":"server/discover","params":{META}}"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{META}}"#,
    r#"{"jsonrpc":"2.0","id":8,"method":"x/unheard-of","params":{"z":1.10, META}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9, META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#,
];

#[tokio::test]
async fn what_is_no_tool_call_passes_a_server_with_a_policy_unchanged() {
    let world = World::new(script(), &[("echo", PRICED)]).await;
    let modern = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    for template in OTHERS {
        let body = template.replace("META", modern);
        let message: Value = serde_json::from_str(&body).unwrap();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let params = &message["params"];
        let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or_default().to_owned();
        let ask = async |url: &str| {
            let mut headers = vec![
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
                ("mcp-protocol-version", "2026-07-28"),
            ];
            if !method.is_empty() {
                headers.push(("mcp-method", method.as_str()));
            }
            if !name.is_empty() {
                headers.push(("mcp-name", name.as_str()));
            }
            send(Method::POST, url, &headers, body.clone()).await.unwrap()
        };
        assert_same(&world, ask, &body).await;
    }
    let direct = Session::open(&world.journal.url()).await;
    let through = Session::open(&world.gateway.mcp()).await;
    for template in OTHERS {
        let body = template.replace("META", r#""_meta":{}"#);
        world.journal.clear();
        let (direct, through) = (direct.post(body.clone()).await, through.post(body.clone()).await);
        assert!(seen(&direct) == seen(&through), "{body}: {}", through.text());
        let mut messages = world.journal.messages();
        // What the gateway itself asks on its own session comes when it comes.
        let own = ["tools/list", "GET", "initialize", "notifications/initialized"];
        messages.retain(|method| !own.contains(&method.as_str()));
        assert!(messages.len() % 2 == 0, "both arrived: {messages:?}");
    }
    assert_eq!(world.gateway.account("payable:up"), [0; 4]);
    delivered(&world.paid_call("echo", &json!({})).await);
}

/// A server that takes any method for a POST, as careless ones do, and says what it got.
async fn careless_server() -> (std::net::SocketAddr, tokio::task::JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut part = vec![0; 16 * 1024];
            let length = socket.read(&mut part).await.unwrap_or_default();
            let got = String::from_utf8_lossy(&part[..length]).into_owned();
            let said: String = got.lines().map(|line| format!(": {line}\n")).collect();
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{said}\n", said.len() + 1);
            // Who has gone away is answered in vain.
            drop(socket.write_all(answer.as_bytes()).await);
        }
    });
    (address, serving)
}

#[tokio::test]
async fn a_call_under_another_method_is_no_way_around_the_policy() {
    let (address, _serving) = careless_server().await;
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("servers: {{ up: {{ url: 'http://{address}/mcp', every_tool: {PRICED} }} }}\n");
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let body = call_body("echo", &json!({}), &json!({})).to_string();
    let headers = [("content-type", "application/json"), ("x-http-method-override", "POST")];
    for method in ["PUT", "PATCH", "QUERY", "post", "POSt", "GET", "DELETE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = send(method.clone(), &gateway.mcp(), &headers, body.clone()).await.unwrap();
        assert!(!answer.text().contains("tools/call"), "{method}: the call arrived: {}", answer.text());
        let passes = [Method::GET, Method::DELETE].contains(&method);
        assert_eq!(answer.status, if passes { 200 } else { 405 }, "{method}");
        assert_eq!(answer.text().starts_with(&format!(": {method} /mcp")), passes, "{method}");
    }
}

/// What must not reach a server: whatever identifies the caller or pays for them.
const SECRET_HEADERS: [&str; 9] = [
    "authorization",
    "x-api-key",
    "cookie",
    "payment-signature",
    "x-payment",
    "macaroon",
    "grpc-metadata-macaroon",
    "proxy-authorization",
    "idempotency-key",
];

fn assert_no_secret(world: &World, secrets: &[&str], what: &str) {
    let calls = world.journal.calls();
    let last = calls.last().unwrap();
    assert_eq!(last.header("x-trace"), Some("t1"), "{what}: other headers pass");
    for name in SECRET_HEADERS {
        assert_eq!(last.headers.get(name), None, "{what}");
    }
    let headers = format!("{:?}", last.headers);
    let body = String::from_utf8_lossy(&last.body);
    for secret in secrets {
        assert!(!headers.contains(secret) && !body.contains(secret), "{what}: {secret} arrived");
    }
}

#[tokio::test]
async fn o2_what_identifies_or_pays_for_the_caller_never_reaches_the_server() {
    let world = World::new(Script::echo().tool("free", Behaviour::Echo), &[("echo", PRICED)]).await;
    let (id, key) = api_key(&world.gateway);
    assert!(world.gateway.cli(&["credit", "add", &id, "1USDC"]).status.success());
    let bearer = format!("Bearer {key}");
    let mcp = world.gateway.mcp();
    let common = [("x-trace", "t1"), ("cookie", "session=s3cr3t"), ("proxy-authorization", "Basic s3cr3t")];
    // A key of one's own for repeating a request is a secret too, and names one request.
    let own = |tool: &str, arguments: &Value| format!("s3cr3t-{tool}-{}", hex::encode(arguments.to_string()));
    let send = async |tool: &str, arguments: &Value, meta: &Value, more: (&str, &str)| {
        let own = own(tool, arguments);
        let mut headers = common.to_vec();
        headers.extend([more, ("idempotency-key", &own)]);
        call(&mcp, tool, arguments, meta, &headers).await
    };
    let known =
        until_known(async || call(&mcp, "free", &json!({}), &json!({}), &[("authorization", &bearer)]).await)
            .await;
    delivered(&known);

    for (name, value) in [("authorization", bearer.as_str()), ("x-api-key", key.as_str())] {
        for tool in ["echo", "free"] {
            let arguments = json!({ "by": name });
            let meta = json!({ "tollgate/idempotency-key": own(tool, &arguments) });
            delivered(&send(tool, &arguments, &meta, (name, value)).await);
            assert_no_secret(&world, &[&key, "s3cr3t"], name);
        }
    }
    for (number, header) in (1..).zip(["payment-signature", "x-payment"]) {
        let arguments = json!({ "n": number });
        let payment = world.x402_payment("echo", &arguments).await;
        let carried = base64_encode(payment.to_string().as_bytes());
        delivered(&send("echo", &arguments, &json!({}), (header, &carried)).await);
        let signature = payment["payload"]["signature"].as_str().unwrap();
        assert_no_secret(&world, &[&carried, signature, "s3cr3t"], header);
    }
    let arguments = json!({ "n": 3 });
    let credential = world.l402_credential("echo", &arguments).await;
    let (macaroon, preimage) = credential.split_once(':').unwrap();
    let carried = format!("L402 {credential}");
    delivered(&send("echo", &arguments, &json!({}), ("authorization", &carried)).await);
    assert_no_secret(&world, &[macaroon, preimage, "s3cr3t"], "L402");
    let arguments = json!({ "n": 4 });
    let credential = world.l402_credential("echo", &arguments).await;
    let (macaroon, preimage) = credential.split_once(':').unwrap();
    let in_meta = json!({ "l402/authorization": credential, "mine": "stays" });
    delivered(&send("echo", &arguments, &in_meta, ("x-more", "1")).await);
    assert_no_secret(&world, &[macaroon, preimage, "s3cr3t"], "L402 in _meta");
    assert!(
        String::from_utf8_lossy(&world.journal.calls().last().unwrap().body).contains("stays"),
        "control"
    );
    let log = world.gateway.log();
    assert!(
        !log.contains(&key) && !log.contains(preimage) && !log.contains("s3cr3t"),
        "a secret is in the log"
    );
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn o2_the_gateways_own_credential_replaces_the_callers() {
    let own = "    credential: { value: Bearer upstream-token }\n";
    let world = World::with(Script::echo(), &[("echo", PRICED)], own, &[]).await;
    let arguments = json!({ "n": 1 });
    let payment = world.l402_credential("echo", &arguments).await;
    let carried = format!("L402 {payment}");
    let result = delivered(
        &call(&world.gateway.mcp(), "echo", &arguments, &json!({}), &[("authorization", &carried)]).await,
    );
    assert_eq!(statement(&result)["charged"], true);
    let calls = world.journal.calls();
    let sent: Vec<&http::HeaderValue> = calls[0].headers.get_all("authorization").iter().collect();
    assert_eq!(sent, ["Bearer upstream-token"], "instead of, not beside");
}

#[tokio::test]
async fn o2_holds_for_servers_without_a_policy_too() {
    let world = without_a_policy().await;
    let mut headers = modern_headers("echo");
    headers.extend(SECRET_HEADERS.map(|name| (name.to_owned(), "s3cr3t".to_owned())));
    headers.push(("x-trace".to_owned(), "t1".to_owned()));
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = call_body("echo", &json!({}), &json!({})).to_string();
    delivered(&send(Method::POST, &world.gateway.mcp(), &headers, body).await.unwrap());
    assert_no_secret(&world, &["s3cr3t"], "no policy");
}
