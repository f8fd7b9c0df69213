use std::collections::VecDeque;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex as Lock;
use tollgate_mcp::tools::ToolsError;

use super::*;
use crate::peer::{Peer, full, values};

/// What a peer saw: method, headers, and the body's JSON.
#[derive(Clone)]
struct Seen {
    method: Method,
    headers: HeaderMap,
    body: String,
}

type Journal = Arc<Lock<Vec<Seen>>>;

/// A server that answers by a script on (JSON-RPC method, raw id, whole request).
async fn scripted(
    script: impl Fn(&str, &str, &Seen) -> Response<Body> + Send + Sync + 'static,
) -> (Peer, Journal) {
    let journal = Journal::default();
    let (record, script) = (Arc::clone(&journal), Arc::new(script));
    let peer = Peer::http(move |request: Request<Incoming>| {
        let (record, script) = (Arc::clone(&record), Arc::clone(&script));
        async move {
            let (head, body) = request.into_parts();
            let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
            let seen = Seen { method: head.method, headers: head.headers, body };
            record.lock().push(seen.clone());
            let frame = Frame::parse(Bytes::from(seen.body.clone()));
            let frame = frame.as_ref().ok();
            let method = frame.and_then(Frame::method).unwrap_or_default();
            let id = frame.and_then(Frame::id).map_or(String::new(), ToString::to_string);
            script(method, &id, &seen)
        }
    })
    .await;
    (peer, journal)
}

fn client(peer: &Peer) -> McpClient {
    client_within(peer, ClientLimits::default())
}

fn client_within(peer: &Peer, limits: ClientLimits) -> McpClient {
    McpClient::new(Arc::new(peer.upstream()), limits)
}

