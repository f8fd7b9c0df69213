use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::*;
use crate::body::BodySender;
use crate::client::{ClientLimits, McpClient};
use crate::peer::{Peer, chunk, full, post, text};
use crate::session::Holder;

/// A server of the first HTTP transport. What a call does stands in the tool's name.
#[derive(Default)]
struct Legacy {
    streams: Mutex<Vec<Arc<BodySender>>>,
    /// What was posted: path and query, session and body.
    posted: Mutex<Vec<String>>,
    opened: AtomicUsize,
}

impl Legacy {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, said: String) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.method == Method::GET {
            self.opened.fetch_add(1, Ordering::SeqCst);
            let (sender, body) = Body::channel(64);
            let number = self.streams.lock().len();
            let endpoint = said.replace("{n}", &number.to_string());
            let hello = format!(": welcome\n\nevent: endpoint\ndata: {endpoint}\n\n");
            sender.send(hello.into()).await.unwrap();
            self.streams.lock().push(Arc::new(sender));
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
            return response;
        }
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.posted.lock().push(format!("{} {body}", head.uri));
        let Some(number) = head.uri.query().and_then(|query| query.strip_prefix("s=")?.parse::<usize>().ok())
        else {
            return bare(404);
        };
        let Some(stream) = self.streams.lock().get(number).cloned() else { return bare(404) };
        self.react(&stream, &body, number).await
    }

    async fn react(&self, stream: &BodySender, body: &str, number: usize) -> Response<Body> {
        let frame = Frame::parse(body.to_owned().into()).unwrap();
        let id = frame.id().map(|id| id.raw().to_owned()).unwrap_or_default();
        let say = async |message: &str| {
            let event = format!("event: message\ndata: {message}\n\n");
            stream.send(event.into()).await.ok();
        };
        let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        match (frame.method(), frame.tool_call().map(|call| call.name)) {
            (Some("initialize"), _) => {
                say(&result(r#"{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{"name":"l","version":"1"}}"#)).await;
            }
            (Some("tools/call"), Some(tool)) => match &*tool {
                "echo" => say(&result(&format!("{{\"session\":{number}}}"))).await,
                "progress" => {
                    let token = String::from_utf8(frame.meta("progressToken").unwrap().to_vec()).unwrap();
                    say(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#)).await;
                    say(&result("{}")).await;
                }
                "ask" => say(r#"{"jsonrpc":"2.0","id":"q1","method":"roots/list"}"#).await,
                "noise" => {
                    stream
                        .send("event: other\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n".into())
                        .await
                        .ok();
                    say(&result("{\"real\":true}")).await;
                }
                "double" => say(&result(r#"{"a":1,"a":2}"#)).await,
                "huge" => say(&result(&format!("{{\"a\":\"{}\"}}", "x".repeat(10_000)))).await,
                "refuse" => return bare(400),
                "forget" => return bare(404),
                "cut" => {
                    let kept: Vec<_> = std::mem::take(&mut *self.streams.lock());
                    // The last handle goes with this one, and the stream with it.
                    drop(kept);
                }
                _ => {}
            },
            (Some("tools/list"), _) => {
                say(&result(r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#)).await;
            }
            (None, _) => say(r#"{"jsonrpc":"2.0","id":5,"result":{"roots":true}}"#).await,
            _ => {}
        }
        full("text/plain", "Accepted")
    }
}

fn bare(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn counted() -> [u8; 16] {
    static LAST: AtomicU8 = AtomicU8::new(0);
    [LAST.fetch_add(1, Ordering::SeqCst); 16]
}

struct World {
    upstream: Arc<SseUpstream>,
    legacy: Arc<Legacy>,
    tasks: TaskTracker,
    _peer: Peer,
}

impl World {
    async fn new() -> Self {
        Self::naming("/messages/?s={n}", SseLimits::default()).await
    }

    /// A server that names this endpoint.
    async fn naming(endpoint: &'static str, limits: SseLimits) -> Self {
        let legacy: Arc<Legacy> = Arc::default();
        let served = Arc::clone(&legacy);
        let peer = Peer::http(move |request| {
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            Arc::clone(&served).answer(request, endpoint.replace("{host}", &host))
        })
        .await;
        let url: Uri = format!("http://{}/v1/sse?key=k", peer.url.authority().unwrap()).parse().unwrap();
        let tasks = TaskTracker::new();
        let config = SseConfig {
            name: "old".parse().unwrap(),
            policy: Policy::public().allow_url(&url),
            url,
            headers: Vec::new(),
            limits,
            room: None,
        };
        let upstream = Arc::new(SseUpstream::new(config, counted, tasks.clone()).unwrap());
        Self { upstream, legacy, tasks, _peer: peer }
    }

    async fn send(&self, session: Option<&str>, message: &str) -> Result<Response<Body>, UpstreamError> {
        self.upstream.exchange(within(session, message)).await
    }

    async fn say(&self, session: Option<&str>, message: &str) -> (u16, String) {
        let response = self.send(session, message).await.unwrap();
        (response.status().as_u16(), text(response.into_body()).await.unwrap())
    }

    async fn open(&self) -> String {
        let response = self.send(None, INITIALIZE).await.unwrap();
        assert_eq!(response.status(), 200);
        response.headers()["mcp-session-id"].to_str().unwrap().to_owned()
    }

    async fn end(&self) {
        self.upstream.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

const INITIALIZE: &str =
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;

fn within(session: Option<&str>, message: &str) -> Request<Body> {
    let mut request = post(message.to_owned());
    if let Some(session) = session {
        request.headers_mut().insert("mcp-session-id", HeaderValue::from_str(session).unwrap());
    }
    request
}

fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}},"_meta":{{"progressToken":"t"}}}}}}"#
    )
}

#[tokio::test]
async fn a_session_is_a_stream_of_its_own_with_the_endpoint_that_it_names() {
    let world = World::new().await;
    let (first, second) = (world.open().await, world.open().await);
    assert_ne!(first, second);
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(world.say(Some(&first), initialized).await, (202, String::new()));
    for (session, number) in [(&first, 0), (&second, 1), (&first, 0)] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":5,"result":{{"session":{number}}}}}"#);
        assert_eq!(world.say(Some(session), &call("echo")).await, (200, answer));
    }
    let posted = world.legacy.posted.lock().clone();
    assert_eq!(posted[0], format!("/messages/?s=0 {INITIALIZE}"), "bytes as they came");
    assert!(
        posted[3].starts_with("/messages/?s=0 ") && posted[4].starts_with("/messages/?s=1 "),
        "{posted:?}"
    );

    let mut end = within(Some(&first), "");
    *end.method_mut() = Method::DELETE;
    assert_eq!(world.upstream.exchange(end).await.unwrap().status(), 204);
    assert_eq!(world.say(Some(&first), &call("echo")).await.0, 404);
    assert_eq!(world.say(Some(&second), &call("echo")).await.0, 200);
    assert_eq!(world.say(None, &call("echo")).await.0, 400);
    world.end().await;
}

#[tokio::test]
async fn progress_questions_and_what_belongs_to_nobody_find_their_way() {
    let world = World::new().await;
    let session = world.open().await;
    let (status, stream) = world.say(Some(&session), &call("progress")).await;
    assert_eq!(status, 200);
    assert!(stream.starts_with("data: ") && stream.contains("notifications/progress"), "{stream}");
    assert!(stream.ends_with("data: {\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}\n\n"), "{stream}");

    let mut asking = world.send(Some(&session), &call("ask")).await.unwrap();
    let question = chunk(asking.body_mut()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&question).contains("roots/list"));
    let reply = r#"{"jsonrpc":"2.0","id":"q1","result":{"roots":[]}}"#;
    assert_eq!(world.say(Some(&session), reply).await.0, 202);
    assert!(text(asking.into_body()).await.unwrap().contains(r#"{"roots":true}"#));

    // An event of another name is no message of MCP, whatever it carries.
    let (_, noise) = world.say(Some(&session), &call("noise")).await;
    assert!(noise.contains(r#"{"real":true}"#), "{noise}");
    world.end().await;
}

#[tokio::test]
async fn f46_a_stream_that_breaks_off_takes_its_calls_with_it_and_the_next_session_is_new() {
    let world = World::new().await;
    let session = world.open().await;
    let error = world.send(Some(&session), &call("cut")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
    assert_eq!(world.say(Some(&session), &call("echo")).await.0, 404);
    let session = world.open().await;
    assert_eq!(world.say(Some(&session), &call("echo")).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn a_message_that_the_server_refuses_fails_its_call_alone_unless_the_session_is_forgotten() {
    let world = World::new().await;
    let session = world.open().await;
    for tool in ["refuse", "double"] {
        let error = world.send(Some(&session), &call(tool)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NotAnAnswer(_)), "{tool}: {error:?}");
        assert_eq!(world.say(Some(&session), &call("echo")).await.0, 200, "{tool}");
    }
    let error = world.send(Some(&session), &call("forget")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
    assert_eq!(world.say(Some(&session), &call("echo")).await.0, 404);
    world.end().await;
}

#[tokio::test]
async fn n5_an_endpoint_of_another_origin_gets_no_message() {
    for endpoint in [
        "http://127.0.0.1:1/messages?s={n}",
        "https://{host}/messages?s={n}",
        "http://user@{host}/messages?s={n}",
        "http://evil.example/messages?s={n}",
        "//evil.example/messages?s={n}",
        "file:///etc/passwd",
        "",
    ] {
        let world = World::naming(endpoint, SseLimits::default()).await;
        let error = world.send(None, INITIALIZE).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NotAnAnswer(_)), "{endpoint}: {error:?}");
        assert_eq!(*world.legacy.posted.lock(), Vec::<String>::new(), "{endpoint}");
        world.end().await;
    }
    for (endpoint, posted) in [
        ("http://{host}/messages?s={n}", "/messages?s=0"),
        ("/messages?s={n}", "/messages?s=0"),
        ("messages?s={n}", "/v1/messages?s=0"),
        ("?s={n}", "/v1/sse?s=0"),
    ] {
        let world = World::naming(endpoint, SseLimits::default()).await;
        world.open().await;
        assert!(world.legacy.posted.lock()[0].starts_with(posted), "control: {endpoint}");
        world.end().await;
    }
}

#[tokio::test]
async fn d1_messages_and_sessions_are_bounded() {
    let sessions = SessionLimits { sessions_max: 1, ..SessionLimits::default() };
    let limits = SseLimits { message_bytes_max: 5_000, sessions, ..SseLimits::default() };
    let world = World::naming("/m?s={n}", limits).await;
    let session = world.open().await;
    assert_eq!(world.say(None, INITIALIZE).await.0, 503);
    let long = format!("{}{}", call("echo"), " ".repeat(5_000));
    assert_eq!(world.say(Some(&session), &long).await.0, 413);
    assert_eq!(world.say(Some(&session), &call("echo")).await.0, 200);
    // One for whom somebody vouches gets it all the same; then the bound holds again.
    let mut known = within(None, INITIALIZE);
    known.extensions_mut().insert(Holder::Known(1));
    let opened = world.upstream.exchange(known).await.unwrap();
    assert_eq!(opened.status(), 200);
    assert_eq!(world.say(Some(&session), &call("echo")).await.0, 404);
    assert_eq!(world.say(None, INITIALIZE).await.0, 503);
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    // What is longer than the limit ends the stream: nobody knows where the next event would begin.
    let error = world.send(Some(&session), &call("huge")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
    world.end().await;
}

#[tokio::test]
async fn f44_a_server_without_a_stream_of_events_is_told_apart_from_one_that_is_gone() {
    let peer = Peer::http(|_| async { full("text/html", "a page") }).await;
    let config = |url: &Uri| SseConfig {
        name: "old".parse().unwrap(),
        url: url.clone(),
        headers: Vec::new(),
        policy: Policy::public().allow_url(url),
        limits: SseLimits::default(),
        room: None,
    };
    let open = async |url: &Uri| {
        let upstream = SseUpstream::new(config(url), counted, TaskTracker::new()).unwrap();
        upstream.exchange(post(INITIALIZE)).await.unwrap_err()
    };
    assert!(matches!(open(&peer.url).await, UpstreamError::NotAnAnswer(_)));
    assert!(matches!(open(&Uri::from_static("http://127.0.0.1:1/sse")).await, UpstreamError::Unreachable(_)));
}

#[tokio::test]
async fn modern_callers_are_answered_as_by_a_legacy_server_and_the_gateways_own_client_falls_back() {
    let world = World::new().await;
    let modern = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let (status, refused) = world.say(None, modern).await;
    assert!(status == 400 && refused.contains("-32600"), "{refused}");
    assert_eq!(world.legacy.opened.load(Ordering::SeqCst), 0);
    let upstream: Arc<dyn Upstream> = Arc::clone(&world.upstream) as _;
    let client = McpClient::new(upstream, ClientLimits::default());
    assert_eq!(client.list_tools().await.unwrap().len(), 1);
    assert!(!client.call_tool("echo", b"{}", &[]).await.unwrap().is_error);
    client.close().await;
    world.end().await;
}
