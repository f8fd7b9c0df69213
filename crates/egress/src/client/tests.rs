use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::*;

/// A server that gives every connection the same bytes once a request head has come, reports each head and hangs up.
struct Canned {
    address: SocketAddr,
    heads: mpsc::Receiver<String>,
}

fn serve(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Canned {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (journal, heads) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            drop(journal.send(String::from_utf8_lossy(&head).into_owned()));
            answer(&mut stream);
        }
    });
    Canned { address, heads }
}

fn saying(text: &'static str) -> Canned {
    serve(move |stream| {
        drop(stream.write_all(text.as_bytes()));
    })
}

fn get(url: String) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

fn local(limits: Limits) -> Client {
    Client::new(Policy::public().allow_loopback(), limits)
}

#[tokio::test]
async fn a_request_brings_back_the_whole_answer() {
    let server = saying(
        "HTTP/1.1 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let request = Request::post(format!("http://{}/path?q=1", server.address))
        .header("x-own", "1")
        .body(Bytes::from_static(b"hello"))
        .unwrap();
    let answer = local(Limits::default()).send(request).await.unwrap();
    assert_eq!(answer.headers()["x-a"], "b");
    assert_eq!(answer.body(), "abcde");
    let head = server.heads.recv().unwrap();
    assert!(head.starts_with("POST /path?q=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", server.address)), "{head}");
}

#[tokio::test]
async fn n1_loopback_is_refused_by_name_and_by_address_before_anything_is_sent() {
    let server = saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let port = server.address.port();
    let public = Client::new(Policy::public(), Limits::default());
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"] {
        let error = public.send(get(format!("http://{host}:{port}/"))).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(_)), "{host}: {error:?}");
        assert!(error.nothing_was_sent());
    }
    for host in ["0177.0.0.1", "2130706433", "127.1", "0x7f.1"] {
        let error = public.send(get(format!("http://{host}:{port}/"))).await.unwrap_err();
        assert!(matches!(error, EgressError::Url), "{host}: {error:?}");
    }
    assert!(server.heads.try_recv().is_err());
    // Positive control: the same server under a policy that allows it.
    assert_eq!(
        local(Limits::default()).send(get(format!("http://127.0.0.1:{port}/"))).await.unwrap().body(),
        "ok"
    );
}

#[tokio::test]
async fn an_endpoint_on_the_list_is_reached_by_its_name() {
    let server = saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let port = server.address.port();
    let client = Client::new(Policy::public().allow_endpoint("localhost", port), Limits::default());
    assert_eq!(client.send(get(format!("http://localhost:{port}/"))).await.unwrap().body(), "ok");
    let error = client.send(get(format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    assert!(matches!(error, EgressError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn n2_a_redirect_is_returned_and_not_followed() {
    let target = saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let location = format!("http://{}/", target.address);
    let server = serve(move |stream| {
        drop(write!(stream, "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"));
    });
    let answer = local(Limits::default()).send(get(format!("http://{}/", server.address))).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert!(target.heads.try_recv().is_err());
}

#[tokio::test]
async fn n1_user_information_is_refused_and_no_secret_is_in_the_error() {
    let server = saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let client = local(Limits::default());
    let error =
        client.send(get(format!("http://user:hunter2@{}/?key=hunter2", server.address))).await.unwrap_err();
    assert!(matches!(error, EgressError::Url));
    let refused = Client::new(Policy::public(), Limits::default())
        .send(get(format!("http://{}/hunter2?key=hunter2", server.address)))
        .await
        .unwrap_err();
    for error in [error, refused] {
        let mut texts = format!("{error} {error:?}");
        let mut cause = error.source();
        while let Some(inner) = cause {
            texts.push_str(&format!("{inner} {inner:?}"));
            cause = inner.source();
        }
        assert!(!texts.contains("hunter2"), "{texts}");
    }
    assert!(
        client.send(get("ftp://example.com/".into())).await.is_err_and(|e| matches!(e, EgressError::Url))
    );
    assert!(client.send(get("/relative".into())).await.is_err_and(|e| matches!(e, EgressError::Url)));
    assert!(client.send(get(format!("http://{}/?key=1", server.address))).await.is_ok());
}

#[tokio::test]
async fn d1_an_answer_over_the_limit_is_cut_off_announced_or_not() {
    let announced = saying("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde");
    let chunked = saying(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let until_close = saying("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcde");
    for server in [announced, chunked, until_close] {
        let url = format!("http://{}/", server.address);
        let tight = local(Limits { response_bytes_max: 4, ..Limits::default() });
        let error = tight.send(get(url.clone())).await.unwrap_err();
        assert!(matches!(error, EgressError::TooLarge(4)), "{error:?}");
        let exact = tight.with_limits(Limits { response_bytes_max: 5, ..Limits::default() });
        assert_eq!(exact.send(get(url)).await.unwrap().body(), "abcde");
    }
}

#[tokio::test]
async fn f45_a_server_that_hangs_meets_the_time_limit() {
    let (release, released) = mpsc::channel::<()>();
    let server = serve(move |stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"));
        assert!(released.recv().is_err());
    });
    let client = local(Limits { timeout_ms_max: 50, ..Limits::default() });
    let error = client.send(get(format!("http://{}/", server.address))).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout(50)), "{error:?}");
    assert!(!error.nothing_was_sent());
    drop(release);
}

#[tokio::test]
async fn f44_a_closed_port_and_an_unknown_name_are_told_apart() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = local(Limits::default());
    let error = client.send(get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect(_)), "{error:?}");
    assert!(error.nothing_was_sent());
    // RFC 6761: names under .invalid never resolve.
    let error = client.send(get("http://nowhere.invalid/".into())).await.unwrap_err();
    assert!(matches!(error, EgressError::Resolve(_)), "{error:?}");
}

#[tokio::test]
async fn f46_a_truncated_answer_is_an_error_and_not_a_short_answer() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let server = saying(text);
        // Each connection is closed after the text.
        let error =
            local(Limits::default()).send(get(format!("http://{}/", server.address))).await.unwrap_err();
        assert!(matches!(error, EgressError::Protocol(_)), "{text}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        drop(stream.read(&mut [0; 4096]));
    });
    let error = local(Limits::default()).send(get(format!("https://{address}/"))).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls(_)), "{error:?}");
    assert!(error.nothing_was_sent());
}

#[tokio::test]
async fn an_opened_answer_comes_in_pieces_and_a_cut_one_is_no_end() {
    // The server hangs up after each answer, and says so: else the next request may leave on a connection that is gone.
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let (go_on, gate) = mpsc::channel::<&str>();
    let gate = std::sync::Mutex::new(gate);
    let server = serve(move |stream| {
        drop(stream.write_all(HEAD.as_bytes()));
        // The rest is sent only when the test has read the beginning.
        let rest = gate.lock().unwrap().recv().unwrap();
        drop(stream.write_all(rest.as_bytes()));
    });
    let client = local(Limits { timeout_ms_max: 10_000, response_bytes_max: 1 });
    for (rest, whole) in [("2\r\nde\r\n0\r\n\r\n", true), ("9\r\nde", false)] {
        let answer = client.open(get(format!("http://{}/", server.address))).await.unwrap();
        let mut body = answer.into_body();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "abc", "before the rest was sent");
        go_on.send(rest).unwrap();
        let mut read = Vec::new();
        let end = loop {
            match body.chunk().await {
                Ok(Some(chunk)) => read.extend_from_slice(&chunk),
                end => break end,
            }
        };
        assert_eq!((read.as_slice(), end.is_ok()), (b"de".as_slice(), whole), "{end:?}");
    }
}
