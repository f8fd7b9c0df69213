//! What a server says of the origin that was asked is said of the gateway's: its cookies, its log-in, other ways to it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Response};
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Journal, Script};

use crate::federation::message;
use crate::world::{Demand, Gateway, PRICED, World, call, code, delivered};

/// A server that answers as it is told to: from the headers of a request and its message.
pub(crate) async fn server(
    answer: impl Fn(&HeaderMap, &Value) -> Response<String> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    let answered = move |headers: HeaderMap, body: String| {
        let response = answer(&headers, &serde_json::from_str(&body).unwrap_or_default());
        async move { response }
    };
    let router = axum::Router::new().fallback(answered);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// An answer to a message: 202 to what wants none.
pub(crate) fn answered(asked: &Value, result: &Value) -> Response<String> {
    let response = Response::builder().header("content-type", "application/json");
    match asked.get("id") {
        None => response.status(202).body(String::new()).unwrap(),
        Some(id) => {
            response.body(json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()).unwrap()
        }
    }
}

/// The result of a server of both eras with one tool.
pub(crate) fn ordinary(asked: &Value) -> Value {
    match asked["method"].as_str().unwrap_or_default() {
        "initialize" => json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "origin", "version": "1" } }),
        "server/discover" => json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "public" }),
        "tools/list" => json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "public",
            "tools": [{ "name": "echo", "inputSchema": { "type": "object" } }] }),
        _ => json!({ "resultType": "complete", "content": [{ "type": "text", "text": "done" }] }),
    }
}

/// What clients keep for an origin, or act on there.
const OF_ORIGIN: [(&str, &str); 12] = [
    ("www-authenticate", "Bearer resource_metadata=\"https://elsewhere.example/.well-known/oauth\""),
    ("authentication-info", "nextnonce=\"1\""),
    ("set-cookie", "session=1; Path=/"),
    ("set-cookie2", "session=1"),
    ("alt-svc", "h2=\"elsewhere.example:443\"; ma=86400"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("clear-site-data", "\"*\""),
    ("service-worker-allowed", "/"),
    ("nel", "{\"report_to\":\"elsewhere\",\"max_age\":1}"),
    ("report-to", "{\"group\":\"elsewhere\"}"),
    ("refresh", "0; url=https://elsewhere.example/"),
    ("location", "https://elsewhere.example/mcp"),
];

/// A stateless request, as a gateway's client sends it.
async fn asked(url: &str, method: &str) -> Answer {
    asked_by(url, method, &[]).await
}

/// The same with more headers.
async fn asked_by(url: &str, method: &str, more: &[(&str, &str)]) -> Answer {
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {} });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "_meta": meta } });
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    send(Method::POST, url, &[&headers[..], more].concat(), body.to_string()).await.unwrap()
}

/// Which of those headers an answer has.
fn kept(answer: &Answer) -> Vec<&'static str> {
    OF_ORIGIN.into_iter().map(|(name, _)| name).filter(|name| answer.header(name).is_some()).collect()
}

/// A gateway before this server twice: without a policy, and with this one for every tool.
async fn gateway_of(address: SocketAddr, policy: &str) -> (tempfile::TempDir, Gateway) {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers:\n  open: {{ url: 'http://{address}/mcp' }}\n  policed: {{ url: 'http://{address}/mcp', every_tool: {policy} }}\n"
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    (folder, gateway)
}

