use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::*;
use crate::client::{ClientLimits, McpClient};
use crate::peer::{Peer, full, post, text};

const DOCUMENT: &str = r##"{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},
    "servers":[{"url":"http://127.0.0.1:1/never/used"}],
    "paths":{
      "/pets/{id}":{
        "get":{"operationId":"getPet","parameters":[
          {"name":"id","in":"path","required":true,"schema":{"type":"string"}},
          {"name":"X-Trace","in":"header","schema":{"type":"string"}},
          {"name":"user-agent","in":"header","schema":{"type":"string"}}],
          "responses":{"200":{"content":{"application/json":{"schema":{"type":"object"}}}}}},
        "put":{"operationId":"putPet","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
          "requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object"}}}}}},
      "/pets":{"get":{"operationId":"listPets","parameters":[{"name":"q","in":"query","schema":{"type":"string"}}]}}}}"##;

/// What the API saw of one request.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    line: String,
    headers: HeaderMap,
    body: String,
}

struct World {
    upstream: Arc<RestUpstream>,
    seen: Arc<Mutex<Vec<Seen>>>,
    _peer: Peer,
}

impl World {
    /// An API that answers each request with what `answer` says of its path.
    async fn new(answer: fn(&str) -> Response<Body>, limits: RestLimits) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let recorded = Arc::clone(&seen);
        let peer = Peer::http(move |request: Request<Incoming>| {
            let recorded = Arc::clone(&recorded);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (line, path) = (format!("{} {}", head.method, head.uri), head.uri.path().to_owned());
                let body = String::from_utf8(body.to_vec()).unwrap();
                recorded.lock().push(Seen { line, headers: head.headers, body });
                if path.ends_with("hang") {
                    std::future::pending::<Infallible>().await;
                }
                answer(&path)
            }
        })
        .await;
        let url: Uri = format!("http://{}/api/v2/", peer.url.authority().unwrap()).parse().unwrap();
        let config = RestConfig {
            name: "pets".parse().unwrap(),
            document: DOCUMENT.into(),
            policy: Policy::public().allow_url(&url),
            url,
            headers: vec![
                OwnHeader::new(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer own")),
                OwnHeader::new(HeaderName::from_static("x-tenant"), HeaderValue::from_static("acme")),
            ],
            limits,
            room: None,
        };
        Self { upstream: Arc::new(RestUpstream::new(config).unwrap()), seen, _peer: peer }
    }

    async fn say(&self, message: &str) -> (u16, String) {
        self.send(post(message.to_owned())).await
    }

    async fn send(&self, request: Request<Body>) -> (u16, String) {
        let response = self.upstream.exchange(request).await.unwrap();
        (response.status().as_u16(), text(response.into_body()).await.unwrap())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

fn found(path: &str) -> Response<Body> {
    let (status, content_type, body): (u16, &str, Bytes) = match path.rsplit('/').next().unwrap() {
        "pets" => (200, "text/plain", "Rex\nBello".into()),
        "none" => (404, "application/json", r#"{"error":"no such pet"}"#.into()),
        "moved" => (302, "text/plain", "elsewhere".into()),
        "broken" => (500, "text/html", "x".repeat(10_000).into()),
        "list" => (200, "application/json", "[1,2]".into()),
        "double" => (200, "application/json", r#"{"a":1,"a":2}"#.into()),
        "bytes" => (200, "image/png", Bytes::from_static(&[0xff, 0xfe])),
        "empty" => (204, "text/plain", Bytes::new()),
        "huge" => (200, "text/plain", "x".repeat(100_001).into()),
        _ => (200, "application/json", r#"{"name": "Rex", "age": 3.0}"#.into()),
    };
    let mut response = full(content_type, body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("location", HeaderValue::from_static("http://127.0.0.1:1/"));
    response
}

fn limits() -> RestLimits {
    RestLimits {
        answer_bytes_max: 100_000,
        message_bytes_max: 10_000,
        page_tools_max: 2,
        ..RestLimits::default()
    }
}

fn call(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn modern(method: &str, version: &str, members: &str) -> Request<Body> {
    let meta = META.replace("2026-07-28", version);
    let mut request =
        post(format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{members}{meta}}}}}"#));
    let headers = request.headers_mut();
    headers.insert("mcp-protocol-version", version.parse().unwrap());
    headers.insert("mcp-method", method.parse().unwrap());
    if method == "tools/call" {
        headers.insert("mcp-name", HeaderValue::from_static("getPet"));
    }
    request
}

#[tokio::test]
async fn n5_a_call_becomes_one_request_to_the_configured_address() {
    let world = World::new(found, limits()).await;
    let mut request = post(call("getPet", r#"{"id":"a/../b?c#d","X-Trace":"t1"}"#));
    request.headers_mut().insert("host", HeaderValue::from_static("evil.example"));
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer caller"));
    request.headers_mut().insert("x-payment", HeaderValue::from_static("proof"));
    let (status, refused) = world.send(request).await;
    assert_eq!(status, 200);
    assert!(refused.contains("was not sent") && refused.contains(r#""isError":true"#), "{refused}");
    assert_eq!(world.seen(), [], "a step out of the path is not sent");

    let mut request = post(call("getPet", r#"{"id":"a b?c#d","X-Trace":"t1"}"#));
    request.headers_mut().insert("host", HeaderValue::from_static("evil.example"));
    request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer caller"));
    request.headers_mut().insert("traceparent", HeaderValue::from_static("00-aa-bb-01"));
    request.headers_mut().insert("x-payment", HeaderValue::from_static("proof"));
    let (status, answer) = world.send(request).await;
    assert_eq!(status, 200);
    let body = r#"{"name": "Rex", "age": 3.0}"#;
    let quoted = raw_json::quote(body);
    assert_eq!(
        answer,
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[{{"type":"text","text":{quoted}}}],"structuredContent":{body},"isError":false}}}}"#
        ),
        "the API's own bytes"
    );
    let [Seen { line, headers, .. }] = &world.seen()[..] else { panic!("one request") };
    assert_eq!(line, "GET /api/v2/pets/a%20b%3Fc%23d");
    let sent = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    assert!(sent("host").unwrap().starts_with("127.0.0.1:"));
    assert_eq!(
        (sent("authorization"), sent("x-tenant"), sent("x-trace"), sent("traceparent"), sent("x-payment")),
        (Some("Bearer own"), Some("acme"), Some("t1"), Some("00-aa-bb-01"), None)
    );
}

#[tokio::test]
async fn a_header_that_a_tool_takes_is_what_the_caller_says() {
    let world = World::new(found, limits()).await;
    for arguments in [r#"{"id":"1"}"#, r#"{"id":"1","user-agent":"Mozilla/5.0"}"#] {
        world.say(&call("getPet", arguments)).await;
    }
    let agents: Vec<HeaderValue> =
        world.seen().iter().map(|seen| seen.headers["user-agent"].clone()).collect();
    assert_eq!(agents[0], concat!("tollgate/", env!("CARGO_PKG_VERSION")), "control");
    assert_eq!(agents[1], "Mozilla/5.0");
}

#[tokio::test]
async fn a_body_reaches_the_api_byte_for_byte() {
    let world = World::new(found, limits()).await;
    let (_, answer) =
        world.say(&call("putPet", r#"{"id":"1","body":{"b": 1.0,"a":12345678901234567890123}}"#)).await;
    assert!(answer.contains(r#""isError":false"#), "{answer}");
    let [Seen { line, headers, body }] = &world.seen()[..] else { panic!("one request") };
    assert_eq!(
        (line.as_str(), headers["content-type"].to_str().unwrap()),
        ("PUT /api/v2/pets/1", "application/json")
    );
    assert_eq!(body, r#"{"b": 1.0,"a":12345678901234567890123}"#);
}

#[tokio::test]
async fn f52_what_the_api_refuses_is_the_tools_failure_and_redirects_are_not_followed() {
    let world = World::new(found, limits()).await;
    for (id, said) in [
        ("none", r#"HTTP 404 Not Found\n\n{\"error\":\"no such pet\"}"#),
        ("moved", r"HTTP 302 Found\n\nelsewhere"),
        ("list", "not the JSON object that the API's document promises"),
        ("double", "not the JSON object that the API's document promises"),
        ("bytes", "no text"),
    ] {
        let (status, answer) = world.say(&call("getPet", &format!(r#"{{"id":"{id}"}}"#))).await;
        assert!(
            status == 200 && answer.contains(said) && answer.contains(r#""isError":true"#),
            "{id}: {answer}"
        );
        assert!(!answer.contains("structuredContent"), "{id}: {answer}");
    }
    let (_, long) = world.say(&call("getPet", r#"{"id":"broken"}"#)).await;
    assert!(long.contains("HTTP 500") && long.len() < 5_000, "{}", long.len());
    assert_eq!(world.seen().len(), 6, "each was sent once, and nothing was sent elsewhere");
    // The controls: a text, and nothing, are answers where the document promises no object.
    let (_, text) = world.say(&call("listPets", "{}")).await;
    assert!(text.contains(r"Rex\nBello") && text.contains(r#""isError":false"#), "{text}");
    let (_, empty) = world.say(&call("putPet", r#"{"id":"empty","body":{}}"#)).await;
    assert!(empty.contains("HTTP 204 No Content") && empty.contains(r#""isError":false"#), "{empty}");
}

#[tokio::test]
async fn d1_answers_and_messages_are_bounded_in_length_and_time() {
    let world = World::new(found, RestLimits { exchange_ms_max: 200, ..limits() }).await;
    let failed = async |id: &str| {
        let request = post(call("getPet", &format!(r#"{{"id":"{id}"}}"#)));
        world.upstream.exchange(request).await.unwrap_err()
    };
    assert!(matches!(failed("huge").await, UpstreamError::TooLarge(100_000)));
    assert!(matches!(failed("hang").await, UpstreamError::TimedOut));
    assert_eq!(world.say(&format!("{}{}", call("listPets", "{}"), " ".repeat(10_000))).await.0, 413);
    let (_, long) = world.say(&call("listPets", &format!(r#"{{"q":"{}"}}"#, "x".repeat(9_000)))).await;
    assert!(long.contains("too long"), "{long}");
    let (_, longest) = world.say(&call("listPets", &format!(r#"{{"q":"{}"}}"#, "x".repeat(8_000)))).await;
    assert!(longest.contains(r#""isError":false"#), "{longest}");
}

#[tokio::test]
async fn f44_an_api_that_is_gone_is_unreachable() {
    let World { upstream, .. } = World::new(found, limits()).await;
    let mut url = upstream.url.clone().into_parts();
    url.authority = Some("127.0.0.1:1".parse().unwrap());
    let url = Uri::from_parts(url).unwrap();
    let pool = Pool::new(url.clone(), Policy::public().allow_url(&url), CONNECT_MS_MAX, 1).unwrap();
    let gone = RestUpstream { url, pool, ..Arc::into_inner(upstream).unwrap() };
    let error = gone.exchange(post(call("listPets", "{}"))).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn both_eras_are_spoken() {
    let world = World::new(found, limits()).await;
    let initialize =
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let (status, hello) = world.say(initialize).await;
    assert!(status == 200 && hello.contains(r#""protocolVersion":"2025-06-18""#), "{hello}");
    let (_, newer) = world.say(&initialize.replace("2025-06-18", "2026-07-28")).await;
    assert!(newer.contains(r#""protocolVersion":"2025-11-25""#), "{newer}");
    assert_eq!(
        world.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await,
        (202, String::new())
    );
    assert_eq!(
        world.say(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).await.1,
        r#"{"jsonrpc":"2.0","id":7,"result":{}}"#
    );
    let (status, unknown) = world.say(r#"{"jsonrpc":"2.0","id":7,"method":"nonsense"}"#).await;
    assert!(status == 200 && unknown.contains("-32601"), "{unknown}");
    assert!(world.say(&call("nobody", "{}")).await.1.contains("-32602"));
    assert_eq!(world.say("{").await.0, 400);

    let (status, discovered) = world.send(modern("server/discover", "2026-07-28", "")).await;
    assert!(status == 200 && discovered.contains(r#""supportedVersions":["2026-07-28"]"#), "{discovered}");
    // In this era a server introduces itself in `_meta`.
    let own = r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":""#;
    assert!(discovered.contains(own) && !discovered.contains(r#""serverInfo":"#), "{discovered}");
    let (status, called) =
        world.send(modern("tools/call", "2026-07-28", r#""name":"getPet","arguments":{"id":"1"},"#)).await;
    assert!(status == 200 && called.contains(r#""resultType":"complete""#), "{called}");
    let (status, future) = world.send(modern("server/discover", "2027-01-01", "")).await;
    assert!(status == 400 && future.contains("-32022"), "{future}");
    assert_eq!(world.send(modern("ping", "2026-07-28", "")).await.0, 404);
    let mut mismatch = modern("server/discover", "2026-07-28", "");
    mismatch.headers_mut().insert("mcp-method", HeaderValue::from_static("tools/list"));
    assert_eq!(world.send(mismatch).await.0, 400);
    let mut get = post("");
    *get.method_mut() = Method::GET;
    assert_eq!(world.send(get).await.0, 405);
}

#[tokio::test]
async fn the_list_has_pages_and_the_gateways_own_client_reads_them_all() {
    let world = World::new(found, limits()).await;
    let (_, first) = world.say(r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#).await;
    assert!(first.contains(r#""nextCursor":"2""#), "{first}");
    for cursor in ["3", "-1", "x", ""] {
        let list =
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{"cursor":"{cursor}"}}}}"#);
        assert!(world.say(&list).await.1.contains("-32602"), "{cursor}");
    }
    let upstream: Arc<dyn Upstream> = Arc::clone(&world.upstream) as _;
    let client = McpClient::new(upstream, ClientLimits::default());
    let tools = client.list_tools().await.unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["listPets", "getPet", "putPet"]);
    assert!(!client.call_tool("getPet", br#"{"id":"1"}"#, &[]).await.unwrap().is_error);
    assert!(client.call_tool("getPet", br#"{"id":"none"}"#, &[]).await.unwrap().is_error);
}

#[tokio::test]
async fn a_base_url_with_a_query_and_a_document_that_is_none_are_refused() {
    let config = |url: &str, document: &'static str| RestConfig {
        name: "pets".parse().unwrap(),
        document: document.into(),
        policy: Policy::public(),
        url: url.parse().unwrap(),
        headers: Vec::new(),
        limits: RestLimits::default(),
        room: None,
    };
    assert!(RestUpstream::new(config("https://api.example/v1", DOCUMENT)).is_ok());
    let url = RestUpstream::new(config("https://api.example/v1?key=s3cr3t", DOCUMENT)).unwrap_err();
    assert!(matches!(url, RestConfigError::Http(_)) && !url.to_string().contains("s3cr3t"));
    let document = RestUpstream::new(config("https://api.example/v1", "swagger: '2.0'")).unwrap_err();
    assert!(matches!(document, RestConfigError::Document { .. }), "{document}");
}
