use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::*;
use crate::peer::{Peer, chunk, full, post, text, values};

#[tokio::test]
async fn bodies_flow_both_ways_before_either_is_whole() {
    let peer = Peer::http(|request| async move { Response::new(Body::Incoming(request.into_body())) }).await;
    let upstream = peer.upstream();
    let (sender, body) = Body::channel(1);
    let mut response = upstream.forward(Request::post("/").body(body).unwrap()).await.unwrap();
    for round in ["one", "two", "three"] {
        // Each chunk is back before the next is sent: nothing on the way waits for the end.
        sender.send(round.into()).await.unwrap();
        assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), round);
    }
    sender.finish();
    assert!(chunk(response.body_mut()).await.is_none());
}

#[tokio::test]
async fn the_head_comes_before_the_first_byte_of_the_body() {
    let (open, opened) = oneshot::channel::<()>();
    let opened = Arc::new(Mutex::new(Some(opened)));
    let tasks = TaskTracker::new();
    let peer = Peer::http(move |_| {
        let (opened, tasks) = (opened.lock().take().unwrap(), tasks.clone());
        async move {
            let (sender, body) = Body::channel(1);
            tasks.spawn(async move {
                opened.await.unwrap();
                sender.send("late".into()).await.unwrap();
                sender.finish();
            });
            Response::new(body)
        }
    })
    .await;
    let response = peer.upstream().forward(post("{}")).await.unwrap();
    open.send(()).unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "late");
}

#[tokio::test]
async fn an_event_stream_passes_byte_for_byte() {
    const STREAM: &[u8] = b"\xef\xbb\xbf: hello\r\n\r\nid: 7\nretry:  10\ndata:\n\nevent: x\rdata: {\"a\" : 1.10}\r\r:\n\ndata: \xc3\xa9 open";
    let peer = Peer::http(|_| async {
        let (sender, body) = Body::channel(STREAM.len());
        for piece in STREAM.chunks(3) {
            sender.send(Bytes::from_static(piece)).await.unwrap();
        }
        sender.finish();
        let mut response = Response::new(body);
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("text/event-stream; charset=utf-8"));
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    })
    .await;
    let response = peer.upstream().forward(post("{}")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), STREAM);
}