#[tokio::test]
async fn what_a_server_says_of_its_origin_is_not_said_of_the_gateways() {
    let address = server(|_, asked| {
        let mut response = answered(asked, &ordinary(asked));
        for (name, value) in OF_ORIGIN {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response.headers_mut().insert("x-request-id", "7".parse().unwrap());
        response
    })
    .await;
    let (_folder, gateway) = gateway_of(address, "{}").await;
    let at = |server: &str| format!("{}/servers/{server}/mcp", gateway.url);
    for method in ["tools/list", "server/discover", "prompts/list"] {
        let answer = asked(&at("policed"), method).await;
        assert_eq!((answer.status.as_u16(), kept(&answer)), (200, vec![]), "{method}");
        assert_eq!(
            answer.header("x-request-id"),
            Some("7"),
            "{method}: what is no business of the origin passes"
        );
        // Control: a server without a policy says what it likes.
        let untouched = asked(&at("open"), method).await;
        assert_eq!((untouched.status.as_u16(), kept(&untouched).len()), (200, OF_ORIGIN.len()), "{method}");
    }
    for tool in ["open__echo", "policed__echo"] {
        let federated = call(&gateway.mcp(), tool, &json!({}), &json!({}), &[]).await;
        delivered(&federated);
        assert_eq!(kept(&federated), Vec::<&str>::new(), "{tool}: no one server speaks for the door of all");
    }
    let own = call(&at("policed"), "echo", &json!({}), &json!({}), &[]).await;
    delivered(&own);
    assert_eq!(kept(&own), Vec::<&str>::new());
}

#[tokio::test]
async fn a_server_that_sends_its_callers_elsewhere_or_to_log_in_is_not_followed_and_not_paid() {
    for status in [401, 407, 302, 307, 308] {
        let address = server(move |_, asked| {
            if !["tools/call", "prompts/list"].contains(&asked["method"].as_str().unwrap_or_default()) {
                return answered(asked, &ordinary(asked));
            }
            let away = Response::builder().status(status).header("location", "https://elsewhere.example/mcp");
            away.header("www-authenticate", "Bearer realm=\"elsewhere\"").body(String::new()).unwrap()
        })
        .await;
        let (folder, gateway) = gateway_of(address, PRICED).await;
        let at = |server: &str| format!("{}/servers/{server}/mcp", gateway.url);
        let refused = asked(&at("policed"), "prompts/list").await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (502, "upstream_broken"), "{status}");
        assert_eq!(kept(&refused), Vec::<&str>::new(), "{status}");

        let untouched = asked(&at("open"), "prompts/list").await;
        assert_eq!(untouched.status, status, "control: without a policy nothing is decided");
        assert_eq!(untouched.header("location"), Some("https://elsewhere.example/mcp"));

        let at_both = asked(&gateway.mcp(), "prompts/list").await;
        assert!(!at_both.text().contains("elsewhere.example"), "{}", at_both.text());
        let federated = call(&gateway.mcp(), "open__echo", &json!({}), &json!({}), &[]).await;
        assert_eq!((federated.status.as_u16(), kept(&federated)), (502, vec![]), "{}", federated.text());

        let journal = Journal::start(Script::new()).await.unwrap();
        let world = World { journal, gateway, folder };
        let paid = call(&at_of(&world), "echo", &json!({}), &paid(&world).await, &[]).await;
        assert_eq!((paid.status.as_u16(), code(&paid).as_str()), (502, "upstream_broken"), "{status}");
        assert_eq!(kept(&paid), Vec::<&str>::new(), "{status}");
        assert_eq!(world.payer_balance().await, crate::world::START, "{status}: nothing was charged");
        world.gateway.assert_books_in_order();
    }
}

/// What a browser asks before it sends a page's request, and what it hears.
async fn preflight(url: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,mcp-param-city,mcp-protocol-version"),
    ];
    send(Method::OPTIONS, url, &headers, "").await.unwrap()
}