fn result(id: &str, result: &str) -> Response<Body> {
    full("application/json", format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"))
}

fn error(status: u16, id: &str, code: i32) -> Response<Body> {
    let body =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":\"no\"}}}}");
    let mut response = full("application/json", body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn bare(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn welcome(id: &str, session: &str) -> Response<Body> {
    let mut response = result(id, r#"{"protocolVersion":"2025-06-18","capabilities":{}}"#);
    response.headers_mut().insert(SESSION_HEADER, session.parse().unwrap());
    response
}

fn methods(journal: &Journal) -> Vec<String> {
    let said = |seen: &Seen| {
        let frame = Frame::parse(Bytes::from(seen.body.clone())).ok();
        frame.and_then(|frame| frame.method().map(str::to_owned)).unwrap_or_else(|| seen.method.to_string())
    };
    journal.lock().iter().map(said).collect()
}

#[tokio::test]
async fn tools_are_listed_page_by_page_in_one_session() {
    let (peer, journal) = scripted(|method, id, seen| match method {
        "initialize" => welcome(id, "s1"),
        "tools/list" if seen.body.contains("\"cursor\":\"two \\\"2\\\"\"") => {
            result(id, r#"{"tools":[{"name":"b","inputSchema":{}}]}"#)
        }
        "tools/list" => {
            result(id, r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}}],"nextCursor":"two \"2\""}"#)
        }
        _ => bare(202),
    })
    .await;
    let client = client(&peer);
    let tools = client.list_tools().await.unwrap();
    assert_eq!(tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(client.era().await, Some(Era::Legacy));
    assert_eq!(tools[0].input_schema, r#"{"type":"object"}"#);
    client.close().await;
    assert_eq!(
        methods(&journal),
        ["initialize", "notifications/initialized", "tools/list", "tools/list", "DELETE"]
    );
    let journal = journal.lock();
    assert_eq!(values(&journal[0].headers, "mcp-session-id"), Vec::<&str>::new());
    for seen in &journal[1..] {
        assert_eq!(values(&seen.headers, "mcp-session-id"), ["s1"]);
        assert_eq!(values(&seen.headers, "mcp-protocol-version"), ["2025-06-18"]);
    }
    assert_eq!(values(&journal[0].headers, "accept"), ["application/json, text/event-stream"]);
}

#[tokio::test]
async fn a_call_forwards_its_arguments_and_reads_an_event_stream() {
    let (peer, journal) = scripted(|method, id, _| match method {
        "initialize" => welcome(id, "s1"),
        "tools/call" => full(
            "text/event-stream",
            format!(
                ": hi\n\nid: 1\ndata:\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}}\n\n\
                 data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[],\"isError\":true}}}}\n\n"
            ),
        ),
        _ => bare(202),
    })
    .await;
    let result = client(&peer).call_tool("tool \"x\"", b"{\"z\": 1.10}", &[("k/a", "\"v\"")]).await.unwrap();
    assert_eq!(result, CallResult { result: r#"{"content":[],"isError":true}"#.into(), is_error: true });
    let sent = journal.lock().last().unwrap().body.clone();
    assert!(
        sent.contains(r#""params":{"name":"tool \"x\"","arguments":{"z": 1.10},"_meta":{"k/a":"v"}}"#),
        "{sent}"
    );
}

#[tokio::test]
async fn a_session_that_the_server_has_forgotten_is_made_again_once() {
    let sessions = Lock::new(VecDeque::from(["s1", "s2", "s3"]));
    let (peer, journal) = scripted(move |method, id, seen| match method {
        "initialize" => welcome(id, sessions.lock().pop_front().unwrap()),
        "tools/call" if values(&seen.headers, "mcp-session-id") == ["s1"] => error(404, "null", -32_001),
        "tools/call" if seen.body.contains("again") => error(404, "null", -32_001),
        "tools/call" => result(id, "{}"),
        _ => bare(202),
    })
    .await;
    let client = client(&peer);
    assert!(!client.call_tool("a", b"{}", &[]).await.unwrap().is_error);
    assert_eq!(
        methods(&journal),
        ["initialize", "notifications/initialized", "tools/call"].repeat(2),
        "the first session is forgotten, the second holds"
    );
    // A server that forgets every session is not asked for ever.
    let error = client.call_tool("again", b"{}", &[]).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Status(StatusCode::NOT_FOUND) | ClientError::Rpc { .. }),
        "{error:?}"
    );
    assert_eq!(methods(&journal).iter().filter(|method| *method == "initialize").count(), 3);
}

#[tokio::test]
async fn a_modern_only_server_is_spoken_to_without_a_session() {
    let (peer, journal) = scripted(|method, id, _| match method {
        "initialize" => error(404, id, -32_601),
        "server/discover" => result(id, r#"{"supportedVersions":["2026-07-28"]}"#),
        "tools/call" => result(id, r#"{"resultType":"complete","content":[]}"#),
        _ => bare(500),
    })
    .await;
    let client = client(&peer);
    for _ in 0..2 {
        assert!(!client.call_tool("wétter", b"{}", &[]).await.unwrap().is_error);
    }
    assert_eq!(methods(&journal), ["initialize", "server/discover", "tools/call", "tools/call"]);
    let call = journal.lock().last().unwrap().clone();
    assert_eq!(values(&call.headers, "mcp-protocol-version"), ["2026-07-28"]);
    assert_eq!(values(&call.headers, "mcp-method"), ["tools/call"]);
    assert_eq!(values(&call.headers, "mcp-name"), ["=?base64?d8OpdHRlcg==?="]);
    assert!(call.body.contains(r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#), "{}", call.body);
    assert!(call.body.contains(r#""io.modelcontextprotocol/clientCapabilities":{}"#), "{}", call.body);
}

#[tokio::test]
async fn whether_a_server_speaks_the_modern_era_is_asked_once_and_a_refusal_of_everybody_says_nothing_of_it()
{
    for (status, known) in
        [(200, Some(true)), (400, Some(false)), (404, Some(false)), (401, None), (503, None)]
    {
        let (peer, journal) = scripted(move |_, id, _| match status {
            200 => result(id, r#"{"supportedVersions":["2026-07-28"]}"#),
            status => bare(status),
        })
        .await;
        let client = client(&peer);
        for _ in 0..2 {
            assert_eq!(client.speaks_modern().await, known, "{status}");
        }
        assert_eq!(methods(&journal), ["server/discover"], "{status}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_neither_way_says_why_first() {
    let (peer, _) = scripted(|method, id, _| match method {
        "initialize" => error(200, id, -32_600),
        _ => bare(400),
    })
    .await;
    let error = client(&peer).list_tools().await.unwrap_err();
    assert!(matches!(error, ClientError::Rpc { code: -32_600, .. }), "{error:?}");
}

#[tokio::test]
async fn arguments_that_would_write_another_message_are_refused() {
    let (peer, journal) = scripted(|method, id, _| match method {
        "initialize" => welcome(id, "s1"),
        "tools/call" => result(id, "{}"),
        _ => bare(202),
    })
    .await;
    let client = client(&peer);
    for arguments in ["", "{", "[]", "{},\"name\":\"other\"", "{}},\"id\":9,\"x\":{", "{\"a\":1,\"a\":2}"] {
        let error = client.call_tool("a", arguments.as_bytes(), &[]).await.unwrap_err();
        assert!(matches!(error, ClientError::Arguments), "{arguments}: {error:?}");
    }
    assert!(!methods(&journal).contains(&"tools/call".to_owned()));
    assert!(client.call_tool("a", b"{\"a\":1}", &[]).await.is_ok());
}

#[tokio::test]
async fn an_endless_tool_list_is_given_up() {
    let (peer, _) = scripted(|method, id, _| match method {
        "initialize" => welcome(id, "s1"),
        "tools/list" => result(id, r#"{"tools":[{"name":"a","inputSchema":{}}],"nextCursor":"more"}"#),
        _ => bare(202),
    })
    .await;
    for limits in [
        ClientLimits { pages_max: 3, ..ClientLimits::default() },
        ClientLimits { tools_max: 3, ..ClientLimits::default() },
    ] {
        let error = client_within(&peer, limits).list_tools().await.unwrap_err();
        assert!(matches!(error, ClientError::TooManyTools), "{error:?}");
    }
}

#[tokio::test]
async fn d1_f45_an_answer_has_a_length_and_a_time() {
    let (peer, _) = scripted(|method, id, _| match method {
        "initialize" => welcome(id, "s1"),
        "tools/list" => result(id, r#"{"tools":"none"}"#),
        "tools/call" => {
            let (sender, body) = Body::channel(1);
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
            // Kept open for ever: the sender is never told to end.
            std::mem::forget(sender);
            response
        }
        _ => bare(202),
    })
    .await;
    let limits = ClientLimits { exchange_ms_max: 300, ..ClientLimits::default() };
    let error = client_within(&peer, limits).call_tool("a", b"{}", &[]).await.unwrap_err();
    assert!(matches!(error, ClientError::Upstream(UpstreamError::TimedOut)), "{error:?}");
    let limits = ClientLimits { answer_bytes_max: 40, ..ClientLimits::default() };
    let error = client_within(&peer, limits).list_tools().await.unwrap_err();
    assert!(matches!(error, ClientError::Upstream(UpstreamError::TooLarge(40))), "{error:?}");
    let error = client(&peer).list_tools().await.unwrap_err();
    assert!(matches!(error, ClientError::Tools(ToolsError::NotAList)), "{error:?}");
}

const CHANGED: &str = r#"data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
const PROGRESS: &str = r#"data: {"jsonrpc":"2.0","method":"notifications/progress"}"#;

#[tokio::test]
async fn f53_a_changed_list_is_heard_on_the_stream_of_the_session() {
    let events = format!(": hello\n\n{PROGRESS}\n\n{CHANGED}\n\ndata: no message\n\n{CHANGED}\n\n");
    let (peer, journal) = scripted(move |method, id, seen| match (method, &seen.method) {
        ("initialize", _) => welcome(id, "s1"),
        (_, &Method::GET) => full("text/event-stream", events.clone()),
        _ => bare(202),
    })
    .await;
    let mut announcements = client(&peer).listen().await.unwrap();
    announcements.tools_changed().await.unwrap();
    announcements.tools_changed().await.unwrap();
    assert!(announcements.tools_changed().await.is_err(), "the stream is over");
    assert_eq!(methods(&journal), ["initialize", "notifications/initialized", "GET"]);
    let get = journal.lock()[2].clone();
    assert_eq!(
        (get.headers["mcp-session-id"].as_bytes(), get.headers[ACCEPT].as_bytes()),
        (&b"s1"[..], &b"text/event-stream"[..])
    );
}

#[tokio::test]
async fn a_modern_server_is_subscribed_to_and_one_that_announces_nothing_says_so() {
    let (peer, journal) = scripted(|method, id, _| match method {
        "initialize" => error(400, id, -32_022),
        "server/discover" => result(id, "{}"),
        "subscriptions/listen" => full("text/event-stream", format!("{CHANGED}\n\n")),
        _ => bare(404),
    })
    .await;
    client(&peer).listen().await.unwrap().tools_changed().await.unwrap();
    let asked = journal.lock().last().unwrap().clone();
    assert!(asked.body.contains(r#""notifications":{"toolsListChanged":true}"#), "{}", asked.body);
    assert_eq!(asked.headers["mcp-method"], "subscriptions/listen");

    let (silent, _) = scripted(|method, id, _| match method {
        "initialize" => welcome(id, "s1"),
        "" => bare(405),
        _ => bare(202),
    })
    .await;
    let refused = client(&silent).listen().await.unwrap_err();
    assert!(matches!(refused, ClientError::Status(StatusCode::METHOD_NOT_ALLOWED)), "{refused}");
}

#[tokio::test]
async fn f9_a_call_takes_room_and_what_describes_the_server_does_not() {
    let padding = "x".repeat(40_000);
    let (peer, _) = scripted(move |method, id, _| match method {
        "initialize" => welcome(id, "s1"),
        "tools/list" => result(
            id,
            &format!(
                r#"{{"tools":[{{"name":"a","description":"{padding}","inputSchema":{{"type":"object"}}}}]}}"#
            ),
        ),
        "tools/call" => result(id, &format!(r#"{{"content":[],"x":"{padding}"}}"#)),
        _ => bare(202),
    })
    .await;
    let room = Room::new(60_000);
    let client = client(&peer).within(Arc::clone(&room));
    let first = client.call_tool("a", b"{}", &[]).await.unwrap();
    assert!(room.taken() > 40_000);
    let tools = client.list_tools().await.unwrap();
    let error = client.call_tool("a", b"{}", &[]).await.unwrap_err();
    assert!(matches!(error, ClientError::Upstream(UpstreamError::NoRoom)), "{error:?}");
    drop(first);
    assert_eq!((room.taken(), tools.len()), (0, 1), "a list that is kept takes nothing");
    client.call_tool("a", b"{}", &[]).await.unwrap(); // control
}