#[tokio::test]
async fn hop_by_hop_headers_end_at_the_gateway_in_both_directions() {
    let (journal, mut heads) = mpsc::channel(1);
    let peer = Peer::http(move |request: Request<hyper::body::Incoming>| {
        let journal = journal.clone();
        async move {
            journal.send(request.headers().clone()).await.unwrap();
            Response::builder()
                .header("connection", "x-private")
                .header("x-private", "1")
                .header("keep-alive", "timeout=5")
                .header("x-public", "1")
                .header("mcp-session-id", "s1")
                .body(Body::Empty)
                .unwrap()
        }
    })
    .await;
    let mut request = post("{}");
    for (name, value) in [
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eA=="),
        ("mcp-session-id", "s1"),
        ("x-unknown", "kept"),
        ("mcp-param-city", "Oslo"),
        ("traceparent", "00-1-2-01"),
    ] {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let response = peer.upstream().forward(request).await.unwrap();
    let seen = heads.recv().await.unwrap();
    for name in ["connection", "x-mine", "te", "proxy-authorization"] {
        assert_eq!(values(&seen, name), Vec::<&str>::new(), "{name}");
    }
    for (name, value) in [
        ("mcp-session-id", "s1"),
        ("x-unknown", "kept"),
        ("mcp-param-city", "Oslo"),
        ("traceparent", "00-1-2-01"),
    ] {
        assert_eq!(values(&seen, name), [value]);
    }
    assert_eq!(values(&seen, "host"), [peer.url.authority().unwrap().as_str()]);
    for name in ["connection", "x-private", "keep-alive"] {
        assert_eq!(values(response.headers(), name), Vec::<&str>::new(), "{name}");
    }
    assert_eq!(values(response.headers(), "x-public"), ["1"]);
    assert_eq!(values(response.headers(), "mcp-session-id"), ["s1"]);
}

#[tokio::test]
async fn o2_the_configured_headers_replace_what_the_caller_sent() {
    let (journal, mut heads) = mpsc::channel(1);
    let peer = Peer::http(move |request: Request<hyper::body::Incoming>| {
        let journal = journal.clone();
        async move {
            journal.send((request.uri().clone(), request.headers().clone())).await.unwrap();
            Response::new(Body::Empty)
        }
    })
    .await;
    let request = || {
        let mut request = post("{}");
        *request.uri_mut() = "/other/path?token=caller".parse().unwrap();
        let headers = request.headers_mut();
        headers.append("authorization", HeaderValue::from_static("Bearer caller-1"));
        headers.append("authorization", HeaderValue::from_static("Bearer caller-2"));
        headers.append("x-payment", HeaderValue::from_static("proof"));
        headers.append("x-tenant", HeaderValue::from_static("somebody"));
        request
    };
    // Positive control: a plain upstream passes everything on but the URL.
    peer.upstream().forward(request()).await.unwrap();
    let (url, seen) = heads.recv().await.unwrap();
    assert_eq!(url, "/mcp");
    assert_eq!(values(&seen, "authorization"), ["Bearer caller-1", "Bearer caller-2"]);
    assert_eq!(values(&seen, "x-payment"), ["proof"]);
    assert_eq!(values(&seen, "x-tenant"), ["somebody"]);

    let config = HttpConfig {
        headers: vec![
            OwnHeader::new(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer own")),
            OwnHeader::new(HeaderName::from_static("x-tenant"), HeaderValue::from_static("own")),
        ],
        strip: vec![http::header::AUTHORIZATION, HeaderName::from_static("x-payment")],
        ..peer.config()
    };
    let shown = format!("{config:?} {:?}", config.headers);
    assert!(shown.contains("x-tenant") && !shown.contains("own"), "{shown}");
    HttpUpstream::new(config).unwrap().forward(request()).await.unwrap();
    let (_, seen) = heads.recv().await.unwrap();
    assert_eq!(values(&seen, "authorization"), ["Bearer own"]);
    assert_eq!(values(&seen, "x-tenant"), ["own"]);
    assert_eq!(values(&seen, "x-payment"), Vec::<&str>::new());
}

#[tokio::test]
async fn a_replaced_body_is_sent_with_its_own_length() {
    let peer = Peer::http(|request: Request<hyper::body::Incoming>| async move {
        let announced = request.headers()["content-length"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        full("text/plain", format!("{announced} {}", String::from_utf8_lossy(&body)))
    })
    .await;
    let mut request = post("shorter");
    request.headers_mut().insert("content-length", HeaderValue::from_static("999"));
    request.headers_mut().insert("transfer-encoding", HeaderValue::from_static("chunked"));
    let response = peer.upstream().forward(request).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "7 shorter");
}

#[tokio::test]
async fn one_connection_serves_requests_that_follow_each_other() {
    let peer = Peer::http(|_| async { full("application/json", "{}") }).await;
    let upstream = peer.upstream();
    for _ in 0..5 {
        let response = upstream.forward(post("{}")).await.unwrap();
        assert_eq!(text(response.into_body()).await.unwrap(), "{}");
    }
    assert_eq!(peer.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn f44_a_closed_port_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url: Uri = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let config = HttpConfig::new("gone".parse().unwrap(), url.clone(), Policy::public().allow_url(&url));
    let error = HttpUpstream::new(config).unwrap().forward(post("{}")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn n1_an_upstream_at_a_forbidden_address_is_never_reached() {
    let peer = Peer::http(|_| async { Response::new(Body::Empty) }).await;
    let config = HttpConfig { policy: Policy::public(), ..peer.config() };
    let error = HttpUpstream::new(config).unwrap().forward(post("{}")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unreachable(_)), "{error:?}");
    assert_eq!(peer.connections.load(Ordering::SeqCst), 0);
    assert!(peer.upstream().forward(post("{}")).await.is_ok());
}

/// Reads a request head and answers with these bytes, then closes, with a reset if asked.
async fn answer_and_close(mut stream: TcpStream, bytes: &[u8], reset: bool) {
    let mut head = [0; 4096];
    let read = stream.read(&mut head).await.unwrap();
    assert!(read > 0);
    stream.write_all(bytes).await.unwrap();
    if reset {
        stream.set_zero_linger().unwrap();
    }
}

#[tokio::test]
async fn f46_a_body_that_is_cut_off_ends_in_an_error() {
    for (bytes, reset) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":"[..], false),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":", false),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":", true),
    ] {
        let peer = Peer::raw(move |stream| answer_and_close(stream, bytes, reset)).await;
        // A reset may overtake the head.
        let outcome = match peer.upstream().forward(post("{}")).await {
            Ok(response) => text(response.into_body()).await.map_err(UpstreamError::from),
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(UpstreamError::Broken(_))), "{outcome:?}");
    }
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
    let peer = Peer::raw(move |stream| answer_and_close(stream, whole, false)).await;
    let response = peer.upstream().forward(post("{}")).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "{\"a\":1}");
}