#[tokio::test]
async fn a_page_of_a_host_of_ours_may_ask_and_read_what_it_is_answered_and_no_other_may() {
    const OURS: &str = "http://localhost:6274";
    const FOREIGN: &str = "https://elsewhere.example";
    // It would let every page read, and with the browser's own credentials.
    let address = server(|_, asked| {
        let mut response = answered(asked, &ordinary(asked));
        for (name, value) in [("origin", "*"), ("credentials", "true"), ("headers", "x-of-server")] {
            let name = format!("access-control-allow-{name}").parse::<http::HeaderName>().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "builtin_tools: true\nservers:\n  open: {{ url: 'http://{address}/mcp' }}\n  policed: {{ url: 'http://{address}/mcp', every_tool: {PRICED} }}\n  http: {{ url: 'http://{address}/mcp', payment_as_http: true, every_tool: {PRICED} }}\n"
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let at = |server: &str| format!("{}/servers/{server}/mcp", gateway.url);

    for url in [at("policed"), at("tollgate"), gateway.mcp()] {
        let told = preflight(&url, OURS).await;
        assert_eq!((told.status.as_u16(), told.text().as_str()), (204, ""), "{url}");
        let said = |name: &str| told.header(&format!("access-control-allow-{name}")).map(str::to_owned);
        assert_eq!(said("origin").as_deref(), Some(OURS), "{url}");
        assert_eq!(said("methods").as_deref(), Some("GET, POST, DELETE"));
        assert_eq!(said("headers").as_deref(), Some("content-type,mcp-param-city,mcp-protocol-version"));
        assert_eq!(said("credentials"), None);
        let refused = preflight(&url, FOREIGN).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "origin_refused"), "{url}");
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    // A demand to pay, as a result and as HTTP 402, is the gateway's own; an answer is the server's.
    let priced =
        async |url: &str, headers: &[(&str, &str)]| call(url, "echo", &json!({}), &json!({}), headers).await;
    let demanded = priced(&at("http"), &[("origin", OURS)]).await;
    assert_eq!((demanded.status.as_u16(), demanded.header("payment-required").is_some()), (402, true));
    for (answer, what) in [
        (priced(&at("policed"), &[("origin", OURS)]).await, "a demand"),
        (demanded, "a demand as HTTP 402"),
        (asked_by(&at("policed"), "tools/list", &[("origin", OURS)]).await, "an answer"),
        (asked_by(&gateway.mcp(), "tools/list", &[("origin", OURS)]).await, "an answer of several"),
    ] {
        let found = |name: &str| answer.headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(found("access-control-allow-origin"), [OURS], "{what}");
        assert_eq!(found("access-control-expose-headers"), ["*"], "{what}");
        assert_eq!(found("access-control-allow-credentials").len(), 0, "{what}");
        assert!(found("vary").iter().any(|vary| vary == "origin"), "{what}");
    }
    // Controls: who is no page hears nothing of pages, and a server without a policy says itself who may read.
    let program = priced(&at("policed"), &[]).await;
    assert_eq!(program.header("access-control-expose-headers"), None);
    let open = asked_by(&at("open"), "tools/list", &[("origin", OURS)]).await;
    assert_eq!(open.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        preflight(&at("open"), OURS).await.header("access-control-allow-headers"),
        Some("x-of-server")
    );
}

fn at_of(world: &World) -> String {
    format!("{}/servers/policed/mcp", world.gateway.url)
}

/// The `_meta` that pays for one call.
async fn paid(world: &World) -> Value {
    let unpaid = call(&at_of(world), "echo", &json!({}), &json!({}), &[]).await;
    json!({ "x402/payment": Demand::read(&unpaid).sign(&world.payer()) })
}

#[tokio::test]
async fn what_one_caller_is_told_at_the_door_of_all_servers_changes_nothing_for_others() {
    // It introduces itself to one client as a server without tools, and is too busy for the gateway's first question.
    let questions = std::sync::atomic::AtomicUsize::new(0);
    let address = server(move |headers, asked| {
        if asked["method"] != "server/discover" {
            return answered(asked, &ordinary(asked));
        }
        if headers.contains_key("x-poison") {
            return answered(
                asked,
                &json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {}, "ttlMs": 0, "cacheScope": "public" }),
            );
        }
        if questions.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            return Response::builder().status(429).body(String::new()).unwrap();
        }
        answered(asked, &ordinary(asked))
    })
    .await;
    let other = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml =
        format!("servers:\n  a: {{ url: 'http://{address}/mcp' }}\n  b: {{ url: '{}' }}\n", other.url());
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let listed = async || {
        let answer = asked(&gateway.mcp(), "tools/list").await;
        message(&answer)["result"]["tools"].as_array().unwrap().len()
    };
    let poison = async || {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {} });
        let body =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta } });
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "server/discover"),
            ("x-poison", "1"),
        ];
        let answer = send(Method::POST, &gateway.mcp(), &headers, body.to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    poison().await;
    assert_eq!(listed().await, 1, "the gateway's own question was not answered: nothing is known of `a`");
    poison().await;
    assert_eq!(listed().await, 2, "a moment of too many requests says nothing of what it speaks");
    poison().await;
    assert_eq!(listed().await, 2);
}