#[tokio::test]
async fn f46_an_upstream_that_says_nothing_or_nonsense_is_broken() {
    for bytes in [&b""[..], b"HTTP/1.1 200 O", b"SSH-2.0-OpenSSH\r\n"] {
        let peer = Peer::raw(move |stream| answer_and_close(stream, bytes, false)).await;
        let error = peer.upstream().forward(post("{}")).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_request_whose_body_breaks_off_says_nothing_of_its_server() {
    let peer = Peer::http(|request| async move {
        drop(request.into_body().collect().await);
        Response::new(Body::from(Bytes::from_static(b"read")))
    })
    .await;
    let upstream = peer.upstream();
    let broken = Body::channel(1).1;
    for (body, is_broken) in [(Body::default(), false), (broken, true), (Body::default(), false)] {
        match upstream.forward(Request::post("/").body(body).unwrap()).await {
            Ok(response) => assert!(!is_broken && text(response.into_body()).await.unwrap() == "read"),
            Err(error) => assert!(is_broken && matches!(error, UpstreamError::Abandoned), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn f45_an_upstream_that_hangs_meets_the_limit_on_the_head() {
    let peer = Peer::http(|request: Request<hyper::body::Incoming>| async move {
        if request.headers().contains_key("x-hang") {
            std::future::pending::<()>().await;
        }
        full("application/json", "{}")
    })
    .await;
    let upstream = HttpUpstream::new(HttpConfig { head_ms_max: Some(200), ..peer.config() }).unwrap();
    let mut hanging = post("{}");
    hanging.headers_mut().insert("x-hang", HeaderValue::from_static("1"));
    assert!(matches!(upstream.forward(hanging).await, Err(UpstreamError::TimedOut)));
    let unlimited = peer.upstream();
    assert_eq!(unlimited.forward(post("{}")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn f49_dropping_the_response_is_noticed_by_the_upstream() {
    let (noticed, mut notices) = mpsc::channel(1);
    let tasks = TaskTracker::new();
    let peer = Peer::http(move |_| {
        let (noticed, tasks) = (noticed.clone(), tasks.clone());
        async move {
            let (sender, body) = Body::channel(1);
            sender.send("first".into()).await.unwrap();
            tasks.spawn(async move {
                sender.gone().await;
                noticed.send(()).await.unwrap();
            });
            Response::new(body)
        }
    })
    .await;
    let upstream = peer.upstream();
    let mut response = upstream.forward(post("{}")).await.unwrap();
    assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), "first");
    assert!(notices.try_recv().is_err());
    drop(response);
    notices.recv().await.unwrap();
}

#[tokio::test]
async fn f49_dropping_the_request_before_the_head_is_noticed_by_the_upstream() {
    struct Notice(Option<oneshot::Sender<()>>);
    impl Drop for Notice {
        fn drop(&mut self) {
            self.0.take().unwrap().send(()).unwrap();
        }
    }
    let (noticed, notice) = oneshot::channel();
    let (started, start) = oneshot::channel();
    let once = Arc::new(Mutex::new(Some((Notice(Some(noticed)), started))));
    let peer = Peer::http(move |_| {
        let (notice, started) = once.lock().take().unwrap();
        async move {
            let _held_while_the_request_is_handled = notice;
            started.send(()).unwrap();
            std::future::pending().await
        }
    })
    .await;
    let upstream = peer.upstream();
    tokio::select! {
        answer = upstream.forward(post("{}")) => panic!("{answer:?}"),
        started = start => started.unwrap(),
    }
    notice.await.unwrap();
}

#[tokio::test]
async fn only_a_plain_absolute_url_is_an_endpoint() {
    let made = |url: &str| {
        let url: Uri = url.parse().unwrap();
        HttpUpstream::new(HttpConfig::new("x".parse().unwrap(), url, Policy::public()))
    };
    for url in ["/mcp", "ftp://a.example/mcp", "http://user:secret@a.example/mcp", "a.example:80"] {
        let error = made(url).unwrap_err();
        assert!(matches!(error, HttpConfigError::Url(_)), "{url}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    for url in ["http://a.example", "https://a.example/mcp?x=1", "http://[2001:4860::1]:8080/mcp"] {
        assert!(made(url).is_ok(), "{url}");
    }
}

#[test]
fn the_host_header_names_the_port_where_it_is_not_the_usual_one() {
    for (url, host) in [
        ("http://a.example/", "a.example"),
        ("http://a.example:80/", "a.example"),
        ("https://a.example:443/", "a.example"),
        ("https://a.example:80/", "a.example:80"),
        ("http://[2001:4860::1]:8080/", "[2001:4860::1]:8080"),
    ] {
        let (endpoint, header) = endpoint(url.parse().unwrap()).unwrap();
        assert_eq!(header, host);
        // HTTP/2 sends the one as `:authority` and the other as `host`: they must not differ.
        assert_eq!(endpoint.authority().unwrap(), host);
    }
}
